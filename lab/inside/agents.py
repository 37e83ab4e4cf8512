"""Play the Open vSwitch agents of all fake hosts in one process: `python -m drover_lab.agents`.

Each host's agent reports its state through neutron's own RPC, and wires a port as soon as it is bound to its host, so
that the ports' bindings and states are those of a real cloud. The agent of a dead or frozen host is silent.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from drover_lab.faults import Faults

LOG = logging.getLogger(__name__)

INTERVAL = 30.0
"""Seconds between two reports of one agent."""
POLL = 1.0
"""Seconds between two looks for new hosts."""


class Agents:
    """The agents of all hosts; also the endpoint of neutron's notifications to them."""

    def __init__(self, lab: str) -> None:
        import oslo_messaging
        from neutron.agent import rpc as agent_rpc
        from neutron_lib import context
        from neutron_lib.agent import topics

        self.target = oslo_messaging.Target(version="1.5")
        self.lab = lab
        self.faults = Faults(os.path.join(lab, "faults.yaml"), os.path.join(lab, "data", "faults"))
        self.context = context.get_admin_context_without_session()
        self.state = agent_rpc.PluginReportStateAPI(topics.REPORTS)
        self.plugin = agent_rpc.PluginApi(topics.PLUGIN)
        self.workers = ThreadPoolExecutor(4)
        self.wired: dict[str, str] = {}
        self.lock = threading.Lock()
        self.connection = agent_rpc.create_consumers(
            [self],
            topics.AGENT,
            [
                [topics.PORT, topics.UPDATE],
                [topics.PORT, topics.DELETE],
                [topics.PORT_BINDING, topics.ACTIVATE],
                [topics.PORT_BINDING, topics.DEACTIVATE],
            ],
        )

    def hosts(self) -> list[str]:
        """Hosts whose agents are well."""
        with open(os.path.join(self.lab, "etc", "computes.json")) as file:
            hosts = json.load(file)["hosts"]
        return [host for host in hosts if self.faults.host_state(host) is None]

    def run(self) -> None:
        """Report for ever."""
        due: dict[str, float] = {}
        while True:
            now = time.monotonic()
            for host in self.hosts():
                if due.get(host, 0.0) <= now:
                    due[host] = now + (INTERVAL if self._report(host, first=host not in due) else POLL)
            time.sleep(POLL)

    def _report(self, host: str, first: bool) -> bool:
        report = {
            "binary": "neutron-openvswitch-agent",
            "host": host,
            "topic": "N/A",
            "agent_type": "Open vSwitch agent",
            "configurations": {
                "bridge_mappings": {"physnet1": "br-ex"},
                "datapath_type": "system",
                "integration_bridge": "br-int",
                "tunnel_types": [],
                "extensions": [],
                "ovs_hybrid_plug": False,
                "vhostuser_socket_dir": "/var/run/openvswitch",
            },
        }
        if first:
            report["start_flag"] = True
        try:
            self.state.report_state(self.context, report, use_call=True)
        except Exception:
            LOG.exception("agent of %s can't report", host)
            return False
        return True

    def port_update(self, context: Any, port: dict[str, Any], **_kwargs: Any) -> None:
        """A port was created or changed: wire it if it is bound to one of our hosts."""
        host = port.get("binding:host_id")
        if host and port.get("binding:vif_type") not in (None, "unbound", "binding_failed"):
            self._wire(port["id"], host, port.get("status") == "ACTIVE")

    def binding_activate(self, context: Any, port_id: str, host: str) -> None:
        """A port has moved to this host, at the end of a live migration."""
        self._wire(port_id, host, False)

    def binding_deactivate(self, context: Any, **_kwargs: Any) -> None:
        """A port has left: nothing is plugged, so nothing is unplugged."""

    def port_delete(self, context: Any, port_id: str, **_kwargs: Any) -> None:
        """Forget the port."""
        with self.lock:
            self.wired.pop(port_id, None)

    def _wire(self, port_id: str, host: str, active: bool) -> None:
        with self.lock:
            if active and self.wired.get(port_id) == host:
                return
            self.wired[port_id] = host
        if self.faults.host_state(host) is None:
            self.workers.submit(self._up, port_id, host)

    def _up(self, port_id: str, host: str) -> None:
        """What a real agent calls after it has plugged a port."""
        agent = f"ovs-agent-{host}"
        try:
            self.plugin.get_devices_details_list(self.context, [port_id], agent, host)
            self.plugin.update_device_up(self.context, port_id, agent, host)
        except Exception:
            LOG.exception("port %s can't be brought up on %s", port_id, host)


def main() -> None:
    """Set up neutron as its agents do, then report."""
    import oslo_service.backend

    oslo_service.backend.init_backend(oslo_service.backend.BackendType.THREADING)
    from neutron.common import config
    from neutron.conf.agent import common
    from oslo_config import cfg

    config.register_common_config_options()
    common.register_agent_state_opts_helper(cfg.CONF)
    config.init(sys.argv[1:])
    config.setup_logging()
    Agents(os.environ["DROVER_LAB_DIR"]).run()


if __name__ == "__main__":
    main()
