"""Plays the L3 and DHCP agents of two network nodes in the lab: run by the lab's own Python, with neutron's arguments.

They report, are told and ask through neutron's own RPC, as the real ones do, and agree among themselves who is active
for a HA router, where the real ones have keepalived; but they carry no packets.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from typing import Any

HOSTS = ("net01", "net02")
INTERVAL = 15.0
"""Seconds between two reports; the lab's Neutron calls an agent dead after 75."""
LOOK = 0.5
"""Seconds between two looks at who is to be active."""
LOG = logging.getLogger(__name__)


class L3Agent:
    """What a real L3 agent does when it is told something: it asks for its routers, all or the ones named."""

    def __init__(self, host: str, client: Any, context: Any, target: Any) -> None:
        self.host = host
        self.target = target
        self._client = client
        self._context = context
        self.carried: dict[str, bool] = {}
        """The routers that it carries, and whether each is HA."""
        self.changed: set[str] = set()
        """Routers that came or went: keepalived begins anew with each, and its state is reported again."""

    def full_sync(self) -> None:
        """Ask for all, as at the start and after `agent_updated`."""
        ids = self._call("get_router_ids", "1.9", host=self.host)
        self.carried = self._ask(ids) if ids else {}

    def agent_updated(self, context: Any, payload: Any = None) -> None:
        """admin_state_up has changed."""
        self.full_sync()

    def router_added_to_agent(self, context: Any, payload: Any) -> None:
        """A router is written down for this agent."""
        self.routers_updated(context, payload)
        self.changed |= set(self.carried)

    def routers_updated(self, context: Any, routers: Any = None, **_: Any) -> None:
        """Routers of this agent have changed."""
        ids = [router["id"] if isinstance(router, dict) else router for router in routers or ()]
        self.carried.update(self._ask(ids))

    def router_removed_from_agent(self, context: Any, payload: Any) -> None:
        """A router has another agent now."""
        self.carried.pop(payload["router_id"], None)
        self.changed.add(payload["router_id"])

    def router_deleted(self, context: Any, router_id: str) -> None:
        """A router is gone."""
        self.carried.pop(router_id, None)

    def report_ha(self, states: dict[str, str]) -> None:
        """Tell neutron for which routers this agent is active."""
        self._call("update_ha_routers_states", "1.5", host=self.host, states=states)

    def _ask(self, ids: list[str]) -> dict[str, bool]:
        found = self._call("sync_routers", "1.0", host=self.host, router_ids=ids)
        return {router["id"]: bool(router.get("ha")) for router in found}

    def _call(self, method: str, version: str, **values: Any) -> Any:
        return self._client.prepare(version=version).call(self._context, method, **values)


class Election:
    """Who is active for each HA router: whoever was, as long as it carries the router, else the first that does."""

    def __init__(self, agents: list[L3Agent]) -> None:
        self._agents = agents
        self._active: dict[str, str] = {}
        self._told: dict[tuple[str, str], str] = {}

    def look(self) -> None:
        """Settle it, and let the agents report what has changed."""
        routers = {id for agent in self._agents for id, ha in agent.carried.items() if ha}
        for router in routers:
            able = [agent.host for agent in self._agents if router in agent.carried]
            if self._active.get(router) not in able:
                self._active[router] = able[0]
        for agent in self._agents:
            while agent.changed:
                self._told.pop((agent.host, agent.changed.pop()), None)
            states = {id: "active" if self._active[id] == agent.host else "standby" for id, ha in
                      list(agent.carried.items()) if ha and id in self._active}  # fmt: skip
            news = {id: state for id, state in states.items() if self._told.get((agent.host, id)) != state}
            if news:
                agent.report_ha(news)
                self._told.update({(agent.host, id): state for id, state in news.items()})


def reports(host: str) -> list[dict[str, Any]]:
    """What the L3 agent and the DHCP agent of a host say of themselves."""
    l3 = {"agent_mode": "legacy", "handle_internal_only_routers": True, "interface_driver": "openvswitch",
          "log_agent_heartbeats": False, "ex_gw_ports": 0, "floating_ips": 0, "routers": 0,
          "interfaces": 0}  # fmt: skip
    dhcp = {"dhcp_driver": "none", "dhcp_lease_duration": 86400, "log_agent_heartbeats": False, "networks": 0,
            "ports": 0, "subnets": 0}  # fmt: skip
    common = {"host": host, "availability_zone": "nova"}
    return [
        common | {"binary": "neutron-l3-agent", "topic": "l3_agent", "agent_type": "L3 agent", "configurations": l3},
        common
        | {"binary": "neutron-dhcp-agent", "topic": "dhcp_agent", "agent_type": "DHCP agent", "configurations": dhcp},
    ]


def main() -> None:
    """Report until killed; says READY on stdout after the first round."""
    import oslo_service.backend

    oslo_service.backend.init_backend(oslo_service.backend.BackendType.THREADING)
    import oslo_messaging
    from neutron.agent import rpc
    from neutron.common import config
    from neutron.conf.agent import common
    from neutron_lib import context
    from neutron_lib import rpc as n_rpc
    from neutron_lib.agent import topics
    from oslo_config import cfg

    config.register_common_config_options()
    common.register_agent_state_opts_helper(cfg.CONF)
    config.init(sys.argv[1:])
    config.setup_logging()
    admin = context.get_admin_context_without_session()
    client = n_rpc.get_client(oslo_messaging.Target(topic=topics.L3PLUGIN, version="1.0"))
    agents = [L3Agent(host, client, admin, oslo_messaging.Target(version="1.10")) for host in HOSTS]
    for agent in agents:
        n_rpc.get_server(oslo_messaging.Target(topic="l3_agent", server=agent.host), [agent]).start()
    state = rpc.PluginReportStateAPI(topics.REPORTS)
    for host in HOSTS:
        for each in reports(host):
            state.report_state(admin, {**each, "start_flag": True}, use_call=True)
    threading.Thread(target=elect, args=(Election(agents),), daemon=True).start()
    sys.stdout.write("READY\n")
    sys.stdout.flush()
    while True:
        time.sleep(INTERVAL)
        for host in HOSTS:
            for each in reports(host):
                state.report_state(admin, each, use_call=True)


def elect(election: Election) -> None:
    """Look again and again."""
    while True:
        try:
            election.look()
        except Exception:
            LOG.exception("the agents can't agree")
        time.sleep(LOOK)


if __name__ == "__main__":
    main()
