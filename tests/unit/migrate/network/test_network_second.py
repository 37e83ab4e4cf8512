"""Networks and HA routers: another agent has them before this one gives them up."""

from __future__ import annotations

import pytest

from lab.simulator.network import Network
from tests.support.nodes import Nodes


def test_a_network_is_served_all_the_time(nodes: Nodes) -> None:
    """It is taken away here when the other agent's port is seen to work, and not before."""
    net = nodes.network("tenants")
    operation = nodes.start()
    while nodes.document(operation)["state"] != "succeeded":
        assert nodes.servers_of(net)
        nodes.work(0.25)
    assert nodes.verbs(net) == ["network-add net02", "network-remove net01"]


def test_what_another_agent_serves_already_is_only_taken_away(nodes: Nodes) -> None:
    """No third agent gets it."""
    net = nodes.network("tenants", "net01", "net03")
    assert nodes.empty()["state"] == "succeeded"
    assert nodes.verbs(net) == ["network-remove net01"]


def test_only_so_many_networks_at_once(nodes: Nodes) -> None:
    """`concurrency` bounds how many have been given away and are not carried yet."""
    nets = [nodes.network(f"n{number}") for number in range(6)]
    nodes.start(concurrency=2)
    most = 0
    for _ in range(200):
        nodes.work(0.1)
        most = max(most, sum(len(net.agents) > 1 for net in nets))
    assert most == 2
    assert not any("net01" in nodes.hosts_of(net) for net in nets)


def test_an_agent_that_does_not_serve_it_loses_it_again(nodes: Nodes) -> None:
    """The network goes to the next one; here it is served until then."""
    net = nodes.network("tenants")
    nodes.dhcp["net02"].mute = True
    assert nodes.empty()["state"] == "succeeded"
    assert nodes.verbs(net) == [
        "network-add net02", "network-remove net02", "network-add net03", "network-remove net01"
    ]  # fmt: skip


def test_a_ha_router_gets_a_second_agent_before_the_disabling(nodes: Nodes) -> None:
    """It stands by when this one is disabled, and both stay bound."""
    alone = nodes.ha_router("alone", "net01")
    assert nodes.empty()["state"] == "succeeded"
    assert nodes.verbs(alone) == ["router-add net02"]
    assert nodes.carrier(alone) == "net02"
    order = [act.verb for act in nodes.acts() if act.verb in ("router-add", "agent-disable")]
    assert order[-1] == "agent-disable"
    assert order.index("router-add") < len(order) - 1


def test_the_agent_is_never_disabled_under_what_cannot_go(nodes: Nodes) -> None:
    """The L3 agent stays enabled, everything else goes, and the drain halts with the reason and a way out."""
    alone, net = nodes.ha_router("alone", "net01"), nodes.network("tenants")
    for host in ("net02", "net03"):
        nodes.l3[host].dead = True
    document = nodes.empty()
    assert document["state"] == "halted"
    assert "its L3 agent stays enabled: ha-router alone (no other L3 agent is alive and enabled)" in document["note"]
    assert nodes.l3["net01"].admin_up
    assert nodes.carrier(alone) == "net01"
    assert nodes.servers_of(net) == ["net02"]
    nodes.l3["net03"].dead = False
    nodes.control("resume", document["id"])
    assert nodes.run(document["id"])["state"] == "succeeded"
    assert nodes.carrier(alone) == "net03"


def test_a_deaf_second_agent_does_not_count(nodes: Nodes) -> None:
    """It is bound and alive, but its HA port does not work: a third agent gets the router."""
    router = nodes.ha_router("edge")
    nodes.l3["net02"].mute = True
    nodes.fake.network.resync(nodes.l3["net02"])
    assert nodes.empty()["state"] == "succeeded"
    assert nodes.verbs(router) == ["router-add net03"]
    assert nodes.carrier(router) == "net03"


def test_a_second_agent_that_dies_before_the_disabling(nodes: Nodes) -> None:
    """The router gets another one first."""
    router = nodes.ha_router("edge")
    nodes.router("slow")
    operation = nodes.start()
    nodes.until(lambda: nodes.acts("router-add"))
    nodes.fake.network.set_dead(nodes.l3["net02"], True)
    assert nodes.run(operation)["state"] == "succeeded"
    assert "router-add net03" in nodes.verbs(router)
    assert nodes.carrier(router) == "net03"


@pytest.mark.parametrize("verb", ["network-add", "network-remove"])
def test_a_lost_answer_is_read_from_neutron(nodes: Nodes, verb: str) -> None:
    """What was done is not done again."""
    net = nodes.network("tenants")
    nodes.fake.drop_answer_of_next(verb)
    assert nodes.empty()["state"] == "succeeded"
    assert nodes.verbs(net) == ["network-add net02", "network-remove net01"]


@pytest.mark.parametrize("status", [503, 502, 409])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_refusals_lead_to_another_look(nodes: Nodes, method: str, status: int) -> None:
    """Whether it was carried out is read from Neutron, and done if it was not."""
    net = nodes.network("tenants")
    operation = nodes.start()
    nodes.fake.fail_next(status, of=f"{method} /network")
    assert nodes.run(operation)["state"] == "succeeded"
    assert nodes.servers_of(net) == nodes.hosts_of(net) == ["net02"]


def test_a_network_that_is_deleted_meanwhile_is_gone(nodes: Nodes) -> None:
    """There is nothing to be done about it."""
    net = nodes.network("tenants")
    operation = nodes.start()
    nodes.when_requested("POST http", lambda: nodes.fake.network.networks.pop(net.id))
    assert nodes.run(operation)["state"] == "succeeded"
    assert nodes.step(operation, net.id)["state"] == "gone"


def test_a_network_that_comes_back_is_taken_away_again(nodes: Nodes) -> None:
    """Somebody binds it here once more while the drain goes on."""
    net: Network = nodes.network("tenants")
    nodes.router("slow")
    operation = nodes.start()
    nodes.until(lambda: nodes.acts("router-remove"))
    nodes.fake.network.bind_network(net, nodes.dhcp["net01"])
    assert nodes.run(operation)["state"] == "succeeded"
    assert nodes.hosts_of(net) == ["net02"]
    assert [entry.act for entry in nodes.audit(operation)].count("item came back") == 1


def test_the_error_budget_ends_it(nodes: Nodes) -> None:
    """So many networks that nobody will serve, and nothing more is begun."""
    for number in range(4):
        nodes.network(f"n{number}")
    for host in ("net02", "net03"):
        nodes.dhcp[host].mute = True
    document = nodes.empty(concurrency=1, error_budget=2, max_attempts=1)
    assert document["state"] == "halted"
    assert "2 items could not be brought away (error budget: 2)" in document["note"]
    assert len([step for step in document["steps"] if step["state"] == "held"]) == 2
