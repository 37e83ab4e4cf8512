"""What a process was at work on: found quickly, and always what looking at everything would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functions.rpc_trace.at_work import DISORDER, AtWork
from functions.rpc_trace.call import Call, Cast
from functions.rpc_trace.request import Node

MOMENTS = st.integers(0, 40).map(lambda number: number * DISORDER / 2)


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    """A call or a cast, whole or in part, in any order of things."""
    begin, delivered = draw(MOMENTS), draw(st.none() | MOMENTS)
    if draw(st.booleans()):
        return Node(Cast("c", begin, published=begin, delivered=delivered))
    return Node(Call("m", begin, published=begin, delivered=delivered, replied=draw(st.none() | MOMENTS)))


def looked_at_all(served: list[Node], begin: float) -> Node | None:
    """The rule, word for word."""

    def was_open(other: Node) -> bool:
        rpc = other.rpc
        if other.begin >= begin or rpc.delivered is None or rpc.delivered > begin + DISORDER:
            return False
        return not isinstance(rpc, Call) or rpc.replied is None or rpc.replied >= begin - DISORDER

    return max(filter(was_open, served), key=lambda node: node.rpc.delivered or 0.0, default=None)


@given(st.lists(nodes(), max_size=12), st.lists(MOMENTS, max_size=12))
def test_it_finds_what_looking_at_all_would_find(served: list[Node], moments: list[float]) -> None:
    """At each of a number of moments, one after the other."""
    served.sort(key=lambda node: node.begin)
    process = AtWork(served)
    for begin in sorted(moments):
        assert process.last(begin) is looked_at_all(served, begin)
