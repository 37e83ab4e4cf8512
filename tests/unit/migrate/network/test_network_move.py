"""Routers that one agent alone may have: moved one at a time, and never left alone."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lab.simulator.network import Router
from tests.support.nodes import Nodes


def bare_seconds(nodes: Nodes, router: Router) -> float:
    """The longest time that a router was bound to no agent."""
    acts = nodes.acts(server=router.id)
    return max(
        ((after.time - before.time).total_seconds() for before, after in pairwise(acts)
         if before.verb == "router-remove"), default=0.0,
    )  # fmt: skip


def test_one_at_a_time(nodes: Nodes) -> None:
    """The next is taken away only when the one before is carried by its new agent."""
    routers = [nodes.router(f"r{number}") for number in range(4)]
    assert nodes.empty()["state"] == "succeeded"
    acts = [act for act in nodes.acts() if act.verb.startswith("router-")]
    assert [act.verb for act in acts] == ["router-remove", "router-add"] * 4
    for first, second in zip(acts[1::2], acts[2::2], strict=False):
        assert (second.time - first.time).total_seconds() >= 1.0  # the simulated agent's own time
    assert all(bare_seconds(nodes, router) == 0.0 for router in routers)


def test_a_deaf_agent_loses_it_again(nodes: Nodes) -> None:
    """It is bound to it, and its ports don't follow: after a while it goes to the next one."""
    router = nodes.router("lan")
    nodes.l3["net02"].mute = True
    document = nodes.empty()
    assert document["state"] == "succeeded"
    assert nodes.carrier(router) == "net03"
    assert nodes.verbs(router) == [
        "router-remove net01", "router-add net02", "router-remove net02", "router-add net03"
    ]  # fmt: skip


def test_it_comes_back_when_nobody_else_carries_it(nodes: Nodes) -> None:
    """The drain halts and names it, the agent stays enabled, and the router works here as before."""
    router = nodes.router("lan")
    for host in ("net02", "net03"):
        nodes.l3[host].mute = True
    document = nodes.empty()
    assert document["state"] == "halted"
    assert "router lan" in document["note"]
    assert "it is back on net01" in document["note"]
    assert nodes.carrier(router) == "net01"
    assert nodes.l3["net01"].admin_up
    assert not nodes.dhcp["net01"].admin_up
    (left,) = document["summary"]["left"]
    assert left["way_out"]
    for host in ("net02", "net03"):
        nodes.l3[host].mute = False
    nodes.control("resume", document["id"])
    assert nodes.run(document["id"])["state"] == "succeeded"
    assert nodes.carrier(router) == "net02"


@pytest.mark.parametrize("verb", ["router-remove", "router-add"])
def test_a_lost_answer_is_read_from_neutron(nodes: Nodes, verb: str) -> None:
    """What was done is not done again."""
    router = nodes.router("lan")
    nodes.fake.drop_answer_of_next(verb)
    assert nodes.empty()["state"] == "succeeded"
    assert nodes.verbs(router) == ["router-remove net01", "router-add net02"]


@pytest.mark.parametrize(("method", "status"), [("DELETE", 503), ("POST", 503), ("DELETE", 502), ("POST", 502)])
def test_a_busy_neutron_is_asked_again_soon(nodes: Nodes, method: str, status: int) -> None:
    """The router is without an agent for a few seconds at most, and no try is lost on a 503."""
    router = nodes.router("lan")
    operation = nodes.start()
    nodes.fake.fail_next(status, of=f"{method} /network")
    document = nodes.run(operation)
    assert document["state"] == "succeeded"
    assert nodes.carrier(router) == "net02"
    assert bare_seconds(nodes, router) <= 5


def test_an_agent_that_is_disabled_just_then_gets_nothing(nodes: Nodes) -> None:
    """Neutron refuses it, and the router goes to another one at once."""
    router = nodes.router("lan")
    operation = nodes.start()

    def disable() -> None:
        nodes.l3["net02"].admin_up = False

    nodes.when_requested("DELETE", disable)
    assert nodes.run(operation)["state"] == "succeeded"
    assert nodes.verbs(router) == ["router-remove net01", "router-add net03"]
    assert bare_seconds(nodes, router) == 0.0


def test_a_router_that_is_deleted_meanwhile_is_gone(nodes: Nodes) -> None:
    """Also between the two requests."""
    router = nodes.router("lan")
    operation = nodes.start()
    nodes.when_requested("POST http", lambda: nodes.fake.network.routers.pop(router.id))
    document = nodes.run(operation)
    assert document["state"] == "succeeded"
    assert nodes.step(operation, router.id)["state"] == "gone"


