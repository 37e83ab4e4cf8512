"""Watching operations to their ends, and leaving it in good order when somebody presses Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from cli import exits
from cli.backend import Backend
from cli.progress import Display
from cli.text import clean
from shared.clock import Clock
from shared.errors import Retry

PATIENCE = 300.0
"""Seconds without any answer until the watch is given up; the operation over there goes on all the same."""

HALT_SECONDS = 60.0
"""Seconds in which a cancelled operation stays halted, until it is clear that its cancelling is what has halted."""

Document = dict[str, Any]
Documents = dict[str, Document]
"""By id."""


class Left(Exception):
    """The person left; the operations are as the documents say, and stay safe."""

    def __init__(self, documents: Documents, code: int) -> None:
        super().__init__()
        self.documents = documents
        self.code = code


class Interrupt:
    """Ctrl-C or SIGTERM is noted, so that the slice at work can save what it has done; a second one leaves at once."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[Interrupt]:
        """Take the signals for as long as this lasts."""
        before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, _frame: object) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        if os.isatty(2):
            # not through Rich or sys.stderr: the signal may have come in the middle of a write of theirs
            os.write(2, b"\nleaving as soon as the step at work is saved (Ctrl-C again: at once)\n")

    @property
    def code(self) -> int:
        """The exit code, as shells make it of a signal."""
        return 128 + (self.signal or signal.SIGINT)


def follow(
    backend: Backend, ids: Sequence[str], display: Display, clock: Clock, show: Callable[[Documents], None]
) -> Documents:
    """Watch operations until each has ended or waits for a person; local ones are worked on meanwhile.

    Args:
        show: puts them on the display.

    Raises:
        Left: the person does not want to wait any longer.
        Retry: nobody has answered for `PATIENCE` seconds.
    """
    documents = {one: backend.read(one) for one in ids}
    halted: dict[str, float] = {}
    told = False
    with Interrupt().listening() as interrupt, display:
        try:
            while True:
                show(documents)
                left = [one for one, document in documents.items() if not _is_over(document, halted, clock)]
                if not left:
                    return documents
                if interrupt.signal is not None:
                    raise Left(documents, interrupt.code)
                backend.advance(left)
                if backend.hindrance and not told:
                    display.note(backend.hindrance)
                    told = True  # once: two may well watch the same operation for hours
                for one in left:
                    documents[one] = read_patiently(backend, documents[one], display, clock, interrupt)
        except KeyboardInterrupt:
            raise Left(documents, interrupt.code) from None


def _is_over(document: Document, halted: dict[str, float], clock: Clock) -> bool:
    """Whether there is nothing left to watch; `halted` keeps since when it has been halted though it is cancelled."""
    if exits.is_over(document):
        return True
    if not exits.has_halted_in_cancel(document):
        halted.pop(document["id"], None)
        return False
    return clock.monotonic() - halted.setdefault(document["id"], clock.monotonic()) > HALT_SECONDS


def read_patiently(backend: Backend, last: Document, display: Display, clock: Clock, interrupt: Interrupt) -> Document:
    """The operation as it is now; while nobody answers, the last that is known counts."""
    begin, told = clock.monotonic(), False
    while True:
        try:
            return backend.read(last["id"])
        except Retry as error:
            if clock.monotonic() - begin > PATIENCE:
                raise
            if interrupt.signal is not None:
                return last
            if not told:
                display.note(f"{error} Trying again; the operation itself does not depend on it.")
                told = True
            backend.advance([last["id"]])


def how_to_go_on(document: Mapping[str, Any], backend: Backend) -> str:
    """What a person who leaves must know."""
    name, flight = clean(f"{document['kind']} of {document['target']}"), document["summary"].get("in_flight")
    running = " What Nova has begun goes on there." if flight else ""
    if exits.is_over(document):
        return f"The {name} is {document['state']}: {clean(document['note'])}"
    if backend.is_local:
        where = f"The {name} stays as it is, safe, and nothing new starts until somebody works on it again.{running}"
    else:
        where = f"The {name} goes on at {backend.place} without this terminal."
    return (
        f"{where}\n"
        f"  go on:   drover ops watch {document['id']}\n"
        f"  pause:   drover ops pause {document['id']}\n"
        f"  cancel:  drover ops cancel {document['id']} --undo"
    )
