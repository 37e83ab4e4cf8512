"""Which priorities a drain writes into OVN's rows, what puts them back, and what stands in the way."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.migrate.network.ovn_model import Candidate, Gateway, Look, Mark
from functions.migrate.network.ovn_plan import (
    HIGHEST,
    Write,
    arrange,
    carried_elsewhere,
    is_lowest,
    obstacle,
    pinned,
    to_lower,
    to_restore,
)

PRIORITIES = st.integers(0, HIGHEST) | st.integers(0, 6) | st.integers(HIGHEST - 6, HIGHEST)
NAMES = st.sampled_from("abcdefgh")
ROWS = st.dictionaries(NAMES, PRIORITIES, min_size=1)
NAME = "Logical_Router_Port:lrp"


def candidate(chassis: str, priority: int, alive: bool = True, mark: Mark | None = None) -> Candidate:
    """A row whose id is its chassis' name, of a host that has it too."""
    return Candidate(chassis, chassis, priority, mark.ids if mark else {}, chassis, alive)


def gateway(*candidates: Candidate, carrier: str | None = "a") -> Gateway:
    """One gateway port."""
    return Gateway(NAME, "parent", candidates, {"cr-lrp": carrier})


def look(host: str, it: Gateway) -> Look:
    """A look at it by one host."""
    alive = frozenset(row.chassis for row in it.candidates if row.alive)
    return Look(host, frozenset({host}), alive, (it,), ())


def of(rows: dict[str, int], carrier: str | None = "a") -> Gateway:
    """A gateway without marks."""
    return gateway(*(candidate(name, priority) for name, priority in rows.items()), carrier=carrier)


def after(it: Gateway, writes: tuple[Write, ...]) -> Gateway:
    """The gateway when the database has taken the writes."""
    rows = {row.row: row for row in it.candidates}
    for write in writes:
        ids = write.mark.ids if write.mark else {}
        rows[write.candidate.row] = replace(write.candidate, priority=write.priority, ids=ids)
    return replace(it, candidates=tuple(rows.values()))


def priorities(it: Gateway) -> dict[str, int]:
    """Each row's priority."""
    return {row.row: row.priority for row in it.candidates}


@given(ROWS, st.frozensets(NAMES))
def test_lowered_ones_are_below_and_the_order_of_both_stays(rows: dict[str, int], lowered: frozenset[str]) -> None:
    """All lowered ones come below all others; within each part the order and equalities are as before, in range."""
    arranged = arrange(rows, lowered)
    assert arranged.keys() == rows.keys()
    assert all(0 <= priority <= HIGHEST for priority in arranged.values())
    low, rest = lowered & rows.keys(), rows.keys() - lowered
    assert all(arranged[one] < arranged[other] for one in low for other in rest)
    for one in rest:
        assert arranged[one] >= rows[one]
        for other in rest:
            assert (arranged[one] < arranged[other]) == (rows[one] < rows[other])
    for one in low:
        for other in low:
            assert rows[one] >= rows[other] or arranged[one] < arranged[other]


@given(ROWS, st.frozensets(NAMES))
def test_nobody_moves_who_is_not_in_the_way(rows: dict[str, int], lowered: frozenset[str]) -> None:
    """A candidate that stands above all places that the lowered ones need keeps its priority, if it can."""
    arranged = arrange(rows, lowered)
    assert arrange(rows, frozenset()) == rows
    rest = sorted({rows[row] for row in rows.keys() - lowered})
    if rest and rest[0] >= len(lowered & rows.keys()):
        assert all(arranged[row] == rows[row] for row in rows.keys() - lowered)


@given(ROWS, st.lists(NAMES, max_size=6))
def test_restoring_is_the_inverse_in_any_order(rows: dict[str, int], order: list[str]) -> None:
    """Several hosts are lowered in some order and restored in another: in the end every row is as it was, unmarked."""
    before = it = of(rows)
    for host in order:
        it = after(it, to_lower(look(host, it), it, f"drain of {host}"))
        assert is_lowest(look(host, it), it)
        assert to_lower(look(host, it), it, "again") == ()
    for host in sorted(set(order)):
        it = after(it, to_restore(look(host, it), it))
        assert to_restore(look(host, it), it) == ()
    assert it == before


@given(ROWS, NAMES, NAMES, PRIORITIES)
def test_a_strangers_priority_survives_the_restore(
    rows: dict[str, int], host: str, changed: str, priority: int
) -> None:
    """Whatever somebody else writes into one row after the lowering is there after the restore."""
    it = of(rows)
    it = after(it, to_lower(look(host, it), it, "drain"))
    found = {row.row: row for row in it.candidates}
    if changed not in found or found[changed].priority == priority:
        return
    found[changed] = replace(found[changed], priority=priority)
    it = replace(it, candidates=tuple(found.values()))
    if not found.get(host, candidate(host, 0)).mark:
        return  # it was the lowest already: there is nothing to restore
    restored = priorities(after(it, to_restore(look(host, it), it)))
    assert restored == rows | {changed: priority}


