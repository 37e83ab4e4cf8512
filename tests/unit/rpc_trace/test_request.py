"""The tree of RPCs beneath one user request, across processes and services."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functions.rpc_trace import request
from functions.rpc_trace.processes import Processes
from functions.rpc_trace.tree import tree_document
from tests.support.firehose import BEGIN, CallStory, Event, analysed, cast, failure

OWN, ELSEWHERE, NOVA = "req-own", "req-neutron", "req-global"


def tree(events: list[Event], request_id: str = OWN) -> dict[str, Any]:
    """The document of one request id."""
    analysis = analysed(sorted(events, key=lambda event: event.at), BEGIN + 300, request_id)
    assert analysis.trace is not None
    return tree_document(analysis.trace)


def chain() -> list[Event]:
    """An API calls a conductor; while it works on that it calls the scheduler, then casts to a compute host."""
    context = {"request_id": OWN, "global_request_id": NOVA}
    top = CallStory(1, method="build", topic="conductor", server="", client="api", work=5.0, context=context)
    beneath = CallStory(2, BEGIN + 1, "select", "scheduler", "", client="conductor", work=1.0, context=context)
    # What the conductor sends goes out on the connection that its replies go out on.
    process = f"{top.key}:out"
    moved = [Event(one.at, one.key, one.headers | {"connection": process}, one.body)
             if one.headers["connection"].startswith("conductor") else one for one in beneath.events]  # fmt: skip
    sent = cast(3, BEGIN + 3, "run", **{"_context_request_id": OWN, "_context_global_request_id": NOVA})
    sent[0] = Event(sent[0].at, sent[0].key, sent[0].headers | {"connection": process}, sent[0].body)
    return [*top.events, *moved, *sent]


def test_children_are_beneath_what_their_sender_was_at_work_on() -> None:
    """The conductor's calls and casts lie under the call that the conductor served."""
    document = tree(chain())
    (top,) = document["tree"]
    assert (top["method"], [child["method"] for child in top["children"]]) == ("build", ["select", "run"])
    assert (document["requests"], document["own"], document["by_global_id"]) == (3, 3, 0)
    assert (document["calls"], document["casts"], document["replies"]) == (2, 1, 2)
    assert document["seconds"] == pytest.approx(5.003, abs=1e-5)


def test_other_services_are_found_by_the_global_id() -> None:
    """Neutron works for Nova under an id of its own, and names Nova's."""
    other = CallStory(9, BEGIN + 1, context={"request_id": ELSEWHERE, "global_request_id": OWN})
    stranger = CallStory(10, BEGIN + 1, context={"request_id": "req-other"})
    mine = CallStory(8, context={"request_id": OWN})
    document = tree([*mine.events, *other.events, *stranger.events])
    assert (document["requests"], document["own"], document["by_global_id"]) == (2, 1, 1)
    assert document["replies"] == 2


def test_a_request_published_again_counts_again() -> None:
    """As everywhere, each publishing counts; it is one node."""
    story = CallStory(8, context={"request_id": OWN})
    document = tree([*story.events, story.request])
    assert (document["requests"], document["calls"]) == (2, 1)


def test_replies_count_in_any_order() -> None:
    """A reply that is shown before its request is of this request too."""
    story = CallStory(8, context={"request_id": OWN})
    analysis = analysed(reversed(story.events), BEGIN + 300, OWN)
    assert analysis.trace is not None
    assert tree_document(analysis.trace)["replies"] == 1


def test_a_node_says_what_is_known() -> None:
    """Times, sizes, arguments by name and length, and the verdict."""
    story = CallStory(8, args={"password": "secret"}, failure=failure("Boom"), context={"request_id": OWN}, wait=0.5)
    (node,) = tree(story.events)["tree"]
    assert (node["kind"], node["service"], node["topic"], node["server"]) == (
        "call",
        "nova",
        "compute",
        "compute.cmp01",
    )
    assert (node["verdict"], node["failure"], node["answered"]) == ("server_exception", "builtins.Boom", True)
    assert node["arguments"] == {"password": 8}
    assert node["queue_wait"] == 0.5
    assert node["bytes"] == len(story.request.body)


