"""The end of a network drain: disabling, failing over, the proof, and what people do meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from functions.migrate.network.slice import NetworkSlice
from tests.support.nodes import Nodes

MARKED = "drover network-drain "


def test_an_agent_that_somebody_disabled_keeps_its_description(nodes: Nodes) -> None:
    """It is emptied all the same, and an undrain leaves it disabled."""
    agent = nodes.l3["net01"]
    agent.admin_up, agent.description = False, "broken, see ticket 12"
    net = nodes.network("tenants")
    document = nodes.empty()
    assert document["state"] == "succeeded"
    assert agent.description == "broken, see ticket 12"
    back = nodes.give_back()
    assert back["state"] == "succeeded"
    assert agent.id in back["note"]
    assert (agent.admin_up, nodes.dhcp["net01"].admin_up) == (False, True)
    assert nodes.hosts_of(net) == ["net02"]


def test_the_description_that_was_there_is_restored(nodes: Nodes) -> None:
    """It stands behind the mark as long as the agent is disabled."""
    agent = nodes.l3["net01"]
    agent.description = "rack 7, left"
    document = nodes.empty()
    assert agent.description == f"{MARKED}{document['id'][:8]}: a fan is broken | was: rack 7, left"
    back = nodes.give_back(reason="the fan runs")
    assert (back["state"], agent.admin_up, agent.description) == ("succeeded", True, "rack 7, left")
    assert "DHCP agent, L3 agent of net01" in back["note"]
    assert nodes.dhcp["net01"].description is None
    (entry,) = [each for each in nodes.audit(back["id"]) if each.subject == agent.id]
    assert (entry.act, entry.who, entry.why) == ("enable agent", "nina", "the fan runs")
    assert nodes.give_back()["note"] == "the agents of net01 are enabled already"


def test_an_undrain_moves_nothing_back(nodes: Nodes) -> None:
    """It says so; the HA router has this agent to fail over to again."""
    lan, edge = nodes.router("lan"), nodes.ha_router("edge")
    nodes.empty()
    assert "stay where they are" in nodes.give_back()["note"]
    nodes.clock.advance(30)
    assert nodes.carrier(lan) != "net01"
    nodes.fake.network.set_dead(nodes.l3["net02"], True)
    nodes.clock.advance(10)
    assert nodes.carrier(edge) == "net01"


def test_an_undrain_of_what_others_disabled_fails(nodes: Nodes) -> None:
    """It names the command for whoever did it."""
    nodes.l3["net01"].admin_up = False
    document = nodes.give_back()
    assert document["state"] == "failed"
    assert "openstack network agent set --enable" in document["note"]
    assert not nodes.l3["net01"].admin_up


def test_an_undrain_under_a_living_drain_fails(nodes: Nodes) -> None:
    """The drain must be ended first."""
    nodes.router("lan")
    operation = nodes.start()
    nodes.work(2)
    document = nodes.give_back()
    assert document["state"] == "failed"
    assert operation in document["note"]


def test_a_lost_answer_of_the_enabling_is_looked_up(nodes: Nodes) -> None:
    """Each agent is enabled once."""
    nodes.empty()
    nodes.fake.drop_answer_of_next("agent-enable")
    document = nodes.give_back()
    assert document["state"] == "succeeded"
    assert len(nodes.acts("agent-enable")) == 2
    assert nodes.l3["net01"].admin_up


def test_a_lost_answer_of_the_disabling_is_looked_up(nodes: Nodes) -> None:
    """Each agent is disabled once, and is ours."""
    nodes.fake.drop_answer_of_next("agent-disable")
    document = nodes.empty()
    assert document["state"] == "succeeded"
    assert len(nodes.acts("agent-disable")) == 2
    assert (nodes.l3["net01"].description or "").startswith(MARKED)


def test_nobody_takes_over(nodes: Nodes) -> None:
    """The drain halts with the routers' names; cancelling it with undo brings the agent and the router back."""
    router = nodes.ha_router("edge")
    nodes.network("tenants")
    operation = nodes.start()

    def deaf() -> None:
        nodes.l3["net02"].mute = True

    nodes.until(lambda: nodes.acts("network-remove"))
    nodes.when_requested("PUT", deaf)
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "ha-router edge: not active on any other agent, 120 s after" in document["note"]
    assert nodes.carrier(router) is None
    nodes.control("cancel", operation, undo=True)
    document = nodes.run(operation)
    assert document["state"] == "cancelled"
    assert "enabled again" in document["note"]
    nodes.clock.advance(30)
    assert nodes.carrier(router) == "net01"


