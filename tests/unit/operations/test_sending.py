"""Facts on their way out: as replies, through a sink, never lost; and the chains of slices that replies make."""

from __future__ import annotations

import threading

import pytest

from shared.errors import Permanent, Retry
from shared.events import Event
from shared.operations import Work
from shared.operations.facts import HOP
from shared.store import OperationState
from tests.support.bench import Bench
from tests.support.kinds import tick


class Recorder:
    """A sink that keeps what it gets, unless it is told to fail."""

    name = "sink"

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.error: Exception | None = None

    def send(self, event: Event) -> None:
        """Take the event."""
        if self.error is not None:
            raise self.error
        self.sent.append(event)

    @property
    def words(self) -> list[str]:
        """The last word of each event."""
        return [event.type.rpartition(".")[2] for event in self.sent]


def told(words: list[str]) -> object:
    """A slice that sends some facts and ends."""

    def script(work: Work) -> float | None:
        work.save(facts=words)
        work.end(OperationState.SUCCEEDED, "")
        return None

    return script


def word(reply: Event | None) -> str | None:
    """The last word of a reply's type."""
    return reply.type.rpartition(".")[2] if reply else None


def test_facts_leave_as_replies_to_ticks_one_by_one(bench: Bench) -> None:
    """Without a sink, each tick takes one waiting fact along, the oldest first, and then none."""
    bench.kind.script = told(["started"])  # type: ignore[assignment]
    bench.begin()
    replies = [bench.engine.handle(tick(str(number))) for number in range(3)]
    assert [word(reply) for reply in replies] == ["started", "completed", None]
    assert [(row.sent_by, row.sent_at) for row in bench.outbox()] == [("reply", bench.clock.now())] * 2


def test_a_tick_that_is_delivered_again_gets_the_same_reply(bench: Bench) -> None:
    """The answer may have been lost on its way: the fact is not taken for sent by a second one."""
    bench.kind.script = told(["started"])  # type: ignore[assignment]
    bench.begin()
    first = bench.engine.handle(tick("1"))
    assert bench.engine.handle(tick("1")) == first
    assert word(bench.engine.handle(tick("2"))) == "completed"
    assert bench.engine.handle(tick("1")) == first


def test_a_tick_for_several_functions_reaches_each(bench: Bench) -> None:
    """Functions that share a store get the same tick: each does its own work, whoever comes first."""
    bench.kind.script = lambda work: work.end(OperationState.SUCCEEDED, "")
    operation_id = bench.begin()
    with bench.database.transaction() as session:
        from shared.operations import outbox

        outbox.put(session, Event("f", "/drover/other", "io.drover.climb.started", {}), bench.clock.now())
    other = bench.new_engine(kinds=[])
    assert word(other.handle(tick("1"))) == "started"
    assert word(bench.engine.handle(tick("1"))) == "started"
    assert bench.operation(operation_id).state == "succeeded"


def test_the_same_tick_at_the_same_time_takes_one_fact(bench: Bench) -> None:
    """Two deliveries at once get the same reply, and the second fact stays for the next tick."""
    bench.kind.script = told(["started"])  # type: ignore[assignment]
    bench.begin()
    bench.engine.work(0.1)
    together = threading.Barrier(2)
    replies: list[Event | None] = []

    def deliver() -> None:
        together.wait(5)
        replies.append(bench.new_engine().handle(tick("1")))

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(replies) == 2
    assert replies[0] == replies[1]
    assert sum(row.sent_at is not None for row in bench.outbox()) == 1


def test_a_sink_gets_every_fact_in_order(bench: Bench) -> None:
    """With a sink, facts go there at the end of the request, and the reply carries none of them twice."""
    sink = Recorder()
    engine = bench.new_engine(sink)
    bench.engine = engine
    bench.kind.script = told(["started"])  # type: ignore[assignment]
    bench.begin()
    assert sink.words == ["accepted"]
    assert engine.handle(tick()) is None
    assert sink.words == ["accepted", "started", "completed"]
    assert {row.sent_by for row in bench.outbox()} == {"sink"}


def test_facts_wait_for_a_sink_that_is_down(bench: Bench) -> None:
    """Nothing is lost, nothing is held up: the next request sends what waits, in order."""
    sink = Recorder()
    bench.engine = bench.new_engine(sink)
    bench.kind.script = told(["started"])  # type: ignore[assignment]
    sink.error = Retry("down")
    operation_id = bench.begin()
    bench.engine.handle(tick("1"))
    assert bench.operation(operation_id).state == "succeeded"
    assert [row.sent_at for row in bench.outbox()] == [None, None, None]
    sink.error = None
    bench.engine.handle(tick("2"))
    assert sink.words == ["accepted", "started", "completed"]


def test_an_event_that_the_sink_refuses_for_good_does_not_stop_the_others(
    bench: Bench, logged: list[dict[str, object]]
) -> None:
    """It stays in the store as `refused`, with a line in the log."""
    sink = Recorder()
    bench.engine = bench.new_engine(sink)
    sink.error = Permanent("the sink answered 400")
    bench.begin()
    sink.error = None
    bench.engine.handle(tick())
    assert [row.sent_by for row in bench.outbox()] == ["refused", "sink"]
    assert sink.words == ["completed"]
    assert any("400" in str(entry.get("error")) for entry in logged)