def test_moved_by_others_is_as_good(nodes: Nodes) -> None:
    """A router that somebody else has brought away is not touched."""
    first, second = nodes.router("a"), nodes.router("b")
    operation = nodes.start()
    nodes.until(lambda: nodes.acts(server=first.id))
    network = nodes.fake.network
    network.unbind_router(second, nodes.l3["net01"]), network.bind_router(second, nodes.l3["net03"])
    count = len(nodes.acts(server=second.id))
    assert nodes.run(operation)["state"] == "succeeded"
    assert len(nodes.acts(server=second.id)) == count
    assert nodes.carrier(second) == "net03"


def test_a_dead_nodes_routers_are_moved(nodes: Nodes) -> None:
    """Its agents don't report; what they carried nobody carries, until it is bound elsewhere."""
    router, net, ha = nodes.router("lan"), nodes.network("tenants"), nodes.ha_router("edge")
    for agent in (nodes.l3["net01"], nodes.dhcp["net01"]):
        nodes.fake.network.set_dead(agent, True)
    nodes.clock.advance(10)
    assert nodes.carrier(router) is None
    assert nodes.empty()["state"] == "succeeded"
    assert nodes.carrier(router) in ("net02", "net03")
    assert nodes.servers_of(net) == nodes.hosts_of(net)
    assert nodes.carrier(ha) == "net02"


def test_a_pause_waits_for_the_router_that_is_under_way(nodes: Nodes) -> None:
    """It is brought to its new agent; the next one is not begun."""
    first, second = nodes.router("a"), nodes.router("b")
    operation = nodes.start()
    nodes.when_requested("DELETE", lambda: nodes.control("pause", operation))
    nodes.work(20)
    assert nodes.document(operation)["state"] == "paused"
    assert (nodes.carrier(first), nodes.carrier(second)) == ("net02", "net01")
    assert nodes.step(operation, first.id)["state"] == "done"
    nodes.control("resume", operation)
    assert nodes.run(operation)["state"] == "succeeded"


def test_an_agent_on_a_host_that_is_being_drained_gets_nothing(nodes: Nodes) -> None:
    """Two network drains, and one of a hypervisor's servers: what can go goes to the fourth host."""
    nodes.node("cmp01"), nodes.node("net04")
    for host in ("net01", "net02"):
        nodes.router(f"on-{host}", host)
    nodes.servers(1)
    first, second, third = nodes.start(), nodes.start("net02"), nodes.begin("cmp01")
    nodes.l3["net03"].dead = True
    documents = [nodes.run(each) for each in (first, second, third)]
    assert [document["state"] for document in documents] == ["succeeded"] * 3
    assert {act.target for act in nodes.acts("router-add")} == {"net04"}


def test_rights_that_are_lost_in_between(nodes: Nodes) -> None:
    """The drain does not halt with a router that nobody has; it is given away as soon as Neutron lets it."""
    router = nodes.router("lan")
    operation = nodes.start()
    nodes.when_requested("POST http", lambda: nodes.fake.fail_next(403, of="network/v2.0", times=12))
    nodes.fake.fail_next(403, of="POST /network")
    document = nodes.run(operation)
    assert document["state"] == "succeeded"
    assert nodes.carrier(router) in ("net02", "net03")


def test_rights_that_are_missing_halt_it(nodes: Nodes) -> None:
    """As long as nothing is in the air."""
    router = nodes.router("lan")
    operation = nodes.start()
    nodes.fake.fail_next(403, of="GET /network", times=50)
    document = nodes.run(operation)
    assert document["state"] == "halted"
    assert "the cloud refuses what a network drain needs" in document["note"]
    assert nodes.carrier(router) == "net01"


def test_of_two_drains_that_begin_at_once_one_yields(nodes: Nodes) -> None:
    """net02 is drained from the moment at which net01's drain was about to give it a router: it gets none."""
    router = nodes.router("lan")
    operation = nodes.start()
    nodes.when_requested("ports?", lambda: nodes.start("net02"))
    assert nodes.run(operation)["state"] == "succeeded"
    assert nodes.verbs(router) == ["router-remove net01", "router-add net03"]


def test_a_router_that_came_between_the_sweep_and_the_disabling_is_moved_too(nodes: Nodes) -> None:
    """The scheduler puts one there just before the agent is disabled: it is found by the next look."""
    operation = nodes.start()
    made: list[Router] = []
    nodes.when_requested("PUT", lambda: made.append(nodes.router("late")))
    document = nodes.run(operation)
    assert document["state"] == "succeeded"
    assert nodes.carrier(made[0]) in ("net02", "net03")
    assert nodes.step(operation, made[0].id)["state"] == "done"
