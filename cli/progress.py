"""How far an operation is, on stderr: a bar on a terminal, a line every few seconds elsewhere, a line per problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cli import exits
from cli.text import clean, count, duration
from shared.clock import Clock

LINE_SECONDS = 5.0
"""Between two lines where there is no terminal, when something has changed."""
QUIET_SECONDS = 60.0
"""Between two lines when nothing has."""

Document = Mapping[str, Any]


class Display(Protocol):
    """What `follow` shows an operation on."""

    def show(self, document: Document) -> None:
        """The operation as it is now."""
        ...

    def note(self, text: str) -> None:
        """One line in passing."""
        ...

    def __enter__(self) -> Display: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What the bar says, out of an operation's summary. `total` is None while it is not planned yet."""

    moved: int
    total: int | None
    memory_mb: float
    eta_seconds: float | None
    in_flight: int
    unit: str = "server"
    """What is counted."""

    @classmethod
    def of(cls, document: Document) -> Figures:
        """The figures of a document; kinds of operations that move nothing have none."""
        summary = document["summary"]
        eta = summary.get("eta_seconds")
        return cls(
            moved=_number(summary.get("moved")) + _number(summary.get("arrived")),
            total=_number(summary.get("total")) or None,
            memory_mb=float(summary.get("memory_mb_moved") or 0),
            eta_seconds=None if eta is None else float(eta),
            in_flight=_number(summary.get("in_flight")),
            unit=summary.get("unit") or "server",
        )


@dataclass
class Rate:
    """MB/s since this process began to watch: the memory of the servers that have arrived, over the time."""

    clock: Clock
    _first: tuple[float, float] | None = None

    def of(self, memory_mb: float) -> float | None:
        """The rate by now; None before anything has moved."""
        now = self.clock.monotonic()
        if self._first is None:
            self._first = (now, memory_mb)
        seconds, moved = now - self._first[0], memory_mb - self._first[1]
        return moved / seconds if seconds > 0 and moved > 0 else None


@dataclass
class Problems:
    """What has gone wrong since the last look; each thing is told once."""

    _errors: dict[str, str] = field(default_factory=dict)
    _note: str = ""

    def new(self, document: Document) -> Iterator[str]:
        """A line for each step's error and each note that is new; a result tells its own."""
        if document["state"] in exits.ENDED | exits.STOPPED:
            return
        for step in document["steps"]:
            error = step["error"]
            if error and self._errors.get(step["subject"]) != error:
                tries = f" (try {step['attempts']})" if step["attempts"] else ""
                yield clean(f"{step['name'] or step['subject']}{tries}: {error}")
            self._errors[step["subject"]] = error or ""
        if document["note"] and document["note"] != self._note:
            yield clean(f"{document['kind']} of {document['target']}: {document['note']}")
        self._note = document["note"]


class Bar:
    """The bar of a terminal: servers moved, MB/s, what is under way, time, ETA."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._rate, self._problems = Rate(clock), Problems()
        self._progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[more]}"), TimeElapsedColumn(), console=console, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=None, more="")

    def show(self, document: Document) -> None:
        """See `Display.show`."""
        for line in self._problems.new(document):
            self._progress.console.print(f"! {line}", style="yellow")
        figures = Figures.of(document)
        self._progress.update(
            self._task,
            description=_title(document),
            completed=figures.moved,
            total=figures.total,
            more=_more(figures, self._rate.of(figures.memory_mb)),
        )

    def note(self, text: str) -> None:
        """See `Display.note`."""
        self._progress.console.print(text)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class Lines:
    """Plain lines for a log or a pipe."""

    def __init__(self, console: Console, clock: Clock) -> None:
        self._console, self._clock = console, clock
        self._rate, self._problems = Rate(clock), Problems()
        self._last: tuple[float, str] | None = None

    def show(self, document: Document) -> None:
        """See `Display.show`."""
        for line in self._problems.new(document):
            self.note(f"! {line}")
        figures = Figures.of(document)
        done = f"{figures.moved} of {count(figures.total, figures.unit)} moved" if figures.total is not None else ""
        rate = self._rate.of(figures.memory_mb)
        text = ", ".join(part for part in (_title(document), done, _more(figures, rate)) if part)
        now = self._clock.monotonic()
        if self._last is not None:
            wait = QUIET_SECONDS if self._last[1] == text else LINE_SECONDS
            if now - self._last[0] < wait:
                return
        self.note(text)
        self._last = (now, text)

    def note(self, text: str) -> None:
        """See `Display.note`."""
        self._console.print(text, soft_wrap=True)

    def __enter__(self) -> Lines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to put in order."""


def display(console: Console, clock: Clock) -> Display:
    """What fits where stderr goes."""
    return Bar(console, clock) if console.is_terminal else Lines(console, clock)


def _title(document: Document) -> str:
    state = "" if document["state"] == "running" else f" ({document['state']})"
    if document["intent"] == "cancel" and document["state"] != "cancelled":
        state = " (being cancelled)"
    return clean(f"{document['kind']} {document['target']}{state}")


def _more(figures: Figures, rate: float | None) -> str:
    parts = [f"{figures.in_flight} under way"] if figures.in_flight else []
    if rate is not None:
        parts.append(f"{rate:.0f} MB/s" if rate >= 10 else f"{rate:.1f} MB/s")
    if figures.eta_seconds is not None and figures.total is not None and figures.moved < figures.total:
        parts.append(f"ETA {duration(figures.eta_seconds)}")
    return ", ".join(parts)


def _number(value: Any) -> int:
    """A count, also where a list of the counted things stands."""
    return len(value) if isinstance(value, list | tuple | dict) else int(value or 0)
