"""Show which servers Nova has on which hypervisor; asks Nova alone, so that it can judge what Drover says.

python script/servers.py                    the table
python script/servers.py --empty HOST       and fail unless the host has no server and takes no new ones
python script/servers.py --enabled HOST     and fail unless the host takes new servers
"""

from __future__ import annotations

import argparse
import sys

import openstack
from rich.console import Console
from rich.table import Table


def main() -> int:
    """Print the table; 1 if the host is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--empty", metavar="HOST")
    parser.add_argument("--enabled", metavar="HOST")
    wanted = parser.parse_args()
    nova = openstack.connect().compute
    servers = list(nova.servers(all_projects=True))
    services = {service.host: service for service in nova.services(binary="nova-compute")}
    table = Table("hypervisor", "service", "servers", "names")
    held = {host: [server for server in servers if server.compute_host == host] for host in sorted(services)}
    for host, on_it in held.items():
        names = sorted(f"{server.name} ({server.status})" for server in on_it)
        table.add_row(host, services[host].status, str(len(on_it)), ", ".join(names))
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    for host, status in ((wanted.empty, "disabled"), (wanted.enabled, "enabled")):
        if host is None:
            continue
        if held[host] or services[host].status != status:
            print(f"{host}: found {len(held[host])} servers and the service {services[host].status}, "
                  f"expected no server and the service {status}", file=sys.stderr)  # fmt: skip
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
