"""The consumers' side: servers that take calls and never answer, and queues from which nobody takes."""

from __future__ import annotations

from typing import Any

import pytest

from functions.rpc_trace.backlog import describe
from functions.rpc_trace.consumers import silent_servers
from tests.support.firehose import BEGIN, CallStory, Event, analysed, failure


def silent(*events: Event) -> list[dict[str, Any]]:
    """Who left calls without an answer."""
    return silent_servers(analysed(events, BEGIN + 300))


def test_healthy_servers_are_not_named() -> None:
    """Nor those that answer with exceptions."""
    assert silent(*CallStory(1).events, *CallStory(2, failure=failure()).events) == []


def test_a_server_that_takes_and_never_answers_is_deaf() -> None:
    """The sentence says it in an operator's words."""
    (row,) = silent(*(event for number in range(3) for event in CallStory(number, server="cmp07").events[:2]))
    assert (row["topic"], row["server"], row["server_stuck"], row["deaf"]) == ("compute", "cmp07", 3, True)
    assert row["text"] == "nova-compute on cmp07 is RPC-deaf: it took 3 calls and answered none"


def test_a_server_that_answers_sometimes_is_not_deaf() -> None:
    """It lost calls, and that is told."""
    (row,) = silent(*CallStory(1).events, *CallStory(2).events[:2])
    assert (row["deaf"], row["lost"]) == (False, 1)
    assert "took 1 calls and did not answer" in row["text"]


def test_the_worst_comes_first_with_each_cause() -> None:
    """No route, backlog and stuck are told apart."""
    events = [CallStory(1, server="gone", queues=[]).request]
    events += [CallStory(number, server="full").request for number in (2, 3)]
    first, second = silent(*events)
    assert (first["server"], first["backlog"], second["server"], second["no_route"]) == ("full", 2, "gone", 1)
    assert "nobody takes from it" in first["text"]
    assert "has no queue" in second["text"]


def test_a_topic_without_any_server() -> None:
    """Nobody is named, so all are meant."""
    (row,) = silent(CallStory(1, topic="conductor", server="", queues=[]).request)
    assert row["text"].startswith("every nova-conductor has no queue")


@pytest.mark.parametrize(
    ("messages", "taken", "consumers", "text"),
    [
        (5, 0, 0, "its consumer is gone"),
        (5, 5, 1, "acknowledged none"),
        (5, 1, 2, "slower than they come"),
        (0, 0, 0, None),
        (0, 0, 1, None),
    ],
)
def test_queues_that_need_a_look(messages: int, taken: int, consumers: int, text: str | None) -> None:
    """Messages and no consumer, or one that takes and does nothing."""
    row = {"name": "compute.cmp01", "messages": messages, "messages_unacknowledged": taken, "consumers": consumers}
    found = describe(row)
    assert (found is None) == (text is None)
    assert found is None or (text is not None and text in found["text"])
