"""The orders in which servers are found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lab.simulator.index import Servers
from lab.simulator.records import Server

START = datetime(2026, 1, 1, tzinfo=UTC)
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "move", "touch", "pop"]), st.integers(0, 9), st.sampled_from(["a", "b", None])),
    max_size=60,
)


def make(number: int, host: str | None, time: datetime) -> Server:
    """A server of one of two projects."""
    return Server(f"s{number}", f"vm-{number}", host, f"p{number % 2}", time, time)


@given(STEPS, st.integers(0, 60))
def test_every_order_is_that_of_the_whole_list(steps: list[tuple[str, int, str | None]], back: int) -> None:
    """However servers come, move, change and go: each list is what a walk through all of them would find."""
    index, order, gone, time = Servers(), [], {}, START
    index.seal(START)
    for number, (step, which, host) in enumerate(steps):
        time += timedelta(seconds=1)
        if step == "add":
            order.append(make(number, host, time))
            index.add(order[-1])
        elif order:
            server = order[which % len(order)]
            if step == "move":
                server.host = host
            if step == "pop" and server.id in index:
                gone[server.id] = index.pop(server.id)
            server.updated = time
    there = [server for server in reversed(order) if server.id in index]
    assert list(index.newest_first()) == there
    for host in ("a", "b", None):
        assert index.on(host) == [server for server in there if server.host == host]
    assert index.of("p1") == [server for server in there if server.project == "p1"]
    since = time - timedelta(seconds=back)
    assert index.since(since, gone) == [server for server in reversed(order) if server.updated >= since]


def test_a_page_begins_behind_its_marker() -> None:
    """What comes before the marker is not looked at again."""
    index = Servers()
    for number in range(5):
        index.add(make(number, "a", START))
    marker = index["s3"]
    assert [server.id for server in index.newest_first(marker.number)] == ["s2", "s1", "s0"]
