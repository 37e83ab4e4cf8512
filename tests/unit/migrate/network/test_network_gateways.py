"""OVN gateways in a network drain: what becomes of each, one at a time, and what people and accidents do meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from shared.clouds import AnswerLost
from shared.errors import Permanent, Retry
from shared.store import Database
from tests.support.ovn_memory import MemoryOvn
from tests.support.ovn_nodes import OvnNodes


@pytest.fixture
def ovn() -> MemoryOvn:
    """Four chassis: of net01 to net03, which have agents too, and of gw04, which has none."""
    return MemoryOvn("net01", "net02", "net03", "gw04")


@pytest.fixture
def nodes(database: Database, ovn: MemoryOvn) -> OvnNodes:
    """Three network nodes, a store and a worker."""
    return OvnNodes(database, lambda _cloud: ovn, settle=0)


def steps(nodes: OvnNodes, operation: str, state: str) -> list[str]:
    """The names of the items in a state."""
    return [step["name"] for step in nodes.document(operation)["steps"] if step["state"] == state]


def test_gateways_go_after_ha_routers_and_before_the_others(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """What the host does not carry goes first, and a plan reads OVN once."""
    nodes.router("lan"), nodes.ha_router("edge"), nodes.network("tenants")
    ovn.gateway("a", net01=3, net02=2), ovn.gateway("b", net02=3, net01=2, gw04=1)
    plan = nodes.plan()
    assert [item["name"] for item in plan["items"]] == ["tenants", "edge", "lrp-b", "lrp-a", "lan"]
    assert "does not carry it now" in plan["items"][2]["reason"]
    assert (plan["feasible"], ovn.reads) == (True, 1)


def test_carried_gateways_go_one_at_a_time(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """Those that the host does not carry go together; the next carried one waits until the last is seen elsewhere."""
    idle = [ovn.gateway(f"idle{number}", net02=3, net01=2, net03=1) for number in range(4)]
    carried = [ovn.gateway(f"carried{number}", net01=3, net02=2) for number in range(3)]
    operation = nodes.start()
    nodes.one_slice(operation)
    assert [ovn.priorities(name)["net01"] for name in idle] == [0, 0, 0, 0]
    assert steps(nodes, operation, "lowering") == [f"lrp-idle{number}" for number in range(4)]
    while nodes.document(operation)["state"] != "succeeded":
        nodes.work(0.25)
        assert len([name for name in steps(nodes, operation, "lowering") if "carried" in name]) <= 1
    assert [ovn.carrier(name) for name in carried] == ["net02"] * 3


def test_each_way_that_it_can_not_go_is_named(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """Only candidate, dead others, drained others, pinned ports: reason and way out, and the rest is brought away."""
    ovn.gateway("alone", net01=3), ovn.gateway("dead", net01=3, net03=2), ovn.gateway("fine", net01=3, net02=2)
    ovn.dead, ovn.pinned = {"net03"}, ["lrp-pinned"]
    document = nodes.empty()
    assert document["state"] == "halted"
    assert nodes.left(document) == {
        "ovn-gateway lrp-alone": "net01 is its only candidate",
        "ovn-gateway lrp-dead": "no other candidate lives (net03)",
        "ovn-gateway lrp-pinned": (
            "port lrp-pinned is pinned to net01 by the option `chassis` of its router or port, and no other chassis "
            "is a candidate"
        ),
    }
    assert all(entry["way_out"] for entry in document["summary"]["left"])
    assert "net01 is not empty; nobody else carries" in document["note"]
    assert not nodes.l3["net01"].admin_up, "its agents have nothing to do with it"
    ovn.dead, ovn.pinned = set(), []
    ovn.gateway("alone", net01=3, net02=1)
    nodes.control("resume", document["id"])
    assert nodes.run(document["id"])["state"] == "succeeded"


def test_of_two_drains_the_second_keeps_the_last_candidate(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """While the first one lives its host takes nothing; when it has ended, its lowered place does not count."""
    name = ovn.gateway("edge", net01=3, gw04=2)
    nodes.network("tenants"), setattr(nodes.dhcp["net02"], "mute", True)
    first = nodes.start()
    nodes.work(2)
    second = nodes.empty("gw04")
    assert second["state"] == "halted"
    assert "all other candidates are being drained (net01)" in second["note"]
    assert nodes.run(first)["state"] == "halted"
    assert "all other candidates are being drained (gw04)" in nodes.document(first)["note"]
    nodes.control("cancel", second["id"])
    nodes.run(second["id"])
    nodes.control("resume", first)
    assert nodes.run(first)["state"] == "succeeded"
    assert ovn.carrier(name) == "gw04"
    third = nodes.empty("gw04")
    assert "all other living candidates are drained (net01)" in third["note"]


def test_a_gateway_that_nobody_takes_over_comes_back(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """OVN does not follow within a minute: the priority is restored, and the drain halts and says where to look."""
    name = ovn.gateway("edge", net01=3, net02=2, net03=1)
    ovn.stuck = True
    document = nodes.empty()
    assert document["state"] == "halted"
    assert "net01 still carries cr-lrp-edge, 60 s after net01 got the lowest priority" in document["note"]
    assert "ovn-controller on net02" in document["summary"]["left"][0]["way_out"]
    assert (ovn.priorities(name), ovn.marks(name)) == ({"net01": 3, "net02": 2, "net03": 1}, 0)
    ovn.stuck = False
    nodes.control("resume", document["id"])
    assert nodes.run(document["id"])["state"] == "succeeded"


def test_what_comes_during_the_drain_goes_as_well(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """A new router's gateway, and one that comes back since the other chassis died, are looked at anew."""
    name = ovn.gateway("edge", net01=3, net02=2)
    operation = nodes.start()
    nodes.until(lambda: nodes.document(operation)["state"] == "running" and not ovn.priorities(name)["net01"])
    new = ovn.gateway("new", net01=3, net02=2)
    assert nodes.run(operation)["state"] == "succeeded"
    assert ovn.carrier(new) == "net02"
    assert "item came during the drain" in [row.act for row in nodes.audit(operation)]

    nodes.give_back()
    nodes.network("tenants")
    operation = nodes.start()
    nodes.until(lambda: ovn.carrier(name) == "net02")
    nodes.until(lambda: "lrp-edge" in steps(nodes, operation, "done"))
    ovn.dead = {"net02"}
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "lrp-edge (no other candidate lives (net02))" in document["note"]
    assert "item came back" in [row.act for row in nodes.audit(operation)]


