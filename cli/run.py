"""From an accepted request to its end: what `drain`, `undrain` and the commands on operations have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import typer

from cli import exits
from cli.backend import Backend
from cli.engine import Parts
from cli.errors import say
from cli.follow import Left, follow, how_to_go_on
from cli.options import print_json
from cli.progress import display
from cli.tables import show_result
from cli.text import clean, output, side


def parts_of(context: typer.Context) -> Parts:
    """What this command is put together from."""
    return context.find_object(Parts) or Parts()


def watch(backend: Backend, parts: Parts, operation_id: str, *, as_json: bool, wanted: str = "succeeded") -> None:
    """Follow an operation to its end, print it, and exit with its code."""
    bar = display(side(), parts.clock)
    try:
        documents = follow(backend, [operation_id], bar, parts.clock, lambda found: bar.show(found[operation_id]))
    except Left as left:
        leave(left, backend)
    document = documents[operation_id]
    show(document, as_json=as_json)
    raise typer.Exit(exits.code_of(document, wanted))


def leave(left: Left, backend: Backend) -> NoReturn:
    """Say how to go on with what is left, and exit."""
    for document in left.documents.values():
        say(how_to_go_on(document, backend))
    raise typer.Exit(left.code) from None


def show(document: dict[str, Any], *, as_json: bool) -> None:
    """The result on stdout; with `--json`, the next step for a person goes to stderr."""
    if as_json:
        print_json(document)
        hint(document)
    else:
        show_result(output(), document)


def hint(document: dict[str, Any]) -> None:
    """Beside `--json`: what went wrong and the next step, for a person."""
    if document["state"] != "succeeded":
        say(clean(f"{document['kind']} of {document['target']}: {document['state']}: {document['note']}"))
    if document["state"] in exits.STOPPED:
        say(f"go on with: drover ops resume {document['id']}")


def tell_if_known(answer: Mapping[str, Any], reason: str) -> None:
    """A second request for a host is answered with the operation that lives: say so."""
    if answer["state"] != "planned" or answer["reason"] != reason:
        say(clean(f"A {answer['kind']} of {answer['target']} is {answer['state']} already, asked for by "
                  f"{answer['requester']}: {answer['reason']}. This goes on with it."))  # fmt: skip


def stored(backend: Backend, operation_id: str, *, as_json: bool) -> None:
    """What `--no-wait` answers: the operation as it is now."""
    document = backend.read(operation_id)
    if as_json:
        print_json(document)
    else:
        typer.echo(operation_id)
    name = clean(f"{document['kind']} of {document['target']}")
    if backend.is_local:
        say(f"The {name} is stored ({document['state']}); nobody works on it until you say\n"
            f"  drover ops watch {operation_id}\nor `drover serve` runs on this machine.")  # fmt: skip
    else:
        say(f"The {name} is stored ({document['state']}) and goes on at {backend.place}.\n"
            f"  drover ops watch {operation_id}")  # fmt: skip
