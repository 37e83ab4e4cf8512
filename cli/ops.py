"""`drover ops`: look at operations, and hold their reins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli import exits
from cli.options import Json, NoWait, Operation, Url, print_json

if TYPE_CHECKING:
    from cli.backend import Backend
    from cli.engine import Parts

app = typer.Typer(no_args_is_help=True, help="Operations: look at them, pause, resume and cancel them.")

PAUSE_SECONDS = 5.0
"""How long `ops pause` waits to see the operation paused."""

Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]
BY_HAND = "asked for on the command line"


@app.command("list")
def list_(
    context: typer.Context,
    kind: Annotated[
        str | None, typer.Option(help="Only these: drain, undrain, trace, trace-watch, replay, cleanup.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only these: planned, running, paused, halted, succeeded, failed, cancelled."),
    ] = None,
    cloud: Annotated[str | None, typer.Option(help="Only those of this cloud.")] = None,
    target: Annotated[str | None, typer.Option(help="Only those on this host.")] = None,
    limit: Annotated[int, typer.Option(help="How many at most (1 to 1000).")] = 50,
    before: Annotated[str | None, typer.Option(help="The page after the operation with this id.")] = None,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """List operations, newest first.

    Example: drover ops list --state running
    """
    from cli.backend import opened
    from cli.run import parts_of
    from cli.tables import show_list
    from cli.text import output
    from shared.settings import load

    given = {"kind": kind, "state": state, "cloud": cloud, "target": target}
    filters = {name: value for name, value in given.items() if value is not None}
    with opened(parts_of(context), load(), url) as backend:
        page = backend.list(filters, limit, before)
    if as_json:
        print_json(page)
    else:
        show_list(output(), page)


@app.command()
def show(context: typer.Context, operation: Operation, as_json: Json = False, url: Url = None) -> None:
    """Show one operation with its steps, as it is now.

    Example: drover ops show 3f0e6a52-7a5b-4c38-9d43-6a1b0f5f7c11
    """
    from cli.backend import opened
    from cli.run import parts_of
    from cli.tables import show_operation
    from cli.text import output
    from shared.settings import load

    with opened(parts_of(context), load(), url) as backend:
        document = backend.read(operation)
    if as_json:
        print_json(document)
    else:
        show_operation(output(), document)


@app.command()
def watch(context: typer.Context, operation: Operation, as_json: Json = False, url: Url = None) -> None:
    """Follow an operation to its end; one of this machine is worked on meanwhile.

    Example: drover ops watch 3f0e6a52-7a5b-4c38-9d43-6a1b0f5f7c11
    """
    from cli.backend import opened
    from cli.run import parts_of
    from cli.run import watch as follow
    from shared.settings import load

    parts = parts_of(context)
    with opened(parts, load(), url) as backend:
        follow(backend, parts, operation, as_json=as_json)


@app.command()
def pause(context: typer.Context, operation: Operation, reason: Reason = BY_HAND, url: Url = None) -> None:
    """Start nothing new; what runs is followed to its end. `drover ops resume` goes on.

    Example: drover ops pause 3f0e6a52-7a5b-4c38-9d43-6a1b0f5f7c11 --reason "customer called"
    """
    from cli.backend import opened
    from cli.run import parts_of
    from shared.settings import load

    parts = parts_of(context)
    with opened(parts, load(), url) as backend:
        _control(backend, parts, "pause", operation, reason)
        _see_paused(backend, parts, operation)


@app.command()
def resume(
    context: typer.Context,
    operation: Operation,
    reason: Reason = BY_HAND,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Go on with an operation that was paused or has halted, with a fresh error budget.

    Example: drover ops resume 3f0e6a52-7a5b-4c38-9d43-6a1b0f5f7c11
    """
    from cli.backend import opened
    from cli.run import parts_of, stored
    from cli.run import watch as follow
    from shared.settings import load

    parts = parts_of(context)
    with opened(parts, load(), url) as backend:
        _control(backend, parts, "resume", operation, reason)
        if no_wait:
            stored(backend, operation, as_json=as_json)
        else:
            follow(backend, parts, operation, as_json=as_json)


@app.command()
def cancel(
    context: typer.Context,
    operation: Operation,
    reason: Reason = BY_HAND,
    undo: Annotated[
        bool, typer.Option("--undo", help="Give back what it took: enable the host again if a drain disabled it.")
    ] = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """End an operation: abort what can be aborted, and say what could not be. Exits 0 once it is cancelled.

    Example: drover ops cancel 3f0e6a52-7a5b-4c38-9d43-6a1b0f5f7c11 --undo
    """
    from cli.backend import opened
    from cli.run import parts_of, stored
    from cli.run import watch as follow
    from shared.settings import load

    parts = parts_of(context)
    with opened(parts, load(), url) as backend:
        _control(backend, parts, "cancel", operation, reason, undo=undo)
        if no_wait:
            stored(backend, operation, as_json=as_json)
        else:
            follow(backend, parts, operation, as_json=as_json, wanted="cancelled")


def _control(backend: Backend, parts: Parts, verb: str, operation: str, reason: str, *, undo: bool = False) -> None:
    """Store what is asked for, and say what it means."""
    from cli.asking import request
    from cli.backend import ask
    from cli.errors import say
    from cli.text import clean

    data = {"operation": operation, "reason": reason, "undo": undo}
    event = request(f"io.drover.operation.{verb}.requested", data, parts.clock.now(), operation)
    say(clean(ask(backend, event)["message"]))


def _see_paused(backend: Backend, parts: Parts, operation: str) -> None:
    """Wait a little until it is paused: a local operation that nobody works on is brought there by this process."""
    from cli.errors import say

    end = parts.clock.monotonic() + PAUSE_SECONDS
    document = backend.read(operation)
    while document["state"] in ("planned", "running") and parts.clock.monotonic() < end:
        backend.advance([operation])
        document = backend.read(operation)
    if document["state"] in exits.ENDED:
        say(f"Meanwhile it has {document['state']}.")
    elif document["state"] not in exits.STOPPED:
        say(f"It is still {document['state']}: whoever works on it is in the middle of a step, and pauses after it.")
    elif document["summary"].get("in_flight"):
        say(f"It is {document['state']}; `drover ops watch {operation}` follows what still runs.")
    else:
        say(f"It is {document['state']}; `drover ops resume {operation}` goes on with it.")
