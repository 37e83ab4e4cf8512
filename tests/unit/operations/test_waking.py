"""The keeper wakes functions that sleep, when their operations are due."""

from __future__ import annotations

import dataclasses

from shared.errors import Retry
from shared.events import Event
from shared.operations import Engine
from shared.store import DeadLetter
from tests.support.bench import Bench
from tests.support.kinds import tick
from tests.unit.operations.test_sending import Recorder


def keeper(bench: Bench, sink: Recorder | None) -> Engine:
    """An engine beside the one that runs walks, which gets the ticks."""
    return Engine(
        bench.database, [], source="/drover/keeper", clock=bench.clock, sink=sink, new_id=lambda: "k", dead_letters=True
    )


def test_a_tick_wakes_whoever_has_something_due(bench: Bench) -> None:
    """The function that gets the word does what is due, and then there is nothing more to say."""
    sink = Recorder()
    operation_id = bench.begin()
    assert keeper(bench, sink).handle(tick("1")) is None
    [word] = sink.sent
    assert (word.type, word.source, word.data) == ("io.drover.walk.due", "/drover/keeper", {"kind": "walk"})
    bench.engine.handle(word)
    assert bench.operation(operation_id).state == "succeeded"
    keeper(bench, sink).handle(tick("2"))
    assert sink.sent == [word]


def test_nobody_is_woken_for_what_is_under_way_or_not_due(bench: Bench) -> None:
    """An operation that somebody works on, and one whose time has not come, are left to sleep."""
    sink = Recorder()
    bench.kind.script = lambda _: 3600.0
    bench.begin()
    bench.engine.work(1)
    bench.begin("2", target="cmp02")
    bench.claim(bench.rows_by_target()["cmp02"])
    keeper(bench, sink).handle(tick("1"))
    assert sink.sent == []
    bench.clock.advance(3601)
    keeper(bench, sink).handle(tick("2"))
    assert [event.type for event in sink.sent] == ["io.drover.walk.due"]


def test_a_sink_that_is_down_costs_one_tick(bench: Bench) -> None:
    """The word is not kept: the next tick says it again."""
    sink = Recorder()
    bench.begin()
    sink.error = Retry("down")
    assert keeper(bench, sink).handle(tick("1")) is None
    sink.error = None
    keeper(bench, sink).handle(tick("2"))
    assert len(sink.sent) == 1


def test_a_word_that_could_not_be_delivered_is_not_kept(bench: Bench) -> None:
    """It comes back as a dead letter, and the next tick has said it again by then."""
    word = Event("k", "/drover/keeper", "io.drover.walk.due", {"kind": "walk"}, extensions={"knativeerrorcode": "503"})
    keeper(bench, None).handle(word)
    assert bench.rows(DeadLetter) == []


def test_a_function_that_knows_the_kind_takes_the_word_as_a_tick(bench: Bench) -> None:
    """The word is for all operations of the function; the same word twice does no harm."""
    first, second = bench.begin("1", target="cmp01"), bench.begin("2", target="cmp02")
    word = Event("w", "/drover/keeper", "io.drover.walk.due", {"kind": "walk"})
    for _ in range(2):
        bench.engine.handle(dataclasses.replace(word))
    assert [bench.operation(each).state for each in (first, second)] == ["succeeded", "succeeded"]
