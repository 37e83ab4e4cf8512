"""How far the reading of a capture is."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from functions.rpc_trace.recording import Recording
from functions.rpc_trace.sighting import Sighting

EVERY = 5_000
"""Events between two looks."""


def reading(recording: Recording, console: Console) -> Iterator[Sighting]:
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