def test_the_lowest_one_is_left_alone() -> None:
    """A host that carries nothing and never would before the others is not written to, and leaves no mark."""
    it = of({"a": 30, "b": 20, "c": 10})
    assert to_lower(look("c", it), it, "drain") == ()
    assert to_restore(look("c", it), it) == ()


def test_both_chassis_of_one_host_are_lowered() -> None:
    """A host with two chassis keeps their order, below the third."""
    it = of({"a": 30, "b": 20, "c": 10})
    both = replace(look("a", it), chassis=frozenset({"a", "b"}))
    assert priorities(after(it, to_lower(both, it, "drain"))) == {"a": 1, "b": 0, "c": 10}


DEAD = candidate("b", 20, alive=False)
DRAINED = candidate("b", 0, mark=Mark(20, 0, "another"))
OVERRIDDEN = candidate("a", 40, mark=Mark(30, 0, "drain"))


@pytest.mark.parametrize(
    ("candidates", "why"),
    [
        ([candidate("a", 30), candidate("b", 20)], None),
        ([candidate("a", 30), DEAD, candidate("c", 1)], None),
        ([candidate("a", 30)], "a is its only candidate; make another chassis a candidate"),
        ([candidate("a", 30), DEAD], r"no other candidate lives \(b\); start ovn-controller there"),
        ([candidate("a", 30), DRAINED], r"all other living candidates are drained \(b\); give one back first"),
        ([candidate("a", 30), DRAINED, candidate("c", 1)], None),
        ([OVERRIDDEN, candidate("b", 20)], "found a at priority 40, expected the 0 that this drain has set"),
        ([replace(OVERRIDDEN, priority=10), candidate("b", 20)], None),
    ],
)
def test_what_stands_in_the_way_is_said_with_a_way_out(candidates: list[Candidate], why: str | None) -> None:
    """A gateway is only given up to a living candidate that is not drained itself, and not against somebody's will."""
    it = gateway(*candidates)
    found = obstacle(look("a", it), it, "drain")
    if why is None:
        assert found is None
    else:
        assert found
        assert re.search(why, f"{found.reason}; {found.way_out}")


def test_an_older_drains_mark_is_no_obstacle() -> None:
    """What an earlier drain left, and somebody changed since, does not hold up a new one, which keeps what it found."""
    it = gateway(OVERRIDDEN, candidate("b", 20))
    assert obstacle(look("a", it), it, "a later drain") is None
    lowered = after(it, to_lower(look("a", it), it, "a later drain"))
    assert lowered.candidates[0].mark == Mark(40, 0, "a later drain", "a")


def test_a_gateway_that_is_carried_by_nobody_is_no_obstacle() -> None:
    """A port that the southbound database does not know has no users who could lose it."""
    it = replace(of({"a": 30}), carriers={})
    assert obstacle(look("a", it), it) is None
    assert carried_elsewhere(look("a", it), NAME).elsewhere


@pytest.mark.parametrize(
    ("carrier", "elsewhere", "why"),
    [
        ("b", True, "cr-lrp by b"),
        ("a", False, "a still carries cr-lrp"),
        (None, False, "no chassis carries cr-lrp now"),
        ("d", False, "bound to d, which does not live"),
    ],
)
def test_the_proof_is_a_living_carrier_elsewhere(carrier: str | None, elsewhere: bool, why: str) -> None:
    """Only a living chassis of another host is proof; each other answer says what is missing."""
    it = gateway(candidate("a", 0), candidate("b", 20), candidate("d", 10, alive=False), carrier=carrier)
    found = carried_elsewhere(look("a", it), NAME)
    assert (found.elsewhere, why in found.why) == (elsewhere, True)


def test_a_gateway_that_has_gone_needs_no_carrier_but_a_host_without_chassis_proves_nothing() -> None:
    """A deleted router is done; a host whose chassis is not known any more has to be looked at with what it had."""
    it = of({"a": 30})
    assert carried_elsewhere(look("a", it), "Logical_Router_Port:gone").elsewhere
    assert not carried_elsewhere(replace(look("a", it), chassis=frozenset()), NAME).elsewhere


def test_a_pinned_port_is_explained() -> None:
    """The reason names the port, the host and what its users lose."""
    assert "port lrp-x is pinned to a" in pinned(look("a", of({"a": 1})), "lrp-x").reason


def test_a_mark_that_somebody_garbled_counts_as_none() -> None:
    """external_ids are everybody's: text where a number was, or a half of the keys, is no mark."""
    assert Mark.of(Mark(30, 0, "drain", "net01").ids) == Mark(30, 0, "drain", "net01")
    assert Mark.of(Mark(30, 1).ids) == Mark(30, 1)
    assert Mark.of({"drover-priority-before": "30"}) is None
    assert Mark.of({"drover-priority-before": "x", "drover-priority-written": "0"}) is None