def test_names_are_clean() -> None:
    """Control characters of a foreign client reach no terminal."""
    odd = "a\x1b[31m"
    story = CallStory(8, method=odd, server=odd, exchange=odd, args={odd: 1}, context={"request_id": OWN})
    assert "\\u001b" not in json.dumps(tree(story.events))


def test_a_request_that_is_not_there() -> None:
    """The tree is empty, and says for whom."""
    document = tree(CallStory(1).events, "req-nowhere")
    assert (document["request_id"], document["requests"], document["tree"]) == ("req-nowhere", 0, [])


def test_a_huge_request_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not kept is counted."""
    monkeypatch.setattr(request, "MOST_NODES", 10)
    document = tree([one for number in range(25) for one in CallStory(number, context={"request_id": OWN}).events])
    assert (document["requests"], document["calls"], document["dropped"]) == (25, 10, 15)


def test_an_endless_chain_is_bounded_in_depth() -> None:
    """Two processes that cast to each other for ever: every cast is in the tree, which can still be printed."""
    events: list[Event] = []
    for number in range(600):
        here, there = ("a", "b") if number % 2 else ("b", "a")
        sent, taken = cast(number, BEGIN + number, key=f"compute.{there}", _context_request_id=OWN)
        events.append(Event(sent.at, sent.key, sent.headers | {"connection": f"compute.{here}:in"}, sent.body))
        events.append(taken)
    document = tree(events)

    def depth(nodes: list[dict[str, Any]]) -> int:
        return max((1 + depth(node["children"]) for node in nodes), default=0)

    def number_of(nodes: list[dict[str, Any]]) -> int:
        return sum(1 + number_of(node["children"]) for node in nodes)

    assert number_of(document["tree"]) == document["casts"] == 600
    assert 10 < depth(document["tree"]) <= request.MOST_DEPTH + 1


def test_no_rpc_is_lost_when_things_are_shown_in_the_wrong_order() -> None:
    """Two that seem to be each other's parent: one is above the other, and both are there."""
    one = cast(1, BEGIN + 0.002, key="compute.a", wait=-0.002, _context_request_id=OWN)
    other = cast(2, BEGIN + 0.003, key="compute.b", wait=-0.002, _context_request_id=OWN)
    events = [
        Event(sent.at, sent.key, sent.headers | {"connection": f"compute.{sender}:in"}, sent.body)
        for sent, sender in ((one[0], "b"), (other[0], "a"))
    ]
    document = tree([*events, one[1], other[1]])
    (top,) = document["tree"]
    assert len(top["children"]) == 1


def test_connections_of_one_process() -> None:
    """Who takes the replies published the call; who takes the requests publishes the replies."""
    processes = Processes()
    for number in range(2):
        analysed_call = CallStory(number, client="api", server="cmp01")
        for call in _calls(analysed_call):
            processes.see(call)
    assert processes.of("api:out") == processes.of("api:in")
    assert processes.of("compute.cmp01:in") == processes.of("compute.cmp01:out")
    assert processes.of("api:out") != processes.of("compute.cmp01:in")
    assert processes.of("nobody") == "nobody"


def test_alternative_topics_of_nova_are_one_process() -> None:
    """`compute-alt.cmp01` is served by the same nova-compute as `compute.cmp01`."""
    processes = Processes()
    processes.serves("one", "compute.cmp01")
    processes.serves("two", "compute-alt.cmp01")
    processes.serves("three", "compute.cmp02")
    assert processes.of("one") == processes.of("two") != processes.of("three")
    again = Processes()
    again.rejoin(processes.joined())
    assert again.of("one") == again.of("two")


def _calls(story: CallStory) -> list[Any]:
    analysis = analysed(story.events, BEGIN + 300, story.context.get("request_id", "x"))
    found: list[Any] = []
    analysis.correlator._on_call = found.append
    for event in story.events:
        analysis.correlator.take(event.sighting)
    analysis.correlator.end()
    return found