def test_a_crash_between_sending_and_marking_sends_twice(bench: Bench) -> None:
    """Never lost, sometimes twice: the second time with the same id, so that receivers can tell."""

    class Crash(BaseException):
        """The process is gone."""

    class Dying(Recorder):
        def send(self, event: Event) -> None:
            super().send(event)
            if len(self.sent) == 1:
                raise Crash

    sink = Dying()
    bench.engine = bench.new_engine(sink)
    with pytest.raises(Crash):
        bench.begin()
    bench.engine.handle(tick())
    assert sink.words == ["accepted", "accepted", "completed"]
    assert sink.sent[0] == sink.sent[1]


def test_a_long_backlog_is_sent_in_parts(bench: Bench) -> None:
    """One request sends at most a hundred, so that it still answers in time."""
    sink = Recorder()
    bench.engine = bench.new_engine(sink)
    bench.kind.script = told(["progressed"] * 150)  # type: ignore[assignment]
    bench.begin()
    bench.engine.handle(tick("1"))
    assert len(sink.sent) == 1 + 100
    bench.engine.handle(tick("2"))
    assert len(sink.sent) == 1 + 151


def test_replies_carry_the_chain_of_slices_on(bench: Bench) -> None:
    """The accepted fact comes back as an event and starts the first slice; each answer asks for the next, up to the
    limit of hops; then it is the tick's turn."""
    slices: list[str] = []

    def script(work: Work) -> float | None:
        slices.append(work.operation.id)
        bench.clock.advance(25)
        return 1.0

    bench.kind.script = script
    event: Event | None = bench.engine.handle(Event("1", "/test", "io.drover.walk.requested", {"target": "a"}))
    chain = []
    while event is not None:
        chain.append((word(event), event.extensions.get(HOP)))
        event = bench.engine.handle(event)
    assert chain == [("accepted", None), *(("progressed", str(hop)) for hop in range(1, 7))]
    assert len(slices) == 7


@pytest.mark.parametrize("hop", ["x", "-1", "²", "٣", "9" * 5000, ""])
def test_a_hop_that_makes_no_sense_counts_as_none(bench: Bench, hop: str) -> None:
    """Anything may be in an extension attribute."""

    def script(work: Work) -> float | None:
        bench.clock.advance(25)
        return 1.0

    bench.kind.script = script
    bench.begin()
    reply = bench.engine.handle(tick("1", **{HOP: hop}))
    assert reply is not None
    assert reply.extensions[HOP] == "1"


def test_beyond_the_last_hop_nothing_is_worked_on(bench: Bench) -> None:
    """Facts still leave, but the chain does no work: each link would hold the first request open."""
    bench.kind.script = told(["started"])  # type: ignore[assignment]
    operation_id = bench.begin()
    assert bench.engine.handle(tick("1", **{HOP: "7"})) is None
    assert bench.operation(operation_id).state == "planned"
    bench.engine.work(0.1)
    reply = bench.engine.handle(tick("2", **{HOP: "7"}))
    assert reply is not None
    assert (word(reply), reply.extensions[HOP]) == ("started", "8")
    assert bench.engine.handle(tick("2", **{HOP: "7"})) == reply


def test_a_continuation_works_on_its_own_operation_only(bench: Bench) -> None:
    """Others have their own chains, and the tick."""
    first, second = bench.begin("1", target="a"), bench.begin("2", target="b")
    bench.engine.handle(Event("c", "/drover/test", "io.drover.walk.progressed", {"operation": second}))
    assert bench.operation(first).state == "planned"
    assert bench.operation(second).state == "succeeded"


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"operation": 5}, {"operation": "\0"}, {"operation": "\ud800"}, {"operation": "no"}]
)
def test_a_continuation_of_nothing_is_ignored(bench: Bench, data: object) -> None:
    """A forged or broken one does nothing, and gets no answer."""
    assert bench.engine.handle(Event("c", "/x", "io.drover.walk.progressed", data)) is None


def test_there_is_no_hint_when_nothing_is_due_soon(bench: Bench) -> None:
    """An operation that sleeps for minutes waits for a tick."""
    bench.kind.script = lambda work: 300.0
    bench.begin()
    assert bench.engine.handle(tick()) is None


def test_facts_tell_the_operation_whole(bench: Bench) -> None:
    """A receiver needs no second question: the operation, who, why, its state and the kind's summary."""
    operation_id = bench.begin(target="cmp01", reason="new kernel")
    reply = bench.engine.handle(tick())
    assert reply is not None
    assert (reply.source, reply.subject, reply.time) == ("/drover/test", "cmp01", bench.clock.now())
    assert reply.data == {
        "operation": operation_id,
        "kind": "walk",
        "cloud": "lab",
        "target": "cmp01",
        "state": "succeeded",
        "reason": "new kernel",
        "requester": "tester",
        "note": "",
        "summary": {"steps": 0},
    }
