"""`drover trace watch`: a line for each round, and what a full capture found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import typer

from cli import exits
from cli.asking import request
from cli.backend import Backend, ask, opened
from cli.errors import say
from cli.follow import Interrupt
from cli.options import print_json
from cli.run import parts_of, tell_if_known
from cli.text import clean, output
from cli.traces.show import show_found
from cli.traces.start import broker_name, end, start_guard
from shared.settings import load

WATCH = "io.drover.trace-watch.requested"


def watch(
    context: typer.Context, cloud: str | None, data: Mapping[str, Any], url: str | None, *, as_json: bool
) -> None:
    """Ask for the watch. One of this process goes on until Ctrl-C; one that is served elsewhere goes on by itself."""
    settings, parts = load(), parts_of(context)
    with opened(parts, settings, url) as backend:
        name = broker_name(cloud or settings.cloud) if backend.is_local else cloud or settings.cloud
        asked = {**data, "cloud": name}
        answer = ask(backend, request(WATCH, asked, parts.clock.now(), name or "all brokers"))
        if "operation" not in answer:
            say(clean(answer["text"]))
            raise typer.Exit(exits.FAILED)
        tell_if_known(answer, str(data["reason"]))
        operation = answer["operation"]
        if backend.is_local:
            assert name is not None
            start_guard(name, os.getpid())
            document = _rounds(backend, operation, as_json=as_json)
            if not exits.is_over(document):
                document = end(backend, parts, operation)
        else:
            document = backend.read(operation)
            for each in document["summary"].get("rounds", ()):
                _show_round(each, as_json=as_json)
            say(f"The watch goes on at {backend.place}: drover ops show {operation}")
        raise typer.Exit(exits.DONE if document["state"] != "failed" else exits.FAILED)


def _rounds(backend: Backend, operation: str, *, as_json: bool) -> dict[str, Any]:
    """Work until Ctrl-C, and show each round once."""
    shown, found_at, note = 0, None, ""
    with Interrupt().listening() as interrupt:
        while True:
            document = backend.read(operation)
            summary = document["summary"]
            found = summary.get("found")
            number = summary["totals"].get("rounds", 0)
            for each in summary.get("rounds", [])[-(number - shown) :] if number > shown else []:
                _show_round(each, as_json=as_json)
            if found and found["at"] != found_at:
                print_json({"found": found}) if as_json else show_found(output(), found)
            if document["note"] and document["note"] != note:
                say(clean(document["note"]))
            shown, found_at, note = number, found["at"] if found else None, document["note"]
            if exits.is_over(document) or interrupt.signal is not None:
                return document
            backend.advance([operation])


def _show_round(each: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"round": each})
        return
    seconds = each["seconds"] or 1.0
    rates = f"{each['calls'] / seconds:7.1f} calls/s {each['casts'] / seconds:7.1f} casts/s"
    signs = f"   ! {'; '.join(each['signs'])}" if each["signs"] else ""
    output().print(clean(f"{each['at'][:19]}Z {rates}{signs}"), soft_wrap=True)
