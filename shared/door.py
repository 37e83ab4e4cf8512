"""The door: between parliament and Drover's own code. Another runtime would be another small file like this one.

Everything heavy is imported with the first request, so that a pod is ready as soon as an empty function would be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cloudevents.http import CloudEvent

from shared.errors import DroverError, Rejected, Retry
from shared.server import MAX_EVENT

if TYPE_CHECKING:
    from shared.access import Admission, Caller, Denied, Knock
    from shared.access.signature import Signer
    from shared.events.event import Event
    from shared.operations import Engine, Kind
    from shared.telemetry.metrics import Metrics

MAX_REQUESTER = 200
"""Characters of a requester's name in the events' models."""

PING = "dev.knative.sources.ping"
"""The type of every PingSource's events, which nobody can change (Knative Eventing, "PingSource")."""
STANDS_FOR = "drovertype"
"""Extension attribute: what such an event stands for, `io.drover.tick` for example."""

Answer = CloudEvent | tuple[str, int] | tuple[str, int, dict[str, str]]

JSON = {"Content-Type": "application/json"}

_HEADER_SAFE = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")


class Door:
    """`main(context)` for one function, or for several in one process.

    Args:
        name: the function's name, which ends the `source` of what it sends.
        kinds: makes the kinds of operations; called with the first request.
        gate: decides who gets in; None: the one that the settings describe, which lets nobody in by default.
        signer: signs replies; it comes from the settings with the gate.
        dead_letters: whether brokers deliver here what they could not deliver elsewhere.
        chores: makes what else is looked after at each tick; called with the first request.
    """

    def __init__(
        self,
        name: str,
        kinds: Callable[[], Sequence[Kind]],
        gate: Admission | None = None,
        signer: Signer | None = None,
        *,
        dead_letters: bool = False,
        chores: Callable[[], Sequence[Callable[[], None]]] = tuple,
    ) -> None:
        self.name = name
        self.kinds = kinds
        self.dead_letters = dead_letters
        self.chores = chores
        self._gate, self._signer = gate, signer
        self._engine: Engine | None = None
        self._metrics: Metrics | None = None
        self._lock = threading.Lock()

    @property
    def engine(self) -> Engine:
        """The engine, assembled from the settings at its first use."""
        with self._lock:
            if self._engine is None:
                from shared.assembly import assemble

                self._engine = assemble(
                    self.name,
                    self.kinds(),
                    metrics=self._metrics,
                    dead_letters=self.dead_letters,
                    chores=self.chores(),
                )
            return self._engine

    @property
    def gate(self) -> Admission:
        """The gate, assembled from the settings at its first use."""
        with self._lock:
            if self._gate is None:
                self._gate, self._signer = _from_settings(self.name)
            return self._gate

    def main(self, context: Any) -> Answer:
        """Answer one request of parliament's: a GET with JSON; a POST of a CloudEvent with a CloudEvent or nothing.

        A broker understands nothing else: any other body would be delivered again and dead-lettered.
        """
        from shared.access import Denied

        try:
            if context.request.method in ("GET", "HEAD"):
                return self._read(context.request)
            return self._post(context.request, context.cloud_event)
        except Denied as error:
            return self._deny(error, context.request.remote_addr)
        except Rejected as error:
            return _refuse(400, str(error))
        except Retry as error:
            return _refuse(503, str(error), {"Retry-After": str(max(1, round(error.after)))})
        except DroverError as error:
            return _refuse(503, str(error))
        except Exception:
            # parliament would answer with the exception's text, which may say too much
            return self._bug()

    def _post(self, request: Any, received: CloudEvent | None) -> Answer:
        if answer := _too_large(request):
            return answer
        headers = request.headers
        event = None if received is None else _event(received, headers.get("traceparent"))
        caller = self.gate.admit(_knock(request, event))
        if event is not None:
            return self._reply(self.engine.handle(self._in_the_name_of(caller, event)))
        if not all(headers.get(f"ce-{name}") for name in ("id", "source", "type")):
            raise Rejected(
                "this POST is no CloudEvent: expected the headers ce-specversion, ce-id, ce-source and ce-type with a "
                "JSON body, or a body of type application/cloudevents+json (CloudEvents 1.0)"
            )
        from shared.events.event import Event

        broken = Event(headers["ce-id"], headers["ce-source"], headers["ce-type"], None, headers.get("ce-subject"))
        return self._reply(self.engine.reject(broken, _what_is_broken(headers.get("ce-specversion"))))

    def _in_the_name_of(self, caller: Caller, event: Event) -> Event:
        """The event for the engine: without its credentials, and with the name of the person who really asks."""
        event = without_credentials(event)
        if not caller.is_person:
            return event
        import structlog

        from shared.store import storable

        name = storable(caller.name, MAX_REQUESTER)
        structlog.get_logger(__name__).info("a person asks", who=name, via=caller.via, type=event.type, id=event.id)
        model = self.engine.catalogue.models.get(event.type)
        if model is None or "requester" not in model.model_fields or not isinstance(event.data, dict):
            return event
        return replace(event, data={**event.data, "requester": name})

    def _reply(self, event: Event | None) -> Answer:
        """The answer, in binary mode: there attributes are headers, and their text is percent-encoded (CloudEvents
        1.0, HTTP protocol binding, 3.1.3.2), which neither parliament nor the SDK does."""
        if event is None:
            return "", 204
        if self._signer:
            event = self._signer.sign(event)
        subject = None if event.subject is None else quote(event.subject, safe=_HEADER_SAFE, errors="replace")
        return cloud_event(replace(event, subject=subject))

    def _read(self, request: Any) -> Answer:
        if request.content_length or "Transfer-Encoding" in request.headers:
            return _refuse(400, f"found a {request.method} with a body, expected none")
        self.gate.admit(_knock(request, None))
        from shared.reading import answer, missing

        query = _query(request)
        document = answer(self.engine, query)
        if document is None:
            return _refuse(404, missing(query))
        return json.dumps(document), 200, JSON

    def _deny(self, error: Denied, address: str | None) -> Answer:
        import structlog

        self._counter().refused(error.means, error.reason)
        structlog.get_logger(__name__).info("refused", door=error.means, reason=error.reason, address=address)
        return _refuse(error.status, str(error), dict(error.headers))

    def _counter(self) -> Metrics:
        """The engine's metrics; they begin before it, for those who are refused need no store."""
        with self._lock:
            if self._engine is not None:
                return self._engine.metrics
            if self._metrics is None:
                from shared.telemetry.metrics import Metrics

                self._metrics = Metrics()
            return self._metrics

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
    if core["type"] == PING:
        core["type"] = attributes.pop(STANDS_FOR, PING)
    time = attributes.pop("time", None)
    for name in ("specversion", "datacontenttype", "dataschema"):
        attributes.pop(name, None)
    from shared.events.event import Event  # brings pydantic, which nobody needs before the first event

    return Event(
        id=str(core["id"]),
        source=str(core["source"]),
        type=str(core["type"]),
        subject=None if core["subject"] is None else str(core["subject"]),
        time=_time(time),
        data=received.get_data(),
        extensions={name: str(value) for name, value in attributes.items()},
    )


