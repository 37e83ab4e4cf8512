"""The door: between parliament and Drover's own code. Another runtime would be another small file like this one.

Everything heavy is imported with the first request, so that a pod is ready as soon as an empty function would be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloudevents.http import CloudEvent

from shared.errors import DroverError, Rejected, Retry

if TYPE_CHECKING:
    from shared.events.event import Event
    from shared.operations import Engine, Kind

MAX_BODY = 1024 * 1024
"""Bytes of a request's body; the largest request that means something has a few kilobytes."""

Answer = CloudEvent | tuple[str, int] | tuple[str, int, dict[str, str]]

JSON = {"Content-Type": "application/json"}

_HEADER_SAFE = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")


class Door:
    """`main(context)` for one function, or for several in one process.

    Args:
        name: the function's name, which ends the `source` of what it sends.
        kinds: makes the kinds of operations; called with the first request.
    """

    def __init__(self, name: str, kinds: Callable[[], Sequence[Kind]]) -> None:
        self.name = name
        self.kinds = kinds
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The engine, assembled from the settings at its first use."""
        with self._lock:
            if self._engine is None:
                from shared.assembly import assemble

                self._engine = assemble(self.name, self.kinds())
            return self._engine

    def main(self, context: Any) -> Answer:
        """Answer one request of parliament's: a GET with JSON; a POST of a CloudEvent with a CloudEvent or nothing.

        A broker understands nothing else: any other body would be delivered again and dead-lettered.
        """
        try:
            if context.request.method in ("GET", "HEAD"):
                return self._read(context.request.args)
            return self._post(context)
        except Rejected as error:
            return _refuse(400, str(error))
        except Retry as error:
            return _refuse(503, str(error), {"Retry-After": str(max(1, round(error.after)))})
        except DroverError as error:
            return _refuse(503, str(error))
        except Exception:
            # parliament would answer with the exception's text, which may say too much
            return self._bug()

    def _post(self, context: Any) -> Answer:
        length = len(context.request.get_data())  # parliament has read it already
        if length > MAX_BODY:
            return _refuse(413, f"the body has {length} bytes, expected at most {MAX_BODY}: send only the event")
        if context.cloud_event is not None:
            return _reply(self.engine.handle(_event(context.cloud_event, context.request.headers.get("traceparent"))))
        headers = context.request.headers
        if not all(headers.get(f"ce-{name}") for name in ("id", "source", "type")):
            raise Rejected(
                "this POST is no CloudEvent: expected the headers ce-specversion, ce-id, ce-source and ce-type with a "
                "JSON body, or a body of type application/cloudevents+json (CloudEvents 1.0)"
            )
        from shared.events.event import Event

        broken = Event(headers["ce-id"], headers["ce-source"], headers["ce-type"], None, headers.get("ce-subject"))
        return _reply(self.engine.reject(broken, _what_is_broken(headers.get("ce-specversion"))))

    def _read(self, query: Any) -> Answer:
        from shared.reading import answer

        document = answer(self.engine, query)
        if document is None:
            return _refuse(404, f"there is no operation {query['operation']!r}; GET /?operations lists them")
        return json.dumps(document), 200, JSON

    def _bug(self) -> Answer:
        import structlog

        structlog.get_logger(__name__).exception("unexpected error in a request")
        return _refuse(500, "an unexpected error, which is in this function's log; the event will be taken again")


def _what_is_broken(version: str | None) -> str:
    if version != "1.0":
        found = "nothing" if version is None else repr(version[:40])
        return f"ce-specversion: found {found}, expected 1.0"
    return "the event's data could not be read; expected a JSON object"


def _event(received: CloudEvent, traceparent: str | None) -> Event:
    """The event as Drover's own code sees it. Knative keeps the trace in an HTTP header of its own."""
    attributes = dict(received.get_attributes())
    if traceparent:
        attributes.setdefault("traceparent", traceparent)
    core = {name: attributes.pop(name, None) for name in ("id", "source", "type", "subject")}
    for name in ("specversion", "time", "datacontenttype", "dataschema"):
        attributes.pop(name, None)
    from shared.events.event import Event  # brings pydantic, which nobody needs before the first event

    return Event(
        id=str(core["id"]),
        source=str(core["source"]),
        type=str(core["type"]),
        subject=None if core["subject"] is None else str(core["subject"]),
        data=received.get_data(),
        extensions={name: str(value) for name, value in attributes.items()},
    )


def _reply(event: Event | None) -> Answer:
    """The answer, in binary mode: there attributes are headers, and their text is percent-encoded (CloudEvents 1.0,
    HTTP protocol binding, 3.1.3.2), which neither parliament nor the SDK does."""
    if event is None:
        return "", 204
    subject = None if event.subject is None else quote(event.subject, safe=_HEADER_SAFE, errors="replace")
    return cloud_event(replace(event, subject=subject))


def cloud_event(event: Event) -> CloudEvent:
    """The event for the wire. Without `datacontenttype` it would go out as text/html."""
    document = event.document()
    data = document.pop("data")
    return CloudEvent({name: value for name, value in document.items() if value is not None}, data)


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return json.dumps({"error": message}), status, {**JSON, **(headers or {})}