def test_a_deleted_router_needs_no_carrier(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """It is gone, and does not count."""
    name = ovn.gateway("edge", net01=3, net02=2)
    nodes.before("lower", lambda: ovn.remove(name))
    document = nodes.empty()
    assert document["state"] == "succeeded"
    assert steps(nodes, document["id"], "gone") == ["lrp-edge"]
    assert document["summary"]["total"] == 0


def test_somebody_who_wants_it_here_is_not_overruled(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """A priority that is raised again during the drain halts it; the undrain leaves it as it is."""
    name, other = ovn.gateway("edge", net01=3, net02=2, net03=1), ovn.gateway("other", net01=3, net02=2)
    nodes.network("tenants")
    operation = nodes.start()
    nodes.until(lambda: ovn.carrier(name) == ovn.carrier(other) == "net02")
    ovn.write(name, "net01", 9)
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "found net01 at priority 9, expected the 0 that this drain has set" in document["note"]
    nodes.control("cancel", operation)
    assert "net01 keeps the lowest priority in OVN" in nodes.run(operation)["note"]
    nodes.give_back()
    assert ovn.priorities(name) == {"net01": 9, "net02": 2, "net03": 1}
    assert ovn.priorities(other) == {"net01": 3, "net02": 2}


def test_candidates_that_neutron_ranks_anew_are_no_obstacle(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """It keeps their order with other numbers: what counts is that somebody else carries it."""
    name = ovn.gateway("edge", net01=3, net02=2, net03=1)

    nodes.after("lower", lambda: [ovn.write(name, host, rank) for host, rank in (("net02", 4), ("net01", 2))])
    assert nodes.empty()["state"] == "succeeded"
    assert ovn.priorities(name) == {"net01": 2, "net02": 4, "net03": 1}


def _lost() -> None:
    raise AnswerLost("nobody knows")


def _away() -> None:
    raise Retry("no server of OVN_Northbound can be asked", after=15.0)


@pytest.mark.parametrize(("when", "what"), [("before", _lost), ("after", _lost), ("before", _away)])
def test_an_answer_that_is_lost_is_looked_up(
    nodes: OvnNodes, ovn: MemoryOvn, when: str, what: Callable[[], None]
) -> None:
    """What was written is not written again, what was not is."""
    name = ovn.gateway("edge", net01=3, net02=2, net03=1)
    getattr(nodes, when)("lower", what)
    document = nodes.empty()
    assert document["state"] == "succeeded"
    assert ovn.priorities(name) == {"net01": 0, "net02": 2, "net03": 1}
    getattr(nodes, when)("restore", what)
    assert nodes.give_back()["note"].endswith("restored: the priority of 1 OVN gateway")
    assert ovn.priorities(name) == {"net01": 3, "net02": 2, "net03": 1}


def test_a_database_that_refuses_sets_the_gateway_aside(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """Its words are the reason; the others go."""
    ovn.gateway("a", net01=3, net02=2), ovn.gateway("b", net01=3, net02=2)

    def refuse() -> None:
        raise Permanent("OVN_Northbound: permission error; nothing was changed")

    nodes.before("lower", refuse)
    document = nodes.empty()
    assert document["state"] == "halted"
    assert nodes.left(document) == {"ovn-gateway lrp-a": "OVN_Northbound: permission error; nothing was changed"}
    assert ovn.carrier("Logical_Router_Port:lrp-b") == "net02"


def test_a_router_without_an_agent_does_not_wait_for_ovn(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """OVN's databases go away between taking it here and giving it elsewhere: it is given first."""
    router = nodes.router("lan")
    ovn.gateway("edge", net01=3, net02=2)
    operation = nodes.start()
    nodes.until(lambda: ovn.carrier("Logical_Router_Port:lrp-edge") == "net02")
    nodes.fake.fail_next(503, of="POST /network")

    def away() -> None:
        nodes.before("gateways", away)
        raise Retry("no server of OVN_Northbound can be asked", after=15.0)

    nodes.when_requested("DELETE", lambda: nodes.before("gateways", away))
    nodes.until(lambda: nodes.carrier(router) == "net02", seconds=30)
    nodes.work(60)
    assert nodes.document(operation)["note"] == "no server of OVN_Northbound can be asked"


def test_a_pause_starts_nothing_and_a_cancel_without_undo_restores_nothing(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """What was lowered is followed; the rest stays; the note says how to restore it."""
    first, second = ovn.gateway("a", net01=3, net02=2, net03=1), ovn.gateway("b", net01=3, net02=2, net03=1)
    operation = nodes.start()
    nodes.after("lower", lambda: nodes.control("pause", operation))
    assert nodes.run(operation)["state"] == "paused"
    nodes.work(30)
    assert (ovn.carrier(first), ovn.carrier(second)) == ("net02", "net01")
    assert steps(nodes, operation, "done") == ["lrp-a"]
    nodes.control("cancel", operation)
    document = nodes.run(operation)
    assert document["note"] == (
        "net01 keeps the lowest priority in OVN: `drover undrain-network net01` restores what was there"
    )
    assert nodes.left(document) == {"ovn-gateway lrp-b": "not brought away when the drain was cancelled"}


def test_an_undo_leaves_what_an_earlier_drain_has_lowered(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """Each operation takes back its own; an undrain takes back all."""
    first = ovn.gateway("first", net01=3, net02=2, net03=1)
    assert nodes.empty()["state"] == "succeeded"
    second = ovn.gateway("second", net01=3, net02=2, net03=1)
    ovn.gateway("alone", net01=3)
    document = nodes.empty()
    nodes.control("cancel", document["id"], undo=True)
    assert "restored: the priority of 1 OVN gateway" in nodes.run(document["id"])["note"]
    assert (ovn.priorities(first)["net01"], ovn.priorities(second)["net01"]) == (0, 3)
    nodes.give_back()
    assert ovn.priorities(first)["net01"] == 3


def test_a_host_that_is_a_chassis_alone(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """It has no agents, and is drained and given back all the same; a host that is neither is refused."""
    name = ovn.gateway("edge", gw04=3, net02=2, net03=1)
    assert nodes.empty("gw04")["state"] == "succeeded"
    assert ovn.carrier(name) == "net02"
    assert nodes.give_back("gw04")["note"] == "restored: the priority of 1 OVN gateway"
    assert nodes.give_back("gw04")["note"] == "the agents of gw04 are enabled already"
    assert "nor a chassis in OVN" in nodes.ask("gw05", "network-drain").data["reason"]


def test_settings_that_went_away_do_not_count_as_proof(nodes: OvnNodes, ovn: MemoryOvn) -> None:
    """A drain that has gateways and is told of no OVN any more halts."""
    ovn.gateway("edge", net01=3, net02=2)
    operation = nodes.start()
    nodes.one_slice(operation)
    nodes._find = lambda _cloud: None
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "are not set any more" in document["note"]


def test_settings_that_can_not_be_used_are_a_refusal(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer names the variable, and nothing is stored."""
    monkeypatch.setenv("DROVER_OVN_NB", "http://ovn")
    nodes = OvnNodes(database, settle=0)
    reply = nodes.ask("net01", "network-drain")
    assert reply.type == "io.drover.network-drain.rejected"
    assert "DROVER_OVN_NB" in reply.data["reason"]
    assert nodes.operations() == []


def test_without_settings_nothing_of_ovn_is_loaded() -> None:
    """Neither its client nor its settings, for a cold start."""
    code = (
        "import sys; from functions.migrate.network.drain import NetworkDrain; "
        "assert NetworkDrain()._ovn('paris') is None; "
        "print([name for name in sys.modules if name.endswith(('.ovn', '.ovn_wire', '.ovn_settings'))])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DROVER_OVN_")}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert out.stdout.strip() == "[]"
