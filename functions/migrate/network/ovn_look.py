"""What OVN's databases say about a host: two reads, one of each database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from functions.migrate.network.ovn_model import HOST, Candidate, Gateway, Look
from functions.migrate.network.ovn_values import a_set, members, pairs, references
from functions.migrate.network.ovn_wire import Database, Operation, Row
from shared.errors import Rejected

DOWN_SECONDS = 75.0
"""Neutron's agent_down_time by default."""
REDIRECT = "cr-"
"""What ovn-northd puts before a gateway port's name for the port that is bound to its carrier (ovn-northd(8))."""

EMPTY = a_set(())
NORTH: Sequence[Operation] = (
    {"table": "NB_Global", "columns": ["nb_cfg"]},
    {"table": "Gateway_Chassis", "columns": ["_uuid", "chassis_name", "priority", "external_ids"]},
    {"table": "HA_Chassis", "columns": ["_uuid", "chassis_name", "priority", "external_ids"]},
    {"table": "HA_Chassis_Group", "columns": ["_uuid", "name", "ha_chassis"]},
    {
        "table": "Logical_Router_Port",
        "where": [["gateway_chassis", "!=", EMPTY]],
        "columns": ["_uuid", "name", "gateway_chassis", "ha_chassis_group"],
    },
    {
        "table": "Logical_Router_Port",
        "where": [["ha_chassis_group", "!=", EMPTY]],
        "columns": ["name", "ha_chassis_group"],
    },
    {
        "table": "Logical_Switch_Port",
        "where": [["type", "==", "external"], ["ha_chassis_group", "!=", EMPTY]],
        "columns": ["name", "ha_chassis_group"],
    },
)
PORTS = ("chassisredirect", "external", "l3gateway", "l2gateway")
SOUTH: Sequence[Operation] = (
    {"table": "Chassis", "columns": ["_uuid", "name", "hostname"]},
    {"table": "Chassis_Private", "columns": ["name", "nb_cfg", "nb_cfg_timestamp"]},
    *(
        {"table": "Port_Binding", "where": [["type", "==", kind]], "columns": ["logical_port", "type", "chassis"]}
        for kind in PORTS
    ),
)


@dataclass(frozen=True, slots=True)
class _South:
    """The southbound part."""

    hosts: Mapping[str, str]
    """Each chassis' host."""
    alive: frozenset[str]
    bound: Mapping[str, str | None]
    """Each port that candidates share, and its chassis."""
    pinned: Mapping[str, str | None]
    """Each port that is bound by an option, and its chassis."""

    def candidate(self, row: Row) -> Candidate:
        name = row["chassis_name"]
        return Candidate(
            row=row["_uuid"][1],
            chassis=name,
            priority=row["priority"],
            ids=pairs(row["external_ids"]),
            host=self.hosts.get(name),
            alive=name in self.alive,
        )


def look_at(north: Database, south: Database, host: str, now: float, remembered: Set[str] = frozenset()) -> Look:
    """What the chassis of a host may carry, and who carries it now.

    Args:
        host: as the chassis' `hostname` says it; Nova's and Neutron's name for the host.
        now: seconds since 1970.
        remembered: chassis that the host had at an earlier look: one whose ovn-controller was stopped in an orderly
            way is not registered any more, and the rows that name it stay. Those that a drain has lowered say
            themselves whose they are.

    Raises:
        Rejected: no chassis has that hostname, but one has nearly.
        Retry: a database can't be asked now.
        Permanent: it never can.
    """
    wanted, *lists = north.read([_select(select) for select in NORTH])
    there = _south(south.read([_select(select) for select in SOUTH]), wanted[0]["nb_cfg"] if wanted else 0, now)
    registered = {name for name, its_host in there.hosts.items() if its_host == host}
    told = {row["chassis_name"] for row in (*lists[0], *lists[1]) if pairs(row["external_ids"]).get(HOST) == host}
    chassis = frozenset(registered | ((remembered | told) - there.hosts.keys()))
    if not chassis:
        _nearly(host, there.hosts)
    gateways = _gateways(lists, there, chassis)
    return Look(
        host=host,
        chassis=chassis,
        alive=there.alive,
        gateways=tuple(sorted(gateways, key=lambda found: (_carried(found, chassis), found.name))),
        pinned=tuple(sorted(port for port, its_chassis in there.pinned.items() if its_chassis in chassis)),
    )