def test_many_ha_routers_are_looked_at_in_several_slices(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that has lasted long enough leaves the rest of the proof to the next one, which goes on there."""
    routers = [nodes.ha_router(f"edge-{number}") for number in range(7)]
    operation = nodes.start()
    nodes.until(lambda: len(nodes.acts("agent-disable")) == 2)
    asked: list[int] = []

    def late(slice: NetworkSlice) -> bool:
        asked.append(slice.cloud.requests["network"] - slice._asked["network"])
        return asked[-1] > 6

    monkeypatch.setattr(NetworkSlice, "late", property(late))
    document = nodes.run(operation)
    assert document["state"] == "succeeded"
    assert max(asked) <= 8
    assert {nodes.carrier(router) for router in routers} == {"net02"}


def test_what_comes_late_and_can_not_go_is_named(nodes: Nodes) -> None:
    """A router that only a zone without agents may have lands on the agent just before it is disabled."""
    operation = nodes.start()
    nodes.until(lambda: len(nodes.acts("agent-disable")) == 1)
    nodes.when_requested("PUT", lambda: nodes.router("late", hints=["az9"]))
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "is disabled, and has what nobody else takes: router late" in document["note"]


def test_a_router_that_is_switched_off_is_active_nowhere(nodes: Nodes) -> None:
    """Its owner's wish is no hindrance."""
    router = nodes.ha_router("edge")
    router.admin_up = False
    nodes.fake.network.resync(nodes.l3["net01"])
    document = nodes.empty()
    assert document["state"] == "succeeded"
    assert nodes.step(document["id"], router.id)["error"] == "it is switched off"


def test_an_agent_that_somebody_enables_again_halts_the_drain(nodes: Nodes) -> None:
    """A resume disables it once more; nobody's doing is undone without a word."""
    nodes.ha_router("edge")
    operation = nodes.start()
    nodes.until(lambda: len(nodes.acts("agent-disable")) == 2)
    nodes.work(1.2)
    nodes.fake.network.set_admin(nodes.l3["net01"], True)
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "somebody has enabled the L3 agent of net01 again" in document["note"]
    nodes.control("resume", operation)
    assert nodes.run(operation)["state"] == "succeeded"
    assert not nodes.l3["net01"].admin_up


def test_a_cancel_leaves_nothing_in_the_air(nodes: Nodes) -> None:
    """The router under way arrives; what was not begun stays; the agents were not disabled."""
    first, second = nodes.router("a"), nodes.router("b")
    operation = nodes.start()
    nodes.when_requested("DELETE", lambda: nodes.control("cancel", operation))
    document = nodes.run(operation)
    assert (document["state"], document["note"]) == ("cancelled", "")
    nodes.clock.advance(5)
    assert (nodes.carrier(first), nodes.carrier(second)) == ("net02", "net01")
    (left,) = document["summary"]["left"]
    assert left["name"] == "router b"


def test_a_cancel_before_anything_began(nodes: Nodes) -> None:
    """Nothing was changed."""
    operation = nodes.start()
    nodes.control("cancel", operation)
    assert nodes.run(operation)["note"] == "nothing had been started"
    assert nodes.acts() == []


def test_a_cancel_without_undo_says_what_stays(nodes: Nodes) -> None:
    """The agents stay disabled, and the note has the command."""
    nodes.ha_router("edge")
    operation = nodes.start()
    nodes.until(lambda: len(nodes.acts("agent-disable")) == 2)
    nodes.control("cancel", operation)
    document = nodes.run(operation)
    assert "`drover undrain-network net01` enables them" in document["note"]


def test_a_deadline_halts_it(nodes: Nodes) -> None:
    """What is under way is followed; a resume goes on without a deadline."""
    for number in range(6):
        nodes.router(f"r{number}")
    operation = nodes.start(deadline=(nodes.clock.now() + timedelta(seconds=4)).isoformat())
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "the deadline" in document["note"]
    assert nodes.document(operation)["summary"]["in_flight"] == 0
    nodes.control("resume", operation)
    assert nodes.run(operation)["state"] == "succeeded"


def test_agents_with_servers_of_their_own_stay_enabled(nodes: Nodes) -> None:
    """A dvr_snat agent's routers leave; the agent waits for its servers to be drained."""
    nodes.node("cmp01", mode="dvr_snat"), nodes.node("cmp02", mode="dvr_snat")
    router = nodes.router("snat", "cmp01", distributed=True)
    nodes.servers(1)
    document = nodes.empty("cmp01")
    assert document["state"] == "halted"
    assert "drover drain cmp01" in document["note"]
    assert nodes.carrier(router) == "cmp02"
    assert nodes.l3["cmp01"].admin_up
    assert not nodes.dhcp["cmp01"].admin_up


def test_every_change_is_on_record_before_it_is_asked_for(nodes: Nodes) -> None:
    """The audit trail has one row for each, with who and why."""
    nodes.router("lan"), nodes.network("tenants"), nodes.ha_router("alone", "net01")
    document = nodes.empty()
    words = {
        "router-add": "add router", "router-remove": "remove router",
        "network-add": "add network", "network-remove": "remove network", "agent-disable": "disable agent",
    }  # fmt: skip
    rows = nodes.audit(document["id"])
    for act in nodes.acts():
        found = [row for row in rows if row.act == words[act.verb] and row.subject == act.server and row.at <= act.time]
        assert len(found) == 1, act
        assert (found[0].who, found[0].why) == ("nina", "a fan is broken")


def test_the_same_again_is_answered_with_the_one_that_lives(nodes: Nodes) -> None:
    """One operation for a host."""
    nodes.router("lan")
    assert nodes.start() == nodes.start()
