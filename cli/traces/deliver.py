"""Where the tree of a request goes besides the terminal: a page, and a collector of traces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cli.errors import say
from cli.text import count
from shared.errors import Rejected


def check(request_id: str | None, html: Path | None, otlp: str | None) -> None:
    """Raise Rejected if something is wanted that there will not be, before anything is captured or read."""
    if (html or otlp) and not request_id:
        raise Rejected("--html and --otlp show one request: say which, with --request-id")
    if html and not html.parent.is_dir():
        raise Rejected(f"--html: there is no directory {html.parent}")


def deliver(request: Mapping[str, Any], html: Path | None, otlp: str | None) -> None:
    """Write the page, and send the spans."""
    if html:
        from functions.rpc_trace.page import page

        html.write_text(page(request), encoding="utf-8")
        say(f"wrote {html}")
    if otlp:
        from functions.rpc_trace.spans import send_spans

        say(f"sent {count(send_spans(request, otlp), 'span')} to {otlp}")