def _select(select: Operation) -> Operation:
    return {"op": "select", "where": [], **select}


def _south(answers: Sequence[Sequence[Row]], wanted: int, now: float) -> _South:
    chassis, private, *ports = answers
    names = {row["_uuid"][1]: row["name"] for row in chassis}
    alive = {row["name"] for row in private if is_alive(row, wanted, now)}
    bound: dict[str, str | None] = {}
    pinned: dict[str, str | None] = {}
    for row in (row for rows in ports for row in rows):
        held = [names.get(uuid) for uuid in references(row["chassis"])]
        group = bound if row["type"] in ("chassisredirect", "external") else pinned
        group[row["logical_port"]] = held[0] if held else None
    return _South(
        {row["name"]: row["hostname"] for row in chassis}, frozenset(alive & set(names.values())), bound, pinned
    )


def is_alive(private: Row, wanted: int, now: float) -> bool:
    """Whether a chassis lives, as Neutron judges it (neutron/plugins/ml2/drivers/ovn/agent/neutron_agent.py, `alive`).

    The number that the northbound database asks for (`nb_cfg`) is counted up by Neutron whenever somebody lists
    agents, and not here: every chassis of the cloud would have to write its answer, for each look. A chassis that is
    one behind may just not have answered yet.
    """
    return bool(wanted - private["nb_cfg"] <= 1 or now - private["nb_cfg_timestamp"] / 1000 < DOWN_SECONDS)


def _nearly(host: str, hosts: Mapping[str, str]) -> None:
    short = host.partition(".")[0]
    if near := sorted({other for other in hosts.values() if other.partition(".")[0] == short}):
        raise Rejected(
            f"OVN has no chassis of the host {host!r}, but of {', '.join(map(repr, near))}: name it as the chassis "
            "does, or set its hostname: ovs-vsctl set open_vswitch . external-ids:hostname=…"
        )


def _carried(gateway: Gateway, chassis: frozenset[str]) -> bool:
    return any(carrier in chassis for carrier in gateway.carriers.values())


def _gateways(lists: Sequence[Sequence[Row]], there: _South, chassis: frozenset[str]) -> list[Gateway]:
    old, new, groups, old_ports, new_ports, externals = lists
    rows = {row["_uuid"][1]: row for row in (*old, *new)}
    own = {uuid for uuid, row in rows.items() if row["chassis_name"] in chassis}
    ports: dict[str, list[str]] = {}
    for row, prefix in [(row, REDIRECT) for row in new_ports] + [(row, "") for row in externals]:
        for group in references(row["ha_chassis_group"]):
            ports.setdefault(group, []).append(f"{prefix}{row['name']}")
    # a port with both is governed by its group (ovn-nb(5), Logical_Router_Port)
    parents = [
        (f"Logical_Router_Port:{row['name']}", row, "gateway_chassis", [f"{REDIRECT}{row['name']}"])
        for row in old_ports
        if not members(row["ha_chassis_group"])
    ]
    parents += [
        (f"HA_Chassis_Group:{row['name']}", row, "ha_chassis", ports.get(row["_uuid"][1], [])) for row in groups
    ]
    found = []
    for name, parent, column, held in parents:
        uuids = references(parent[column])
        if not own.isdisjoint(uuids):
            found.append(_gateway(name, parent, [there.candidate(rows[uuid]) for uuid in uuids], held, there))
    return [gateway for gateway in found if gateway.carriers or any(row.mark for row in gateway.candidates)]


def _gateway(name: str, parent: Row, candidates: Sequence[Candidate], ports: Sequence[str], there: _South) -> Gateway:
    return Gateway(
        name=name,
        parent=parent["_uuid"][1],
        candidates=tuple(sorted(candidates, key=lambda candidate: (-candidate.priority, candidate.chassis))),
        # a port that the southbound database does not have is carried by nobody, whatever is done here
        carriers={port: there.bound[port] for port in ports if port in there.bound},
    )
