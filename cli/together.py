"""Several operations that one request has asked for, watched to the end of the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import typer

from cli import exits
from cli.backend import Backend
from cli.engine import Parts
from cli.errors import say
from cli.follow import HALT_SECONDS, Interrupt, how_to_go_on, read_patiently
from cli.options import print_json
from cli.progress import Display, Problems, display
from cli.run import hint
from cli.tables import show_result
from cli.text import clean, output, side
from shared.clock import Clock

Document = dict[str, Any]
Documents = dict[str, Document]
"""By id."""

NAMED = 3
"""So many hosts are named in the progress; of more, the number."""


class LeftTogether(Exception):
    """The person left; the operations are as the documents say, and stay safe."""

    def __init__(self, documents: Documents, code: int) -> None:
        super().__init__()
        self.documents = documents
        self.code = code


def watch_together(backend: Backend, parts: Parts, ids: Sequence[str], *, as_json: bool) -> None:
    """Follow them to their ends, print them, and exit with the code of the worst."""
    try:
        documents = follow_together(backend, ids, display(side(), parts.clock), parts.clock)
    except LeftTogether as left:
        for document in left.documents.values():
            say(how_to_go_on(document, backend))
        raise typer.Exit(left.code) from None
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
    say("\n".join([f"{len(documents)} drains are stored. {where}", *lines]))


def follow_together(backend: Backend, ids: Sequence[str], display: Display, clock: Clock) -> Documents:
    """Watch the operations until each has ended or waits for a person; local ones are worked on meanwhile.

    Raises:
        LeftTogether: the person does not want to wait any longer.
        Retry: nobody has answered for `cli.follow.PATIENCE` seconds.
    """
    documents = {one: backend.read(one) for one in ids}
    problems = {one: Problems() for one in ids}
    halted: dict[str, float] = {}
    told = False
    with Interrupt().listening() as interrupt, display:
        try:
            while True:
                for one, document in documents.items():
                    for line in problems[one].new(document):
                        display.note(f"! {clean(document['target'])}: {line}")
                display.show(combined(list(documents.values())))
                left = [one for one, document in documents.items() if not _is_over(document, halted, clock)]
                if not left:
                    return documents
                if interrupt.signal is not None:
                    raise LeftTogether(documents, interrupt.code)
                backend.advance_all(left)
                if backend.hindrance and not told:
                    display.note(backend.hindrance)
                    told = True
                for one in left:
                    documents[one] = read_patiently(backend, documents[one], display, clock, interrupt)
        except KeyboardInterrupt:
            raise LeftTogether(documents, interrupt.code) from None


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
        "kind": documents[0]["kind"], "target": f"{target}: {empty} of {len(documents)} empty", "state": "running",
        "intent": "run", "note": "", "steps": [], "summary": {**sums, "eta_seconds": slowest},
    }  # fmt: skip


def worst(documents: Sequence[Mapping[str, Any]] | Any) -> int:
    """One exit code for all: 1 if one has failed or was cancelled, else 3 if one waits for a person, else 0."""
    codes = {exits.code_of(document) for document in documents}
    return next((code for code in (exits.FAILED, exits.WAITING) if code in codes), exits.DONE)


def _is_over(document: Document, halted: dict[str, float], clock: Clock) -> bool:
    """Whether there is nothing left to watch, as `cli.follow.follow` has it for one."""
    if exits.is_over(document):
        return True
    if not exits.has_halted_in_cancel(document):
        halted.pop(document["id"], None)
        return False
    return clock.monotonic() - halted.setdefault(document["id"], clock.monotonic()) > HALT_SECONDS


def _show(documents: Sequence[Document], *, as_json: bool) -> None:
    if as_json:
        print_json({"operations": documents})
        for document in documents:
            hint(document)
        return
    for document in documents:
        show_result(output(), document)
    empty = sum(document["state"] == "succeeded" for document in documents)
    typer.echo(f"{empty} of {len(documents)} hosts are empty.")
