"""Several operations that one command has asked for, watched to the end of the last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from cli import exits
from cli.backend import Backend
from cli.engine import Parts
from cli.errors import say
from cli.follow import Document, Documents, Left, follow
from cli.options import print_json
from cli.progress import Display, Problems, display
from cli.run import hint, leave
from cli.tables import GIVEN_BACK, show_result
from cli.text import clean, output, side

NAMED = 3
"""So many hosts are named in the progress; of more, the number."""


def watch_together(backend: Backend, parts: Parts, ids: Sequence[str], *, as_json: bool) -> None:
    """Follow them to their ends, print them, and exit with the code of the worst."""
    bar = display(side(), parts.clock)
    try:
        documents = follow(backend, ids, bar, parts.clock, show_together(bar))
    except Left as left:
        leave(left, backend)
    _show(list(documents.values()), as_json=as_json)
    raise typer.Exit(worst(documents.values()))


def stored_together(backend: Backend, ids: Sequence[str], *, as_json: bool) -> None:
    """What `--no-wait` answers: the operations as they are now."""
    documents = [backend.read(one) for one in ids]
    if as_json:
        print_json({"operations": documents})
    else:
        for document in documents:
            typer.echo(document["id"])
    where = f"They go on at {backend.place}." if not backend.is_local else (
        "Nobody works on them until you say so, or `drover serve` runs on this machine."
    )  # fmt: skip
    lines = [f"  drover ops watch {document['id']}   # {clean(document['target'])}" for document in documents]
    say("\n".join([f"{len(documents)} {documents[0]['kind']}s are stored. {where}", *lines]))


def show_together(on: Display) -> Callable[[Documents], None]:
    """Puts them on the display: what is new of each, and the figures of all."""
    problems: defaultdict[str, Problems] = defaultdict(Problems)

    def show(documents: Documents) -> None:
        for one, document in documents.items():
            for line in problems[one].new(document):
                on.note(f"! {clean(document['target'])}: {line}")
        on.show(combined(list(documents.values())))

    return show


def combined(documents: Sequence[Mapping[str, Any]]) -> Document:
    """What the progress shows of all: figures added up, and the time that the slowest will take."""
    summaries = [document["summary"] for document in documents]
    empty = sum(document["state"] == "succeeded" for document in documents)
    names = ", ".join(document["target"] for document in documents[:NAMED])
    target = names if len(documents) <= NAMED else f"of {len(documents)} hosts"
    sums = {
        key: sum(summary.get(key) or 0 for summary in summaries)
        for key in ("moved", "arrived", "total", "memory_mb_moved", "in_flight")
    }
    slowest = max((summary.get("eta_seconds") or 0.0 for summary in summaries), default=0.0)
    return {
        "kind": documents[0]["kind"], "target": f"{target}: {empty} of {len(documents)} {goal(documents)}",
        "state": "running", "intent": "run", "note": "", "steps": [], "summary": {**sums, "eta_seconds": slowest},
    }  # fmt: skip


def goal(documents: Sequence[Mapping[str, Any]]) -> str:
    """What the hosts shall be in the end, in a word."""
    return "in service" if documents[0]["kind"] in GIVEN_BACK else "empty"


def worst(documents: Sequence[Mapping[str, Any]] | Any) -> int:
    """One exit code for all: 1 if one has failed or was cancelled, else 3 if one waits for a person, else 0."""
    codes = {exits.code_of(document) for document in documents}
    return next((code for code in (exits.FAILED, exits.WAITING) if code in codes), exits.DONE)


def _show(documents: Sequence[Document], *, as_json: bool) -> None:
    if as_json:
        print_json({"operations": documents})
        for document in documents:
            hint(document)
        return
    for document in documents:
        show_result(output(), document)
    empty = sum(document["state"] == "succeeded" for document in documents)
    typer.echo(f"{empty} of {len(documents)} hosts are {goal(documents)}.")
