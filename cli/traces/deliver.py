"""Where a trace goes besides the terminal: a web page, a collector of traces, a file of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.errors import say
from cli.text import count
from shared.errors import Rejected


def check(request_id: str | None, html: Path | None, otlp: str | None, prometheus: Path | None) -> None:
    """Raise Rejected if something is wanted that there will not be, before anything is captured or read."""
    if (html or otlp) and not request_id:
        raise Rejected("--html and --otlp show one request: say which, with --request-id")
    for option, file in (("--html", html), ("--prometheus", prometheus)):
        if file and not file.parent.is_dir():
            raise Rejected(f"{option}: there is no directory {file.parent}")


def deliver(request: Mapping[str, Any], html: Path | None, otlp: str | None) -> None:
    """Write the page, and send the spans."""
    if html:
        from functions.rpc_trace.page import page

        html.write_text(page(request), encoding="utf-8")
        say(f"wrote {html}")
    if otlp:
        from functions.rpc_trace.spans import send_spans

        say(f"sent {count(send_spans(request, otlp), 'span')} to {otlp}")


def write_metrics(report: Mapping[str, Any], cloud: str, file: Path | None) -> None:
    """Write the metrics at once, so that a textfile collector never reads half of them."""
    if file is None:
        return
    from functions.rpc_trace.measures import of_report
    from shared.telemetry.families import exposition

    whole = file.with_name(f".{file.name}.new")
    whole.write_text(exposition(of_report(report, cloud)), encoding="utf-8")
    whole.replace(file)
    say(f"wrote {file}")
