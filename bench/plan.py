"""How long the planner takes on a large cloud, beside a naive planner on the same fleet, in the same run.

    python bench/plan.py [--hosts 10000] [--servers 200] [--seed 1] [--full] [--json]

The naive planner looks at every host for every server, as a script would: largest first, the least full host that
keeps the zone, the traits and the anti-affinity group, in plain Python. It knows less than Drover's (no aggregates, no
repair, no reasons), so that its time flatters it. With `--full` hardly any host has room: the planner then also tries
repairs and finds the reasons, which is its slowest case.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time

from functions.migrate.model import DrainPlan, DrainPolicy
from functions.migrate.plan import plan_drain
from shared.fleet.snapshot import Fleet, Group, Host, Requirements, Server

GIB = 1024
SOURCE = "cmp00000"
FLAVORS = ((1, 2), (2, 4), (2, 8), (4, 8), (4, 16), (8, 32))
"""vCPUs and GiB."""


def make_fleet(hosts: int, servers: int, seed: int, full: bool = False) -> Fleet:
    """A loaded cloud of 4 zones, a trait on every third host; every fifth server pinned, every fourth in a group."""
    draw = random.Random(seed)
    fleet_hosts = {
        name: _host(name, number, 0.98 if full else 0.3, draw) for number in range(hosts) if (name := f"cmp{number:05}")
    }
    fleet_servers: dict[str, Server] = {}
    groups: dict[str, Group] = {}
    for number in range(servers):
        server = _server(f"server-{number:04}", SOURCE, number, draw)
        fleet_servers[server.id] = server
        if number % 4 == 0:
            peers = [_server(f"{server.id}-peer{n}", f"cmp{draw.randrange(1, hosts):05}", n, draw) for n in range(4)]
            fleet_servers |= {peer.id: peer for peer in peers}
            members = frozenset({server.id, *(peer.id for peer in peers)})
            groups[f"group-{number}"] = Group(f"group-{number}", "anti-affinity", members)
    return Fleet(fleet_hosts, fleet_servers, groups)


def _host(name: str, number: int, least: float, draw: random.Random) -> Host:
    load = draw.uniform(least, max(least, 0.95))
    return Host(
        name=name,
        zone=f"az{number % 4}",
        capacity={"VCPU": 256, "MEMORY_MB": 512 * GIB, "DISK_GB": 8000},
        used={"VCPU": int(256 * load), "MEMORY_MB": int(512 * GIB * load), "DISK_GB": int(8000 * load)},
        accepts=number % 50 != 7,
        traits=frozenset({"HW_CPU_X86_AVX512F"} if number % 3 == 0 else ()),
    )


def _server(name: str, host: str, number: int, draw: random.Random) -> Server:
    vcpus, gib = draw.choice(FLAVORS)
    requires = Requirements(
        zone="az0" if number % 5 == 0 else None,
        traits=frozenset({"HW_CPU_X86_AVX512F"} if number % 7 == 0 else ()),
    )
    uses = {"VCPU": vcpus, "MEMORY_MB": gib * GIB, "DISK_GB": 20}
    return Server(name, name, host, "project", "ACTIVE", uses=uses, requires=requires)


def naive(fleet: Fleet) -> dict[str, str]:
    """Targets by server, by looking at every host for every server."""
    used = {name: dict(host.used) for name, host in fleet.hosts.items()}
    where = {server.id: server.host for server in fleet.servers.values()}
    targets: dict[str, str] = {}
    for server in sorted(fleet.on(SOURCE), key=lambda server: -server.memory_mb):
        taken = {
            where[member] for group in fleet.groups_of.get(server.id, ()) for member in group.members - {server.id}
        }
        best: tuple[bool, float, str] | None = None
        for host in fleet.hosts.values():
            if host.name == SOURCE or not host.accepts or host.name in taken:
                continue
            if server.requires.zone not in (None, host.zone) or not server.requires.traits <= host.traits:
                continue
            shares = [(used[host.name][kind] + amount) / host.capacity[kind] for kind, amount in server.uses.items()]
            if max(shares) <= 1 and (best is None or (host.zone != "az0", max(shares), host.name) < best):
                best = (host.zone != "az0", max(shares), host.name)
        if best:
            targets[server.id] = where[server.id] = best[2]
            for kind, amount in server.uses.items():
                used[best[2]][kind] += amount
    return targets


def fullest(fleet: Fleet, targets: dict[str, str]) -> float:
    """How full the fullest target is afterwards."""
    used = {name: dict(fleet.hosts[name].used) for name in targets.values()}
    for server, host in targets.items():
        for kind, amount in fleet.servers[server].uses.items():
            used[host][kind] += amount
    return max(
        (amount / fleet.hosts[host].capacity[kind] for host, kinds in used.items() for kind, amount in kinds.items()),
        default=0.0,
    )


def main() -> int:
    """Measure both and print the figures; 1 when the planner places fewer servers than the naive one."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--hosts", type=int, default=10_000)
    options.add_argument("--servers", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--full", action="store_true")
    options.add_argument("--json", action="store_true")
    chosen = options.parse_args()
    fleet = make_fleet(chosen.hosts, chosen.servers, chosen.seed, chosen.full)
    started = time.perf_counter()
    plan: DrainPlan = plan_drain(fleet, SOURCE, DrainPolicy())
    ours = time.perf_counter() - started
    started = time.perf_counter()
    theirs = naive(fleet)
    reference = time.perf_counter() - started
    targets = {line.id: line.to for line in plan.servers if line.to}
    figures = {
        "hosts": chosen.hosts,
        "servers": chosen.servers,
        "planner": {"seconds": round(ours, 3), "placed": len(targets), "fullest": round(fullest(fleet, targets), 3)},
        "naive": {"seconds": round(reference, 3), "placed": len(theirs), "fullest": round(fullest(fleet, theirs), 3)},
        "times_faster": round(reference / ours, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if chosen.json:
        print(json.dumps(figures))
    else:
        print(f"{chosen.hosts} hosts, {chosen.servers} servers on the one that is drained")
        for name in ("planner", "naive"):
            found = figures[name]
            print(
                f"  {name:8} {found['seconds']:7.3f} s, {found['placed']} placed, fullest target {found['fullest']:.1%}"
            )
        print(f"  {figures['times_faster']} times faster (numpy's import is counted); peak {figures['peak_mb']} MB")
    return 0 if len(targets) >= len(theirs) else 1


if __name__ == "__main__":
    sys.exit(main())
