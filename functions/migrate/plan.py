"""The plan of a drain: for every server of the host what happens to it, where it goes, and how long all of it takes.

The dry run, the forecast and the run take their decisions here, so that a plan and its execution cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from functions.migrate.affinity import verdict_of
from functions.migrate.amphora import failover_ranks
from functions.migrate.explain import amounts
from functions.migrate.forecast import DEFAULT_PACE, Pace, makespan
from functions.migrate.model import AWAY, MOVES, Action, DrainPlan, DrainPolicy, PlannedServer, Shortfall, Verdict
from functions.migrate.obstacles import is_dead
from functions.migrate.targets import NOWHERE, Choice, Packing
from functions.migrate.urgency import note, ranks
from shared.errors import Rejected
from shared.fleet.snapshot import NOTHING, Fleet, Host, Migration, Server

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
    """What a drain of `host` would do; see `plan_drains`."""
    return plan_drains(fleet, (host,), policy, avoid, planned=planned, pace=pace)[0]


def plan_drains(
    fleet: Fleet,
    hosts: Sequence[str],
    policy: DrainPolicy,
    avoid: frozenset[str] = frozenset(),
    *,
    planned: Mapping[str, str] = NOWHERE,
    wishes: Mapping[str, str] = NOWHERE,
    pace: Pace = DEFAULT_PACE,
) -> tuple[DrainPlan, ...]:
    """What draining these hosts together would do; changes nothing and reads nothing but `fleet`.

    None of them is another's target, room is given once, and server groups hold over all of them. `avoid`: further
    hosts that are no targets, since other drains empty them. `planned`: by server id, the targets of moves that other
    drains have decided and that are not over yet. `wishes`: those that an earlier plan of the same hosts has chosen,
    which are kept if they still fit. Raises `UnknownHost`.
    """
    prospects = [_Prospect.of(fleet, host, policy) for host in hosts]
    movers = [
        fleet.servers[name]
        for prospect in prospects
        for name, verdict in prospect.verdicts.items()
        if verdict.action in MOVES
    ]
    packing = _pack(fleet, movers, avoid=avoid.union(hosts), planned=planned, wishes=wishes, spread=policy.evacuate)
    rescued = [server for server in movers if policy.evacuate and server.id in packing.targets]
    order = ranks(fleet, rescued) | _failovers(fleet, prospects)
    return tuple(_plan(prospect, packing, order, policy, pace) for prospect in prospects)


@dataclass(frozen=True, slots=True)
class _Prospect:
    """What is known of a host's servers before any target is looked for."""

    host: str
    servers: Mapping[str, Server]
    adopted: Mapping[str, Migration]
    """By server: what takes it away already."""
    verdicts: Mapping[str, Verdict]
    """By server, of those that are not adopted."""
    shared: Mapping[str, tuple[str, ...]]
    """By volume that is attached to several servers (multiattach), their names."""

    @classmethod
    def of(cls, fleet: Fleet, host: str, policy: DrainPolicy) -> _Prospect:
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
        volumes = {volume for server in servers.values() for volume in server.volumes}
        return cls(host, servers, adopted, verdicts, _shared(fleet, volumes))


def _plan(
    prospect: _Prospect, packing: Packing, order: Mapping[str, int], policy: DrainPolicy, pace: Pace
) -> DrainPlan:
    servers, adopted = prospect.servers, prospect.adopted
    refused = {name: choice for name, choice in packing.refused.items() if name in servers}
    verdicts = {
        **prospect.verdicts,
        **{name: _no_target(choice) for name, choice in refused.items()},
        **{name: _adopt(migration) for name, migration in adopted.items()},
    }
    targets = {**packing.targets, **{name: migration.target for name, migration in adopted.items()}}
    lines = [
        _line(server, _noted(verdicts[name], server, prospect), targets.get(name), pace, order.get(name, 0))
        for name, server in servers.items()
    ]
    lines.sort(key=lambda line: _place(line, line.id in adopted))
    return DrainPlan(
        host=prospect.host,
        feasible=all(line.action in AWAY or line.action is Action.LEAVE for line in lines),
        servers=tuple(lines),
        shortfall=_shortfall([server for server in servers.values() if server.id in refused], packing),
        seconds=_seconds(lines, policy),
        notes=_notes(prospect),
    )


def _failovers(fleet: Fleet, prospects: Sequence[_Prospect]) -> dict[str, int]:
    """The order of the amphorae that are failed over, of all hosts together."""
    failing = [
        (fleet.amphorae[name], prospect.servers[name].name)
        for prospect in prospects
        for name, verdict in prospect.verdicts.items()
        if verdict.action is Action.FAIL_OVER
    ]
    return failover_ranks(failing)


def _seconds(lines: Sequence[PlannedServer], policy: DrainPolicy) -> float:
    """Failovers go on beside the moves, one after the other."""
    moves = makespan([line.seconds for line in lines if line.action in MOVES], policy.per_source - 1)
    return max(moves, sum(line.seconds for line in lines if line.action is Action.FAIL_OVER))


