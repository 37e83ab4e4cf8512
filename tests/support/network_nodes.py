"""Network nodes in the lab, for a while: hosts net01 and net02, each with an L3 and a DHCP agent that is played."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AGENTS = Path(__file__).with_name("lab_agents.py")
"""What plays them, with the lab's own Python and neutron's RPC."""
HOSTS = ("net01", "net02")


@contextmanager
def network_nodes(lab: Any, connection: Any) -> Iterator[None]:
    """They report as long as the block lasts; their records are deleted after it.

    Args:
        lab: `lab.layout.Lab`, which is up.
        connection: openstacksdk's, of its administrator.
    """
    neutron = lab.etc / "neutron" / "neutron.conf"
    # -P: beside the program lies openstack.py, which is not the one that it wants to import
    command = [lab.program("python"), "-P", str(AGENTS), f"--config-file={neutron}"]
    with (lab.log / "network-nodes.log").open("w") as log, subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=log, text=True
    ) as agents:  # fmt: skip
        try:
            assert agents.stdout is not None
            assert "READY" in agents.stdout.readline(), f"see {log.name}"
            yield
        finally:
            agents.kill()
    network = connection.network
    for agent in network.get("/agents").json()["agents"]:
        if agent["host"] in HOSTS:
            network.delete(f"/agents/{agent['id']}")
