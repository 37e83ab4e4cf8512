"""The plan of a drain: for every server of the host what happens to it, where it goes, and how long all of it takes.

The dry run, the forecast and the run take their decisions here, so that a plan and its execution cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from functions.migrate.affinity import verdict_of
from functions.migrate.explain import amounts
from functions.migrate.forecast import DEFAULT_PACE, Pace, makespan
from functions.migrate.model import MOVES, Action, DrainPlan, DrainPolicy, PlannedServer, Shortfall, Verdict
from functions.migrate.obstacles import is_dead
from functions.migrate.targets import NOWHERE, Choice, Packing
from shared.errors import Rejected
from shared.fleet.snapshot import Fleet, Host, Migration, Server

ACTION_OF = {
    "live-migration": Action.LIVE_MIGRATE,
    "migration": Action.COLD_MIGRATE,
    "resize": Action.COLD_MIGRATE,
    "evacuation": Action.EVACUATE,
}
"""What a migration's kind is called in a plan."""


class UnknownHost(Rejected):
    """The cloud has no compute host of this name."""

    def __init__(self, host: str, fleet: Fleet) -> None:
        similar = get_close_matches(host, fleet.hosts, n=5, cutoff=0.6)
        known = f"did you mean {', '.join(similar)}?" if similar else _examples(fleet)
        super().__init__(f"found no compute host named {host!r}; {known} (openstack compute service list shows them)")
        self.similar = tuple(similar)
        """Names of hosts that look like it, best first."""


def plan_drain(
    fleet: Fleet,
    host: str,
    policy: DrainPolicy,
    avoid: frozenset[str] = frozenset(),
    *,
    planned: Mapping[str, str] = NOWHERE,
    pace: Pace = DEFAULT_PACE,
) -> DrainPlan:
    """What a drain of `host` would do; changes nothing and reads nothing but `fleet`.

    `avoid`: hosts that other drains empty, which are no targets. `planned`: by server id, the targets of moves that
    other drains have decided and not yet started. Raises `UnknownHost`.
    """
    if host not in fleet.hosts:
        raise UnknownHost(host, fleet)
    servers = {server.id: server for server in fleet.on(host)}
    flights = {one.server: one for one in fleet.migrations if one.in_flight and one.server in servers}
    adopted = {name: one for name, one in flights.items() if _takes_away(one, fleet.hosts[host])}
    verdicts = {
        name: _verdict(fleet, server, policy, flights.get(name))
        for name, server in servers.items()
        if name not in adopted
    }
    packing = _pack(fleet, host, verdicts, avoid=avoid, planned=planned)
    verdicts |= {name: _no_target(choice) for name, choice in packing.refused.items()}
    verdicts |= {name: _adopt(migration) for name, migration in adopted.items()}
    targets = {**packing.targets, **{name: migration.target for name, migration in adopted.items()}}
    lines = [_line(server, verdicts[server.id], targets.get(server.id), pace) for server in servers.values()]
    lines.sort(key=lambda line: (line.action not in MOVES, line.id not in adopted, -line.seconds, line.name, line.id))
    return DrainPlan(
        host=host,
        feasible=all(line.action in MOVES or line.action is Action.LEAVE for line in lines),
        servers=tuple(lines),
        shortfall=_shortfall([server for server in servers.values() if server.id in packing.refused], packing),
        seconds=makespan([line.seconds for line in lines if line.action in MOVES], policy.per_source - 1),
    )


def document(plan: DrainPlan) -> dict[str, Any]:
    """The plan as the JSON document that `drover drain --dry-run --json` prints."""
    shortfall = plan.shortfall
    return {
        "host": plan.host,
        "feasible": plan.feasible,
        "servers": [
            {
                "id": server.id,
                "name": server.name,
                "action": server.action.value,
                "to": server.to,
                "reason": server.reason,
                "way_out": server.way_out,
                "seconds": round(server.seconds, 1),
            }
            for server in plan.servers
        ],
        "shortfall": shortfall
        and {"servers": list(shortfall.servers), "missing": dict(shortfall.missing), "text": shortfall.text},
        "seconds": round(plan.seconds, 1),
    }


def _takes_away(migration: Migration, host: Host) -> bool:
    """Whether the migration in flight ends elsewhere; from a dead host only an evacuation gets away."""
    if migration.target in (None, host.name) or migration.kind not in ACTION_OF:
        return False
    return not is_dead(host) or migration.kind == "evacuation"


def _verdict(fleet: Fleet, server: Server, policy: DrainPolicy, flight: Migration | None) -> Verdict:
    """The server's verdict; one that has just arrived waits until its migration is through (ACTIVE comes before)."""
    if flight is None or is_dead(fleet.hosts[server.host or ""]):
        return verdict_of(fleet, server, policy)
    where = f"to {flight.target} is not through yet" if flight.target else "has no target yet"
    return Verdict(Action.WAIT, f"its migration {where}", "wait: it is looked at again")


def _pack(
    fleet: Fleet, host: str, verdicts: Mapping[str, Verdict], *, avoid: frozenset[str], planned: Mapping[str, str]
) -> Packing:
    """Targets for all that move and are not in flight yet."""
    movers = [fleet.servers[name] for name, verdict in verdicts.items() if verdict.action in MOVES]
    if not movers:
        return Packing({}, {}, {})
    from functions.migrate.packing import pack  # numpy is loaded only when a target is needed

    return pack(fleet, host, movers, avoid=avoid, planned=planned)


def _adopt(migration: Migration) -> Verdict:
    return Verdict(ACTION_OF[migration.kind], f"already migrating to {migration.target}: it is adopted")


def _no_target(choice: Choice) -> Verdict:
    return Verdict(Action.CANNOT, f"no host can take it: {choice.reason}", choice.way_out)


def _line(server: Server, verdict: Verdict, target: str | None, pace: Pace) -> PlannedServer:
    return PlannedServer(
        id=server.id,
        name=server.name,
        action=verdict.action,
        to=target if verdict.action in MOVES else None,
        reason=verdict.reason,
        way_out=verdict.way_out,
        seconds=pace.seconds(server, verdict.action),
        force=verdict.force,
    )


def _shortfall(servers: list[Server], packing: Packing) -> Shortfall | None:
    if not servers:
        return None
    names = ", ".join(server.name for server in servers[:5]) + (", …" if len(servers) > 5 else "")
    subject = "1 server fits on no host" if len(servers) == 1 else f"{len(servers)} servers fit on no host"
    missing = packing.missing
    why = f"{amounts(missing)} missing on the best" if missing else packing.refused[servers[0].id].reason
    return Shortfall(tuple(server.id for server in servers), dict(missing), f"{subject} ({names}): {why}")


def _examples(fleet: Fleet) -> str:
    some = ", ".join(sorted(fleet.hosts)[:5])
    return f"there are {len(fleet.hosts)} hosts: {some}{', …' if len(fleet.hosts) > 5 else ''}"
