"""`drover trace start`: the request, the watch, and the report at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from cli import exits
from cli.asking import cloud_name, request
from cli.backend import Backend, ask, opened
from cli.engine import Parts
from cli.errors import say
from cli.follow import Left, follow
from cli.options import print_json
from cli.progress import display
from cli.run import hint, parts_of, stored, tell_if_known
from cli.text import clean, count, output, side
from cli.traces.deliver import deliver, write_metrics
from cli.traces.show import show_report, show_tree
from functions.rpc_trace.events import Mode
from shared.settings import load

CANCEL = "io.drover.operation.cancel.requested"


def start(
    context: typer.Context,
    cloud: str | None,
    data: Mapping[str, Any],
    url: str | None,
    html: Path | None,
    otlp: str | None,
    prometheus: Path | None,
    *,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Ask for a capture; show its price, or follow it to its end."""
    settings, parts = load(), parts_of(context)
    with opened(parts, settings, url) as backend:
        name = broker_name(cloud or settings.cloud) if backend.is_local else cloud_name(cloud, settings, is_local=False)
        now = parts.clock.now()
        if data["mode"] == Mode.FULL and not data["dry_run"]:
            price = ask(
                backend, request("io.drover.trace.requested", {**data, "cloud": name, "dry_run": True}, now, name)
            )
            say(f"The price: {clean(price['price'])}.")
            if backend.is_local:
                start_guard(name)
        answer = ask(backend, request("io.drover.trace.requested", {**data, "cloud": name}, now, name))
        if data["dry_run"]:
            _show_price(answer, as_json=as_json)
        tell_if_known(answer, str(data["reason"]))
        if no_wait:
            stored(backend, answer["operation"], as_json=as_json)
        else:
            document = _watch(backend, parts, answer["operation"])
            if "report" in document["summary"]:
                write_metrics(document["summary"]["report"], name, prometheus)
            if "request" in document["summary"]:
                deliver(document["summary"]["request"], html, otlp)
            _show(document, as_json=as_json)


def broker_name(given: str | None) -> str:
    """The broker that is meant; a cloud without a clouds.yaml has one all the same."""
    from shared.rabbit import find_broker

    return find_broker(given).name


def start_guard(cloud: str, pid: int | None = None) -> None:
    """Nobody else would disarm the firehose if this process died.

    Args:
        pid: see `guard.start`.
    """
    from shared.rabbit import find_broker, guard

    guard.start(find_broker(cloud), pid)


def _watch(backend: Backend, parts: Parts, operation: str) -> dict[str, Any]:
    """The operation at its end."""
    bar = display(side(), parts.clock)
    try:
        return follow(backend, [operation], bar, parts.clock, lambda found: bar.show(found[operation]))[operation]
    except Left:
        if backend.is_local:
            return end(backend, parts, operation)
        say(f"The trace goes on at {backend.place}: drover ops watch {operation}")
        raise typer.Exit(exits.INTERRUPTED) from None


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    summary = document["summary"]
    if as_json:
        print_json(document)
        hint(document)
    elif "report" in summary:
        show_report(output(), summary["report"])
        if "request" in summary:
            show_tree(output(), summary["request"])
    if not as_json and document["note"]:
        say(clean(f"{document['kind']} of {document['target']}: {document['state']}: {document['note']}"))
    raise typer.Exit(exits.code_of(document))


def end(backend: Backend, parts: Parts, operation: str) -> dict[str, Any]:
    """Ctrl-C on a capture of this process: it ends now, with what it has seen, and the firehose is disarmed."""
    say("Ending the capture.")
    data = {"operation": operation, "reason": "Ctrl-C"}
    ask(backend, request(CANCEL, data, parts.clock.now(), operation))
    while (document := backend.read(operation))["state"] not in exits.ENDED:
        backend.advance([operation])
    return document


def _show_price(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(plan)
    else:
        rate = f"; it carries {plan['rate']:.0f} messages a second now" if plan["rate"] is not None else ""
        console = output()
        console.print(clean(f"vhost {plan['vhost']}, {count(len(plan['nodes']), 'node')}{rate}"), soft_wrap=True)
        console.print(clean(f"The price: {plan['price']}."), soft_wrap=True)
        answer = "It could begin now." if plan["feasible"] else f"It can't begin: {plan['refusal']}."
        console.print(f"{clean(answer)} Nothing was changed.", soft_wrap=True)
    raise typer.Exit(exits.DONE if plan["feasible"] else exits.FAILED)
