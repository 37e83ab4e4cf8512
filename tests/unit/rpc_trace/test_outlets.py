"""The tree of a request as a web page and as spans: the same RPCs, the same times, and nothing that could be run."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from functions.rpc_trace.page import page
from functions.rpc_trace.spans import send_spans
from functions.rpc_trace.tree import tree_document
from tests.support.firehose import BEGIN, CallStory, analysed, failure

REQUEST = "req-1"


@pytest.fixture
def document() -> dict[str, Any]:
    """A call with one beneath it that fails; both have a secret in their arguments."""
    context = {"request_id": REQUEST}
    top = CallStory(1, method="<script>alert(1)</script>", client="api", server="cmp01", work=4.0, context=context)
    beneath = CallStory(2, BEGIN + 1, "select", "scheduler", "", "conductor", work=1.0, context=context,
                        failure=failure("NoValidHost", module="nova.exception"))  # fmt: skip
    analysis = analysed(sorted([*top.events, *beneath.events], key=lambda event: event.at), BEGIN + 300, REQUEST)
    assert analysis.trace is not None
    return tree_document(analysis.trace)


class _Rows(HTMLParser):
    """Counts tags, and collects text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_shows_every_rpc_and_runs_nothing(document: dict[str, Any]) -> None:
    """Each RPC has a row with two bars; there is no script and nothing is fetched from elsewhere."""
    text = page(document)
    rows = _Rows(text)
    assert (rows.tags.count("tr"), rows.tags.count("rect")) == (1 + 2, 2 * 2)
    assert "server_exception" in rows.text
    assert "script" not in rows.tags
    assert "http" not in text


def test_spans_have_the_tree_s_shape_and_times(document: dict[str, Any]) -> None:
    """A call is a client's and a server's span, in one trace; what failed has the status of an error."""
    exporter = InMemorySpanExporter()
    assert send_spans(document, "", exporter) == 4
    spans = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in spans}) == 1
    roots = [span for span in spans if span.parent is None]
    assert [span.start_time for span in roots] == [int(document["begin"] * 1e9)]
    assert sum(not span.status.is_ok for span in spans) == 2


def test_the_same_request_is_the_same_trace(document: dict[str, Any]) -> None:
    """Sent twice it has one trace id, made of the request id."""
    ids = set()
    for _ in range(2):
        exporter = InMemorySpanExporter()
        send_spans(document, "", exporter)
        ids |= {span.context.trace_id for span in exporter.get_finished_spans()}
    assert len(ids) == 1
