"""A process may die or freeze anywhere while it lowers gateways or gives them back: another goes on, nothing is lost.

Every point around a commit, and so around a transaction, is tried with `DROVER_THOROUGH=1`; else a sample.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.store import Database
from tests.support.crashes import Died, Points
from tests.support.drains import LEASE
from tests.support.ovn_memory import MemoryOvn
from tests.support.ovn_nodes import OvnNodes
from tests.support.stores import copied

THOROUGH = os.environ.get("DROVER_THOROUGH") == "1"
STEP = 4
"""Every fourth point is tried, unless all are."""

Fresh = Callable[[], tuple[OvnNodes, MemoryOvn]]

EDGE, IDLE = {"gw04": 3, "net02": 2, "net03": 1}, {"net02": 2, "gw04": 0, "net03": 0}
"""Two gateways' priorities; others have to make room in the second one."""


@pytest.fixture
def fresh(template: Path, tmp_path: Path) -> Iterator[Fresh]:
    """Makes clouds with stores of their own."""
    stores: list[Database] = []

    def make() -> tuple[OvnNodes, MemoryOvn]:
        directory = tmp_path / str(len(stores))
        directory.mkdir()
        stores.append(copied(template, directory))
        ovn = MemoryOvn("net02", "net03", "gw04")
        ovn.gateway("edge", **EDGE), ovn.gateway("idle", **IDLE)
        return OvnNodes(stores[-1], lambda _cloud: ovn, settle=0, nodes=0), ovn

    yield make
    for store in stores:
        store.close()


def carry_on(nodes: OvnNodes, operation: str, at: int, frozen: bool) -> bool:
    """Die at a point, or freeze there while another takes over; whether there was such a point."""

    def strike() -> None:
        if not frozen:
            raise Died
        nodes.clock.advance(LEASE + 1)
        nodes.run(operation, engine=nodes.worker())

    points = Points(nodes, at, strike, frozen=frozen)
    try:
        nodes.run(operation)
    except Died:
        nodes.run(operation, engine=nodes.worker())
    points.stop()
    return bool(points.struck)


def everywhere(fresh: Fresh, kind: str, frozen: bool) -> Iterator[tuple[OvnNodes, MemoryOvn, str]]:
    """The world after an operation whose process stopped at a point, for each of these points."""
    for at in range(1, 200, 1 if THOROUGH else STEP):
        nodes, ovn = fresh()
        if kind == "network-undrain":
            nodes.empty("gw04")
        operation = nodes.begin("gw04", kind)
        struck = carry_on(nodes, operation, at, frozen)
        yield nodes, ovn, operation
        if not struck:
            assert at > STEP
            return
    raise AssertionError("it never ends")


@pytest.mark.parametrize("frozen", [False, True])
def test_a_drain_goes_on_after_a_crash_anywhere(fresh: Fresh, frozen: bool) -> None:
    """In the end both gateways are below all others, each change is on record, and one undrain restores all."""
    for nodes, ovn, operation in everywhere(fresh, "network-drain", frozen):
        assert nodes.document(operation)["state"] == "succeeded"
        edge, idle = "Logical_Router_Port:lrp-edge", "Logical_Router_Port:lrp-idle"
        assert ovn.priorities(edge) == {"gw04": 0, "net02": 2, "net03": 1}
        assert ovn.priorities(idle) == {"net02": 2, "gw04": 0, "net03": 1}
        rows = [row for row in nodes.audit(operation) if row.act == "lower gateway"]
        assert {row.subject for row in rows} == {edge, idle}
        assert {(row.before["gw04"], row.after["gw04"]) for row in rows if row.subject == edge} == {(3, 0)}
        nodes.give_back("gw04")
        assert (ovn.priorities(edge), ovn.priorities(idle)) == (EDGE, IDLE)


@pytest.mark.parametrize("frozen", [False, True])
def test_an_undrain_goes_on_after_a_crash_anywhere(fresh: Fresh, frozen: bool) -> None:
    """In the end all priorities are as before, without a mark, and it says how many."""
    for nodes, ovn, operation in everywhere(fresh, "network-undrain", frozen):
        assert nodes.document(operation)["note"] == "restored: the priority of 2 OVN gateways"
        for name, before in (("edge", EDGE), ("idle", IDLE)):
            assert ovn.priorities(f"Logical_Router_Port:lrp-{name}") == before
            assert ovn.marks(f"Logical_Router_Port:lrp-{name}") == 0
