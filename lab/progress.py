"""Tell a person on the terminal how far it is: one line per finished step, a spinner for the one that runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console

WORTH_SAYING = 0.2
"""Seconds that a step must have taken to get a line."""


class Progress(Protocol):
    """What the lab's work reports to."""

    def step(self, title: str) -> AbstractContextManager[Callable[[str], None]]:
        """Begin a step; used as a context manager, it yields a function that tells details."""
        ...

    def note(self, text: str) -> None:
        """Say something in passing."""
        ...


class TerminalProgress:
    """Progress on stderr."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        begin = time.monotonic()
        with self.console.status(title) as status:
            yield lambda detail: status.update(f"{title}: {detail}")
        seconds = time.monotonic() - begin
        if seconds >= WORTH_SAYING:
            self.console.print(f"[green]✓[/green] {title} [dim]({seconds:.1f} s)[/dim]")

    def note(self, text: str) -> None:
        self.console.print(text)


class SilentProgress:
    """Progress that nobody watches."""

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        yield lambda _detail: None

    def note(self, text: str) -> None:
        pass
