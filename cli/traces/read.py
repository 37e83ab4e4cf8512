"""Reading a recorded capture, with its progress."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from cli.text import side
from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.recording import Recording
from functions.rpc_trace.report import report
from functions.rpc_trace.sighting import Sighting

EVERY = 5_000
"""Events between two looks."""


def read(file: Path, request_id: str | None = None) -> tuple[Analysis, dict[str, Any]]:
    """Analyse a capture file: the analysis at its end, and its report."""
    analysis, recording = Analysis(request_id), Recording(file)
    for event in _reading(recording, side()):
        analysis.take(event)
    analysis.name_connections(recording.connections)
    analysis.end(recording.ended, recording.dropped)
    return analysis, report(analysis) | {"unreadable": recording.unreadable}


def _reading(recording: Recording, console: Console) -> Iterator[Sighting]:
    """The events of a capture, with a bar where there is a terminal."""
    if not console.is_terminal:
        yield from recording
        return
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=recording.size)
        for number, event in enumerate(recording):
            if number % EVERY == 0:
                progress.update(task, completed=recording.read)
            yield event
