"""Where operations are run: by this process on the store of this machine, or by a Drover that is served elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from cli.engine import Parts
from shared.errors import Rejected

if TYPE_CHECKING:
    from shared.events import Event
    from shared.settings import Settings


class Backend(Protocol):
    """What the commands need of either."""

    is_local: bool
    """Whether an operation only goes on while a command like this one works on it."""
    place: str
    """Where it is, for a message."""

    hindrance: str
    """Why the last `advance` could not do anything, when a person should know; else empty."""

    def send(self, event: Event) -> Event:
        """Hand in a request.

        Returns:
            The answer.

        Raises:
            Rejected: it is not taken.
            Retry: nobody answers now.
        """
        ...

    def read(self, operation_id: str) -> dict[str, Any]:
        """The operation's document (`shared.operations.reads.operation_document`).

        Raises:
            Rejected: there is no such operation.
            Retry: nobody answers now.
        """
        ...

    def list(self, filters: Mapping[str, str], limit: int, before: str | None) -> dict[str, Any]:
        """One page of operations (`shared.operations.reads.list_operations`)."""
        ...

    def letters(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Dead letters, as a GET with this query answers: `letters` with its filters, or one `letter`.

        Raises:
            Rejected: there is no such letter, or the query makes no sense.
            Retry: nobody answers now.
        """
        ...

    def advance(self, operation_ids: Sequence[str]) -> None:
        """Let about half a second to a second pass in which the operations go on."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@contextmanager
def opened(parts: Parts, settings: Settings, url: str | None, *, sending: bool = False) -> Iterator[Backend]:
    """The place that `--url` or DROVER_URL names, or else this process.

    Args:
        sending: whether this process sends events to DROVER_SINK, rather than only keep them.

    Raises:
        Rejected: the address can't be used.
        StoreError: the store of this machine does not answer.
    """
    backend = _open(parts, settings, url or settings.url, sending)
    try:
        yield backend
    finally:
        backend.close()


def _open(parts: Parts, settings: Settings, url: str | None, sending: bool) -> Backend:
    if url is not None:
        from cli.credentials import Credentials
        from cli.remote import Remote

        return Remote(url, parts.clock, parts.session() if parts.session else None, Credentials(url, settings))
    from cli.local import Local

    return Local(settings, parts, sending=sending)


def ask(backend: Backend, event: Event) -> dict[str, Any]:
    """Send a request and give its answer's data.

    Raises:
        Rejected: it was not taken, for the reason given.
    """
    answer = backend.send(event)
    data: dict[str, Any] = answer.data
    if answer.type.endswith(".rejected"):
        raise Rejected(str(data["reason"]))
    return data
