"""The plan of a network drain, as the dry run shows it."""

from __future__ import annotations

from typing import Any

from tests.support.nodes import Nodes


def lines(plan: dict[str, Any]) -> dict[str, tuple[str, str, str | None]]:
    """Sort, action and target by name."""
    return {item["name"]: (item["sort"], item["action"], item["to"]) for item in plan["items"]}


def reason(plan: dict[str, Any], name: str) -> tuple[str, str]:
    """Reason and way out of one line."""
    return next((item["reason"], item["way_out"]) for item in plan["items"] if item["name"] == name)


def test_a_dry_run_shows_everything_and_changes_nothing(nodes: Nodes) -> None:
    """Networks first, then HA routers, then the others, each with its target; no request changes anything."""
    nodes.router("lan"), nodes.ha_router("edge"), nodes.ha_router("alone", "net01")
    nodes.network("tenants"), nodes.network("shared", "net01", "net03")
    plan = nodes.plan()
    assert plan["feasible"]
    assert lines(plan) == {
        "shared": ("network", "hand-over", "net03"),
        "tenants": ("network", "hand-over", "net02"),
        "alone": ("ha-router", "fail-over", "net03"),
        "edge": ("ha-router", "fail-over", "net02"),
        "lan": ("router", "move", "net02"),
    }
    assert list(lines(plan)) == ["shared", "tenants", "alone", "edge", "lan"]
    assert [reason(plan, name)[0] for name in ("shared", "edge", "alone")] == [
        "net03 serves it already", "net02 stands by already", "gets a second agent first"
    ]  # fmt: skip
    assert [(agent["kind"], agent["action"]) for agent in plan["agents"]] == [
        ("DHCP agent", "disable"), ("L3 agent", "disable")
    ]  # fmt: skip
    assert nodes.acts() == []
    assert not [line for line in nodes.fake.log if line.startswith(("PUT", "DELETE", "POST /network"))]


def test_reads_are_bounded_by_the_agents_not_by_what_they_carry(nodes: Nodes) -> None:
    """Two lists of agents, and what is bound to each agent, however many routers and networks there are."""
    for number in range(40):
        nodes.router(f"r{number}"), nodes.network(f"n{number}"), nodes.ha_router(f"h{number}")
    before = nodes.fake.requests["network"]
    nodes.plan()
    assert nodes.fake.requests["network"] - before <= 2 + 6 + 2  # and the discovery of versions


def test_load_is_spread(nodes: Nodes) -> None:
    """Each item goes to the agent that carries the least by then."""
    for number in range(3):
        nodes.router(f"there{number}", "net02")
    for number in range(5):
        nodes.router(f"here{number}")
    assert sorted(to or "" for _, _, to in lines(nodes.plan()).values()) == ["net02"] + ["net03"] * 4


def test_without_another_agent_nothing_can_go(nodes: Nodes) -> None:
    """Dead and disabled agents take nothing; each line says why, and what can be done."""
    nodes.router("lan"), nodes.ha_router("edge"), nodes.network("tenants")
    for host in ("net02", "net03"):
        nodes.l3[host].dead, nodes.dhcp[host].admin_up = True, False
    plan = nodes.plan()
    assert not plan["feasible"]
    assert {action for _, action, _ in lines(plan).values()} == {"cannot"}
    assert reason(plan, "lan") == (
        "no other L3 agent is alive and enabled", "start or enable the L3 agent of another host"
    )  # fmt: skip
    assert "no other DHCP agent" in reason(plan, "tenants")[0]


def test_availability_zones_are_kept(nodes: Nodes) -> None:
    """A router or network with zone hints goes to an agent of these zones, or stays."""
    nodes.node("net04", "az1")
    nodes.router("in-az1", hints=["az1"]), nodes.router("in-az2", hints=["az2"]), nodes.network("n", hints=["az1"])
    plan = nodes.plan()
    assert {name: to for name, (_, _, to) in lines(plan).items()} == {"in-az1": "net04", "in-az2": None, "n": "net04"}
    assert "availability zone (az2)" in reason(plan, "in-az2")[0]


def test_distributed_routing_goes_with_the_servers(nodes: Nodes) -> None:
    """An agent that routes only for its own host's servers is left; nothing is ever given to one."""
    nodes.node("cmp01", mode="dvr")
    (agent,) = [agent for agent in nodes.plan("cmp01")["agents"] if agent["kind"] == "L3 agent"]
    assert agent["action"] == "leave"
    assert "it goes with them" in agent["reason"]
    for host in ("net02", "net03"):
        nodes.l3[host].dead = True
    nodes.router("lan")
    assert lines(nodes.plan())["lan"][1] == "cannot"


def test_the_snat_of_a_distributed_router_moves_to_its_like(nodes: Nodes) -> None:
    """Only an agent in the mode dvr_snat can take it; one with servers of its own can't be disabled."""
    nodes.node("cmp01", mode="dvr_snat")
    nodes.router("snat", "cmp01", distributed=True)
    assert lines(nodes.plan("cmp01"))["snat"][1] == "cannot"
    nodes.node("cmp02", mode="dvr_snat")
    plan = nodes.plan("cmp01")
    assert (lines(plan)["snat"], plan["feasible"]) == (("router", "move", "cmp02"), True)
    nodes.servers(2)
    plan = nodes.plan("cmp01")
    (agent,) = [agent for agent in plan["agents"] if agent["kind"] == "L3 agent"]
    assert (agent["action"], plan["feasible"]) == ("cannot", False)
    assert "2 ports" in agent["reason"]
    assert agent["way_out"] == "drain its servers first: drover drain cmp01"


def test_a_host_without_such_agents_is_rejected(nodes: Nodes) -> None:
    """The answer names similar hosts."""
    reply = nodes.ask("net1", "network-drain")
    assert reply.type == "io.drover.network-drain.rejected"
    assert "net01" in reply.data["reason"]
    assert nodes.ask("net1", "network-undrain").type == "io.drover.network-undrain.rejected"


def test_a_deadline_that_has_passed_is_rejected(nodes: Nodes) -> None:
    """Nothing is stored."""
    reply = nodes.ask("net01", "network-drain", deadline="2020-01-01T00:00:00Z")
    assert "has passed already" in reply.data["reason"]
    assert nodes.operations() == []
