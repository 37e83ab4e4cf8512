"""Events that ask for something: each is taken once, answered always, and kept."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.errors import Permanent, Rejected, Retry
from shared.events import Event
from shared.operations.inbox import MAX_ID
from shared.store import Operation
from shared.telemetry.traces import start_tracing
from tests.support.bench import Bench
from tests.support.kinds import at_once, control, tick, walk


def wait_at(barrier: threading.Barrier) -> None:
    """Until the other threads are there as well."""
    barrier.wait(5)


def test_a_request_opens_an_operation(bench: Bench) -> None:
    """The reply names the operation; the inbox and the audit trail know where it came from."""
    operation_id = bench.begin(target="cmp01", steps=3)
    operation = bench.operation(operation_id)
    assert (operation.state, operation.target, operation.parameters) == ("planned", "cmp01", {"steps": 3})
    assert operation.next_at == bench.clock.now()
    (row,) = bench.inbox()
    assert (row.source, row.id, row.outcome, row.operation_id) == ("/test", "1", "accepted", operation_id)
    assert bench.acts() == ["accept walk"]


def test_a_duplicate_is_answered_as_the_first_and_does_nothing(bench: Bench) -> None:
    """The second delivery gets the very same reply, also when the operation has long gone on."""
    first = bench.engine.handle(walk())
    bench.engine.work(1)
    prepared = bench.kind.prepared
    assert bench.engine.handle(walk()) == first
    assert bench.kind.prepared == prepared
    assert len(bench.rows(Operation)) == 1


def test_duplicates_at_the_same_time_have_one_effect(bench: Bench) -> None:
    """Four threads that deliver one event get one reply, and there is one operation."""
    together = threading.Barrier(4)
    bench.kind.on_prepare = lambda: wait_at(together)  # all of them are past the look into the inbox
    replies: list[Event | None] = []
    threads = [threading.Thread(target=lambda: replies.append(bench.engine.handle(walk()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(replies) == 4
    assert all(reply == replies[0] for reply in replies)
    assert len(bench.rows(Operation)) == len(bench.inbox()) == 1
    assert bench.acts() == ["accept walk"]


def test_two_requests_for_one_target_at_the_same_time_share_the_operation(bench: Bench) -> None:
    """The one that comes second is answered with the operation of the first, and both are in the inbox."""
    together = threading.Barrier(2)
    first_time = [True, True]
    bench.kind.on_prepare = lambda: wait_at(together) if first_time and first_time.pop() else None
    replies: list[Event | None] = []
    threads = [threading.Thread(target=lambda n=n: replies.append(bench.engine.handle(walk(n)))) for n in ("1", "2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len({reply.data["operation"] for reply in replies if reply}) == 1
    assert len(replies) == len(bench.inbox()) == 2


def test_a_second_request_for_a_target_joins_while_the_first_lives(bench: Bench) -> None:
    """After the end of the first one, a new request opens a new operation."""
    first = bench.begin("1")
    assert bench.begin("2") == first
    bench.engine.work(1)
    assert bench.operation(first).state == "succeeded"
    assert bench.begin("3") != first


def test_a_dry_run_stores_its_answer_and_nothing_else(bench: Bench) -> None:
    """There is no operation, and the duplicate gets the stored answer without another look at the cloud."""
    reply = bench.engine.handle(walk(dry_run=True, steps=7))
    assert reply is not None
    assert (reply.type, reply.data, reply.subject) == ("io.drover.walk.planned", {"steps": 7}, "cmp01")
    assert bench.engine.handle(walk(dry_run=True)) == reply
    assert bench.kind.prepared == 1
    assert bench.rows(Operation) == []


@pytest.mark.parametrize("error", [Rejected("no such host"), Permanent("no such host")])
def test_what_cannot_be_done_is_rejected(bench: Bench, error: Exception) -> None:
    """The refusal is kept with its reason, and told; delivering it again would not help."""
    bench.kind.refusal = error
    reply = bench.engine.handle(walk())
    assert reply is not None
    assert reply.type == "io.drover.walk.rejected"
    assert reply.data["reason"] == "no such host"
    (row,) = bench.inbox()
    assert (row.outcome, row.reason) == ("rejected", "no such host")
    bench.kind.refusal = None
    assert bench.engine.handle(walk()) == reply


def test_duplicates_that_are_rejected_at_the_same_time_get_one_answer(bench: Bench) -> None:
    """Four threads deliver one event that can't be done: one row, one rejection."""
    together = threading.Barrier(4)
    bench.kind.on_prepare = lambda: wait_at(together)
    bench.kind.refusal = Rejected("no such host")
    replies: list[Event | None] = []
    threads = [threading.Thread(target=lambda: replies.append(bench.engine.handle(walk()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(replies) == 4
    assert all(reply is not None and reply == replies[0] for reply in replies)
    assert len(bench.inbox()) == 1


def test_not_now_leaves_no_trace(bench: Bench) -> None:
    """A cloud that does not answer is told to the sender, who delivers the event again; then it is taken."""
    bench.kind.refusal = Retry("the cloud does not answer")
    with pytest.raises(Retry):
        bench.engine.handle(walk())
    assert bench.inbox() == []
    bench.kind.refusal = None
    assert bench.begin()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, "the data is NoneType, expected a JSON object"),
        ([1], "the data is list"),
        ("text", "the data is str"),
        ({}, "target: field required; found an object of 0"),
        ({"target": 5}, "target: input should be a valid string; found 5"),
        ({"target": "a", "steps": "many"}, "steps: input should be a valid integer"),
        ({"target": "a", "stepps": 1}, "stepps: extra inputs are not permitted; found 1"),
        ({"target": "x" * 300}, "target: string should have at most 255 characters; found 'xxx"),
    ],
)
def test_wrong_data_is_rejected_with_help(bench: Bench, data: object, expected: str) -> None:
    """The message names the field, what was found and what was expected."""
    reply = bench.engine.handle(replace(walk(), data=data))
    assert reply is not None
    assert reply.type == "io.drover.walk.rejected"
    assert expected in reply.data["reason"]
    assert bench.rows(Operation) == []


def test_a_thousand_mistakes_give_a_short_answer(bench: Bench) -> None:
    """Some problems are told and the others counted; the answer does not grow with the input."""
    data = {f"field{number}" + "x" * 500: "y" * 500 for number in range(1000)}
    reply = bench.engine.handle(replace(walk(), data=data))
    assert reply is not None
    assert len(reply.data["reason"]) < 2000
    assert reply.data["reason"].endswith("more")


def test_an_unknown_type_is_rejected(bench: Bench) -> None:
    """The answer lists the types that are taken; the row says `unknown`."""
    reply = bench.engine.handle(Event("1", "/test", "io.drover.wolk.requested", {}))
    assert reply is not None
    assert reply.type == "io.drover.event.rejected"
    assert "unknown event type 'io.drover.wolk.requested'" in reply.data["reason"]
    assert "io.drover.walk.requested" in reply.data["reason"]
    assert [row.outcome for row in bench.inbox()] == ["unknown"]


def test_a_rejection_is_never_answered(bench: Bench) -> None:
    """Two functions that reject each other's rejections would never end."""
    assert bench.engine.handle(Event("1", "/test", "io.drover.event.rejected", {})) is None
    assert bench.engine.handle(Event("1", "/test", "io.drover.event.rejected", {})) is None
    assert len(bench.inbox()) == 1


def test_functions_that_share_a_store_do_not_take_each_others_events_away(bench: Bench) -> None:
    """A function that does not know the type puts the event aside; the one that knows it still takes it, once."""
    other = bench.new_engine(kinds=[])
    aside = other.handle(walk())
    assert aside is not None
    assert aside.type == "io.drover.event.rejected"
    taken = bench.engine.handle(walk())
    assert taken is not None
    assert taken.type == "io.drover.walk.accepted"
    assert bench.engine.handle(walk()) == other.handle(walk()) == taken
    assert [row.outcome for row in bench.inbox()] == ["accepted"]


@pytest.mark.parametrize(
    "event",
    [
        walk("nul\0"),
        walk("half \ud800"),
        walk("long" * 1000),
        walk(source="/long" * 1000),
        walk(target="nul\0"),
        walk(target="half \udfff"),
        replace(walk(), data={"target": "a", "bad\0": [{"deep": "\0"}]}),
        replace(walk(), subject="half \ud800"),
        replace(walk(), type="io.drover.\0"),
        replace(walk(), type="io." + "x" * 5000),
    ],
)
def test_text_that_no_database_keeps(bench: Bench, event: Event) -> None:
    """NUL, halves of surrogate pairs and endless ids are answered, kept in a readable form, and known again."""
    reply = bench.engine.handle(event)
    assert reply is not None
    assert bench.engine.handle(event) == reply
    (row,) = bench.inbox()
    assert max(len(row.id), len(row.source)) <= MAX_ID
    assert reply.type.endswith("accepted" if "long" in event.id + event.source else "rejected")


def test_long_ids_with_the_same_beginning_are_two_events(bench: Bench) -> None:
    """What is cut off still counts, by its digest."""
    bench.engine.handle(walk("x" * 1000 + "1", target="a"))
    bench.engine.handle(walk("x" * 1000 + "2", target="b"))
    assert len(bench.inbox()) == len(bench.rows(Operation)) == 2


@pytest.mark.parametrize("event", [walk(""), walk(source="")])
def test_an_event_without_identity_is_rejected(bench: Bench, event: Event) -> None:
    """Without id or source, two events could not be told apart."""
    reply = bench.engine.handle(event)
    assert reply is not None
    assert "id and source" in reply.data["reason"]


def test_an_unreadable_event_is_kept_as_well(bench: Bench) -> None:
    """What the door can't parse has a row and an answer, the same at a second delivery."""
    reply = bench.engine.reject(replace(walk(), data=None), "no JSON")
    assert reply is not None
    assert bench.engine.reject(replace(walk(), data=None), "no JSON") == reply
    assert [row.reason for row in bench.inbox()] == ["no JSON"]


@pytest.mark.parametrize(
    ("events", "result"),
    [
        ([walk()], {"accepted": 1}),
        ([walk(), walk()], {"accepted": 1, "duplicate": 1}),
        ([walk(target="")], {"rejected": 1}),
    ],
)
def test_events_are_counted(bench: Bench, events: list[Event], result: dict[str, int]) -> None:
    """The metric tells accepted, duplicate and rejected apart."""
    for event in events:
        bench.engine.handle(event)
    for name, number in result.items():
        labels = {"type": "io.drover.walk.requested", "result": name}
        assert bench.engine.metrics.registry.get_sample_value("drover_events_received_total", labels) == number


def test_a_tick_measures_the_store(bench: Bench) -> None:
    """How many operations are in which state, and how many events wait to be sent."""
    bench.begin("1", target="a")
    bench.kind.script = lambda work: None
    bench.begin("2", target="b")
    bench.engine.work(0.0)
    bench.kind.script = at_once
    bench.engine.handle(tick())
    value = bench.engine.metrics.registry.get_sample_value
    assert value("drover_operations", {"kind": "walk", "state": "running"}) == 1
    assert value("drover_operations", {"kind": "walk", "state": "succeeded"}) == 1
    assert value("drover_operations", {"kind": "walk", "state": "planned"}) is None
    assert value("drover_outbox_waiting") == 0


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_trace_of_a_request_goes_on_in_its_reply(bench: Bench) -> None:
    """Also without a collector: Drover cuts nobody's trace."""
    reply = bench.engine.handle(replace(walk(), extensions={"traceparent": TRACE}))
    assert reply is not None
    assert reply.extensions == {"traceparent": TRACE}
    reply = bench.engine.handle(replace(walk("2"), extensions={"traceparent": "nonsense"}))
    assert reply is not None
    assert reply.extensions == {}


def test_a_fact_that_waits_keeps_the_trace_of_its_slice(bench: Bench) -> None:
    """Whoever sends it later, with a trace of his own, does not change where it comes from."""
    bench.engine.handle(replace(walk(), extensions={"traceparent": TRACE}))
    bench.engine.handle(replace(tick("1"), extensions={"traceparent": TRACE}))
    assert [row.event.get("traceparent") for row in bench.outbox()] == [TRACE]
    reply = bench.engine.handle(replace(tick("2"), extensions={"traceparent": TRACE.replace("b7ad", "b7ae")}))
    assert reply is None or reply.extensions["traceparent"] == TRACE


def test_spans_of_a_request_and_its_slices(bench: Bench) -> None:
    """With a collector, each event and each slice is a span, the slice within the event."""
    exporter = InMemorySpanExporter()
    tracing = start_tracing(None, exporter=exporter)
    bench.engine = bench.new_engine(tracing=tracing)
    bench.begin()
    bench.engine.handle(replace(tick(), extensions={"traceparent": TRACE}))
    tracing.close()
    spans = exporter.get_finished_spans()
    assert [span.name for span in spans] == ["event", "slice", "event"]
    assert spans[1].parent is not None
    assert spans[1].parent.span_id == spans[2].context.span_id
    assert f"{spans[1].context.trace_id:032x}" == TRACE.split("-")[1]
    assert spans[2].attributes is not None
    assert spans[2].attributes["type"] == "io.drover.tick"


def test_a_request_put_off_is_counted(bench: Bench) -> None:
    """The metric calls it `later`."""
    bench.kind.refusal = Retry("not now")
    with pytest.raises(Retry):
        bench.engine.handle(walk())
    labels = {"type": "io.drover.walk.requested", "result": "later"}
    assert bench.engine.metrics.registry.get_sample_value("drover_events_received_total", labels) == 1


def test_control_duplicates_count_once(bench: Bench) -> None:
    """A pause that is delivered twice is one act, with the requester's name and words."""
    operation_id = bench.begin()
    first = bench.ask("pause", operation_id, "p")
    assert bench.ask("pause", operation_id, "p") == first
    assert bench.operation(operation_id).intent_serial == 1
    assert bench.acts() == ["accept walk", "pause operation"]


@pytest.mark.parametrize("verb", ["pause", "resume", "cancel"])
@pytest.mark.parametrize("id", ["nonsense", "nul\0", ""])
def test_control_of_nothing_is_rejected(bench: Bench, verb: str, id: str) -> None:
    """An operation that is not there can't be paused, resumed or cancelled."""
    reply = bench.engine.handle(control(verb, id, "c"))
    assert reply is not None
    assert reply.type == f"io.drover.operation.{verb}.rejected"


def test_an_engine_of_no_kinds_takes_control_requests(bench: Bench) -> None:
    """Whichever function gets the request stores it; the one that runs the operation acts on it."""
    operation_id = bench.begin()
    reply = bench.new_engine(kinds=[]).handle(control("pause", operation_id, "p"))
    assert reply is not None
    assert reply.data["intent"] == "pause"
    bench.engine.work(1)
    assert bench.operation(operation_id).state == "paused"