def _from_settings(name: str) -> tuple[Admission, Signer | None]:
    """The gate and the signer.

    Raises:
        DroverError: a setting is wrong. Which one is in the log: whoever asks is not known yet.
    """
    from shared.access.assembly import make_gate, make_signer
    from shared.settings import SettingsError, load
    from shared.telemetry.logs import start_logs

    try:
        settings = load()
    except SettingsError as error:
        import structlog

        structlog.get_logger(__name__).error("the settings can't be used", error=str(error))
        raise DroverError("this function's settings can't be used, so nobody is let in; its log says why") from None
    start_logs(settings.log_format, settings.log_level, function=name)
    return make_gate(settings), make_signer(settings)


def without_credentials(event: Event) -> Event:
    """The event without what let it in, which nobody behind the door needs, and no table shall hold."""
    from shared.access import signature, tick

    credentials = (signature.EXTENSION, tick.EXTENSION)
    extensions = {name: value for name, value in event.extensions.items() if name not in credentials}
    return event if len(extensions) == len(event.extensions) else replace(event, extensions=extensions)


def _too_large(request: Any) -> Answer | None:
    """The refusal of a body that is larger than any event. Where the server knows the limit, it is not even read."""
    from werkzeug.exceptions import RequestEntityTooLarge

    try:
        length = len(request.get_data())  # parliament has tried that already
    except RequestEntityTooLarge:
        length = request.content_length or MAX_EVENT + 1
    if length <= MAX_EVENT:
        return None
    return _refuse(413, f"the body has {length} bytes, expected at most {MAX_EVENT}: send only the event")


def _query(request: Any) -> Mapping[str, str]:
    """The query's names and values, percent-encoding undone.

    Raises:
        Rejected: it is not text: a server hands on whatever bytes it was sent.
    """
    try:
        found: Mapping[str, str] = request.args
    except UnicodeDecodeError:
        raise Rejected(
            "the query is not valid UTF-8; expected names and values in percent-encoding (RFC 3986)"
        ) from None
    return found


def _knock(request: Any, event: Event | None) -> Knock:
    from shared.access import Knock

    return Knock(request.method, request.headers, request.remote_addr or "", event)


def _time(text: object) -> datetime | None:
    """The event's time; None when it says nothing that is one (RFC 3339)."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else None


def cloud_event(event: Event) -> CloudEvent:
    """The event for the wire. Without `datacontenttype` it would go out as text/html."""
    document = event.document()
    data = document.pop("data")
    return CloudEvent({name: value for name, value in document.items() if value is not None}, data)


def _refuse(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    return json.dumps({"error": message}), status, {**JSON, **(headers or {})}