def _notes(prospect: _Prospect) -> tuple[str, ...]:
    """What cannot be seen in the servers' own lines."""
    if number := sum(bool(server.volumes) for server in prospect.servers.values()):
        have = "1 server has volumes" if number == 1 else f"{number} servers have volumes"
        return (
            f"{have}: whether Cinder keeps any of them on {prospect.host} itself, Nova does not show (openstack volume "
            "service list --service cinder-volume does)",
        )
    return ()


def _noted(verdict: Verdict, server: Server, prospect: _Prospect) -> Verdict:
    """The verdict of a move with what else whoever reads the plan should know."""
    if verdict.action not in MOVES:
        return verdict
    others = sorted(
        {name for volume in server.volumes for name in prospect.shared.get(volume, ()) if name != server.name}
    )
    attached = f"shares a volume with {', '.join(others[:3])}: the target must reach it too" if others else ""
    wish = note(server) if verdict.action is Action.EVACUATE else ""
    return replace(verdict, reason="; ".join(filter(None, (verdict.reason, attached, wish))))


def _place(line: PlannedServer, adopted: bool) -> tuple[bool, bool, bool, int, float, str, str]:
    """Where a line stands in the plan."""
    failover = line.action is Action.FAIL_OVER
    return line.action not in AWAY, not adopted, failover, line.rank, -line.seconds, line.name, line.id


def document(plan: DrainPlan) -> dict[str, Any]:
    """The plan as the JSON document that `drover drain --dry-run --json` prints."""
    shortfall = plan.shortfall
    return {
        "host": plan.host,
        "feasible": plan.feasible,
        "servers": [
            {
                "host": plan.host,
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
        "notes": list(plan.notes),
    }


def _takes_away(migration: Migration, host: Host) -> bool:
    """Whether the migration in flight ends elsewhere; from a dead host only an evacuation gets away."""
    if migration.target in (None, host.name) or migration.kind not in ACTION_OF:
        return False
    return not is_dead(host) or migration.kind == "evacuation"


def _shared(fleet: Fleet, volumes: set[str]) -> dict[str, tuple[str, ...]]:
    """Of these volumes those that several servers have, with the names of the servers."""
    found: dict[str, list[str]] = {}
    for server in fleet.servers.values() if volumes else ():
        for volume in server.volumes & volumes:
            found.setdefault(volume, []).append(server.name)
    return {volume: tuple(names) for volume, names in found.items() if len(names) > 1}


def _verdict(fleet: Fleet, server: Server, policy: DrainPolicy, flight: Migration | None) -> Verdict:
    """The server's verdict; one that has just arrived waits until its migration is through (ACTIVE comes before)."""
    if flight is None or is_dead(fleet.hosts[server.host or ""]):
        return verdict_of(fleet, server, policy)
    where = f"to {flight.target} is not through yet" if flight.target else "has no target yet"
    return Verdict(Action.WAIT, f"its migration {where}", "wait: it is looked at again")


def _pack(
    fleet: Fleet,
    movers: Sequence[Server],
    *,
    avoid: frozenset[str],
    planned: Mapping[str, str],
    wishes: Mapping[str, str],
    spread: bool,
) -> Packing:
    """Targets for all that move and are not in flight yet."""
    if not movers:
        return Packing({}, {}, {})
    from functions.migrate.packing import pack  # numpy is loaded only when a target is needed

    return pack(fleet, movers, avoid=avoid, planned=planned, wishes=wishes, spread=spread)


def _adopt(migration: Migration) -> Verdict:
    return Verdict(ACTION_OF[migration.kind], f"already migrating to {migration.target}: it is adopted")


def _no_target(choice: Choice) -> Verdict:
    return Verdict(Action.CANNOT, f"no host can take it: {choice.reason}", choice.way_out)


def _line(server: Server, verdict: Verdict, target: str | None, pace: Pace, rank: int) -> PlannedServer:
    return PlannedServer(
        id=server.id,
        name=server.name,
        action=verdict.action,
        to=target if verdict.action in MOVES else None,
        reason=verdict.reason,
        way_out=verdict.way_out,
        seconds=pace.seconds(server, verdict.action),
        force=verdict.force,
        rank=rank,
    )


def _shortfall(servers: list[Server], packing: Packing) -> Shortfall | None:
    if not servers:
        return None
    names = ", ".join(server.name for server in servers[:5]) + (", …" if len(servers) > 5 else "")
    subject = "1 server fits on no host" if len(servers) == 1 else f"{len(servers)} servers fit on no host"
    missing: dict[str, int] = {}
    for server in servers:
        for kind, amount in packing.missing.get(server.id, NOTHING).items():
            missing[kind] = missing.get(kind, 0) + amount
    why = f"{amounts(missing)} missing on the best" if missing else packing.refused[servers[0].id].reason
    return Shortfall(tuple(server.id for server in servers), missing, f"{subject} ({names}): {why}")


def _examples(fleet: Fleet) -> str:
    some = ", ".join(sorted(fleet.hosts)[:5])
    return f"there are {len(fleet.hosts)} hosts: {some}{', …' if len(fleet.hosts) > 5 else ''}"
