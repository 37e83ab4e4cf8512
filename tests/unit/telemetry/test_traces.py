"""Spans, and the trace that goes on from event to event."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.errors import DroverError
from shared.telemetry.traces import PassingTracing, start_tracing, valid

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def test_without_a_collector_the_trace_is_handed_on() -> None:
    """The received traceparent comes out as it went in, in nested spans too, and ends with its span."""
    tracing = start_tracing(None)
    assert isinstance(tracing, PassingTracing)
    with tracing.span("event", parent=PARENT, type="io.drover.tick") as outer, tracing.span("slice") as inner:
        inner.note(steps=3)
        assert outer.traceparent == inner.traceparent == PARENT
    with tracing.span("event") as later:
        assert later.traceparent is None
    tracing.close()


def test_without_a_collector_opentelemetry_is_not_imported() -> None:
    """A function that sends no traces pays nothing for them at its start."""
    program = (
        "import sys; from shared.telemetry.traces import start_tracing\n"
        "with start_tracing(None).span('x'): pass\n"
        "sys.exit('opentelemetry' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0


def test_spans_continue_the_senders_trace() -> None:
    """A span is a child of the event's traceparent, spans inside of it are its children."""
    exporter = InMemorySpanExporter()
    tracing = start_tracing(None, "migrate", exporter)
    with tracing.span("event", parent=PARENT, type="io.drover.tick"), tracing.span("slice") as inner:
        inner.note(steps=3)
        handed_on = inner.traceparent
    tracing.close()
    child, parent = exporter.get_finished_spans()
    assert (child.name, parent.name) == ("slice", "event")
    assert _ids(parent)[0] == _ids(child)[0] == PARENT.split("-")[1]
    assert parent.parent is not None
    assert f"{parent.parent.span_id:016x}" == PARENT.split("-")[2]
    assert child.parent is not None
    assert f"{child.parent.span_id:016x}" == _ids(parent)[1]
    assert handed_on == f"00-{_ids(child)[0]}-{_ids(child)[1]}-01"
    assert dict(parent.attributes or {}) == {"type": "io.drover.tick"}
    assert dict(child.attributes or {}) == {"steps": 3}
    assert parent.resource.attributes["service.name"] == "migrate"


def test_what_fails_is_marked() -> None:
    """An exception leaves its span marked as failed, without the secrets that its text may hold, and goes on."""
    exporter = InMemorySpanExporter()
    tracing = start_tracing(None, exporter=exporter)
    with pytest.raises(ValueError, match="no"), tracing.span("slice"):
        raise ValueError("no password=hush")
    tracing.close()
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok
    assert [event.name for event in span.events] == ["exception"]
    assert "ValueError: no" in str(span.status.description)
    assert "hush" not in span.to_json()


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "nonsense",
        PARENT.upper(),
        PARENT + "\n",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
    ],
)
def test_a_malformed_traceparent_is_ignored(text: str | None) -> None:
    """What is no traceparent is not handed on, and a span with it begins a trace of its own."""
    assert valid(text) is None
    with start_tracing(None).span("event", parent=text) as span:
        assert span.traceparent is None
    exporter = InMemorySpanExporter()
    tracing = start_tracing(None, exporter=exporter)
    with tracing.span("event", parent=text):
        pass
    tracing.close()
    assert exporter.get_finished_spans()[0].parent is None


def test_the_senders_choice_not_to_sample_is_kept() -> None:
    """A trace that its beginner does not record is not recorded here, but it is handed on."""
    exporter = InMemorySpanExporter()
    tracing = start_tracing(None, exporter=exporter)
    with tracing.span("event", parent=PARENT[:-2] + "00") as span:
        assert span.traceparent is not None
        assert span.traceparent.endswith("-00")
    tracing.close()
    assert exporter.get_finished_spans() == ()


def test_a_collector_without_opentelemetry_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configured collector that can't be served says which extra is missing."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(DroverError, match=r"install drover\[otlp\]"):
        start_tracing("http://collector:4318")
