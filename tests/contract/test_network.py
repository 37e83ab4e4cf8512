"""Neutron's agents and ports, as far as a lab without routers can show them."""

from __future__ import annotations

from tests.contract.stage import Stage

NOBODY = "00000000-0000-0000-0000-000000000000"


def agent(stage: Stage, host: str = "cmp02") -> dict[str, object]:
    """The Open vSwitch agent of a host."""
    query = {"host": host, "binary": "neutron-openvswitch-agent"}
    (found,) = stage.ok(stage.neutron("GET", "/agents", **query))["agents"]
    return dict(found)


def refused(answer: object) -> tuple[int, str, str]:
    """Status, type and sentence of Neutron's error."""
    error = answer.json()["NeutronError"]  # type: ignore[attr-defined]
    return answer.status_code, error["type"], error["message"]  # type: ignore[attr-defined]


def test_agents(stage: Stage) -> None:
    """One for each host, alive; `fields` cuts them down."""
    found = agent(stage)
    assert (found["agent_type"], found["alive"], found["admin_state_up"]) == ("Open vSwitch agent", True, True)
    short = stage.ok(stage.neutron("GET", "/agents", fields=["host", "alive"], alive="true"))["agents"]
    assert {each["host"] for each in short} >= set(stage.hosts)
    assert all(set(each) == {"host", "alive"} for each in short)


def test_an_agent_is_disabled_and_enabled(stage: Stage) -> None:
    """It stays alive; the description can hold a reason."""
    path = f"/agents/{agent(stage)['id']}"
    try:
        values = {"admin_state_up": False, "description": "contract"}
        found = stage.ok(stage.neutron("PUT", path, {"agent": values}))["agent"]
        assert (found["admin_state_up"], found["alive"], found["description"]) == (False, True, "contract")
    finally:
        stage.ok(stage.neutron("PUT", path, {"agent": {"admin_state_up": True, "description": ""}}))
    assert stage.ok(stage.neutron("GET", path))["agent"]["admin_state_up"]


def test_what_an_agent_refuses(stage: Stage) -> None:
    """404 for an agent that is not there, and for routers or networks on an agent of another kind."""
    missing = refused(stage.neutron("GET", f"/agents/{NOBODY}"))
    assert missing == (404, "AgentNotFound", f"Agent {NOBODY} could not be found.")
    id = agent(stage)["id"]
    path = f"/agents/{id}"
    assert stage.ok(stage.neutron("GET", f"{path}/l3-routers"))["routers"] == []
    assert stage.ok(stage.neutron("GET", f"{path}/dhcp-networks"))["networks"] == []
    gone = refused(stage.neutron("POST", f"{path}/l3-routers", {"router_id": NOBODY}))
    assert gone == (404, "RouterNotFound", f"Router {NOBODY} could not be found")
    wrong = refused(stage.neutron("POST", f"{path}/dhcp-networks", {"network_id": stage.network}))
    assert wrong == (404, "InvalidDHCPAgent", f"Agent {id} is not a valid DHCP Agent or has been disabled.")
    absent = refused(stage.neutron("DELETE", f"{path}/dhcp-networks/{stage.network}"))
    assert absent[:2] == (409, "NetworkNotHostedByDhcpAgent")
    for values, kind in (({"nonsense": 1}, "HTTPBadRequest"), ({"admin_state_up": "maybe"}, "InvalidInput")):
        assert refused(stage.neutron("PUT", path, {"agent": values}))[:2] == (400, kind)
    router = stage.ok(stage.neutron("POST", "/routers", {"router": {"name": "contract"}}))["router"]
    try:
        assert stage.ok(stage.neutron("GET", f"/routers/{router['id']}/l3-agents"))["agents"] == []
        wrong = refused(stage.neutron("POST", f"{path}/l3-routers", {"router_id": router["id"]}))
        assert wrong == (404, "InvalidL3Agent", f"Agent {id} is not a L3 Agent or has been disabled")
        assert stage.neutron("DELETE", f"{path}/l3-routers/{router['id']}").status_code == 204  # it never was there
    finally:
        assert stage.neutron("DELETE", f"/routers/{router['id']}").status_code == 204


def test_a_port_moves_with_its_server(stage: Stage) -> None:
    """It is bound where the server is, and ACTIVE again a moment after the move."""
    vm = stage.boot("port")

    def bound() -> tuple[str, str]:
        (port,) = stage.ok(stage.neutron("GET", "/ports", device_id=vm))["ports"]
        return port["binding:host_id"], port["status"]

    stage.until("bound at home", lambda: bound() == ("cmp01", "ACTIVE"))
    stage.live_migrate(vm, "cmp02")
    stage.ended(vm, "completed")
    stage.until("bound there", lambda: bound() == ("cmp02", "ACTIVE"))
    there = stage.ok(stage.neutron("GET", "/ports", **{"binding:host_id": "cmp02", "fields": "device_id"}))["ports"]
    assert {"device_id": vm} in there
