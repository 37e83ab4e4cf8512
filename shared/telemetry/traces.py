"""OpenTelemetry traces of event handling and slices, sent by OTLP over HTTP when a collector is configured.

A trace goes on from event to event by the CloudEvents extension `traceparent` (CloudEvents, Distributed
Tracing extension; its format is W3C Trace Context). Without a collector the extension is handed on as it
came, so that Drover cuts nobody's trace, and OpenTelemetry is not even imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

from shared.telemetry.redaction import clean_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span as OtelSpan

TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, 3.2: version, trace id, parent id, flags; all-zero ids and version ff are invalid."""
EXPORT_DELAY_MS = 1000
"""Spans wait this long for company; short because an idle function is stopped."""
Value = str | int | float | bool


class Span(Protocol):
    """A piece of work that is under way."""

    @property
    def traceparent(self) -> str | None:
        """The extension for events that this work causes; None when there is no trace."""

    def note(self, **attributes: Value) -> None:
        """Facts that are known only now."""


class Tracing(Protocol):
    """Where spans go."""

    def span(self, name: str, parent: str | None = None, **attributes: Value) -> AbstractContextManager[Span]:
        """A Span while the block runs: a child of `parent`, without it of the span that is under way.

        `parent` is a received event's `traceparent`; a malformed one is ignored (W3C Trace Context, 3.2). An
        exception that passes through marks the span as failed.
        """
        raise NotImplementedError

    @property
    def current(self) -> str | None:
        """The `traceparent` of the span that is under way; None when there is no trace."""
        raise NotImplementedError

    def close(self) -> None:
        """Send what is left; bounded by the exporter's timeout."""


_PASSING: ContextVar[str | None] = ContextVar("drover_traceparent", default=None)
"""What PassingTracing hands on within the span that is under way."""


class PassingSpan:
    """Records nothing."""

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def note(self, **attributes: Value) -> None:
        """Nobody is told."""


class PassingTracing:
    """No collector: hands the trace on and records nothing."""

    @contextmanager
    def span(self, name: str, parent: str | None = None, **attributes: Value) -> Iterator[PassingSpan]:
        """A span that only knows its parent."""
        known = valid(parent) or _PASSING.get()
        token = _PASSING.set(known)
        try:
            yield PassingSpan(known)
        finally:
            _PASSING.reset(token)

    @property
    def current(self) -> str | None:
        """See `Tracing.current`."""
        return _PASSING.get()

    def close(self) -> None:
        """Nothing is left."""


class RecordedSpan:
    """One span of OpenTelemetry's."""

    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """This span as the parent of what comes after."""
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def note(self, **attributes: Value) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)


class RecordedTracing:
    """Spans that an exporter sends; it sets no global provider, so that two can live side by side."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("drover")

    @contextmanager
    def span(self, name: str, parent: str | None = None, **attributes: Value) -> Iterator[RecordedSpan]:
        """A span that is sent when it ends."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        context = None
        if known := valid(parent):
            context = TraceContextTextMapPropagator().extract({"traceparent": known})
        with self._tracer.start_as_current_span(
            name, context=context, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield RecordedSpan(span)
            except Exception as error:
                _note_failure(span, error)
                raise

    @property
    def current(self) -> str | None:
        """See `Tracing.current`."""
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        return RecordedSpan(span).traceparent if span.get_span_context().is_valid else None

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def _note_failure(span: OtelSpan, error: Exception) -> None:
    """Mark the span as failed. OpenTelemetry itself would send the exception's text and stack as they are."""
    from opentelemetry.trace import Status, StatusCode

    text = clean_text(str(error))
    span.add_event("exception", {"exception.type": type(error).__qualname__, "exception.message": text})
    span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {text}"))


def valid(traceparent: str | None) -> str | None:
    """The extension if it is well-formed, else None."""
    return traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None


def start_tracing(endpoint: str | None, function: str = "drover", exporter: SpanExporter | None = None) -> Tracing:
    """Tracing to the collector at `endpoint` (its base address; `/v1/traces` is added), or none at all.

    Args:
        endpoint: such as http://collector:4318, see `Settings.otlp_endpoint`.
        function: the `service.name` of the spans.
        exporter: used instead of OTLP.
    """
    if not endpoint and exporter is None:
        return PassingTracing()
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": function}))
    provider.add_span_processor(
        BatchSpanProcessor(exporter or otlp_exporter(str(endpoint)), schedule_delay_millis=EXPORT_DELAY_MS)
    )
    return RecordedTracing(provider)


def otlp_exporter(endpoint: str) -> SpanExporter:
    """Sends spans to a collector's base address by OTLP over HTTP.

    Raises:
        DroverError: OpenTelemetry is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        from shared.errors import DroverError

        raise DroverError(
            f"traces are to go to {endpoint} (DROVER_OTLP_ENDPOINT), but OpenTelemetry is not installed: "
            "install drover[otlp], or unset the variable"
        ) from error
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
