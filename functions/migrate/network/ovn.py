"""Taking a host's chassis out of OVN's gateways, and giving it back: the verbs on OVN's databases.

Most releases of Neutron have no request for it: with OVN the priorities are rows of the northbound database,
`Gateway_Chassis` of a router's gateway port, or (from 2026.2 on, and for ports of type `external`) `HA_Chassis` of an
`HA_Chassis_Group`. The newest has one (extension l3-agent-scheduler-ha-chassis-priority), which gives a candidate a
priority that no other has: it can't make room below them.

What Neutron does to these rows, as read in its source (services/ovn_l3/plugin.py, scheduler/l3_ovn_scheduler.py, and
commands.py, impl_idl_ovn.py, ovsdb_monitor.py, maintenance.py of ml2/drivers/ovn/mech_driver/ovsdb):
- It schedules gateways again when a chassis registers, is deleted, or changes its bridge mappings, availability zones
  or `enable-chassis-as-gw`: those with fewer than five valid candidates, if others could be had. Then the candidates
  keep their order, and new ones come below them: a lowered host stays behind those that were there, so that it carries
  nothing, but it need not be the last any more, and its priority is not the one that was written. Here that counts as
  somebody else's change: it is left as it is, also by a restore.
- Older releases, and the one-time move from Gateway_Chassis to HA_Chassis, make new rows, which have no marks: a
  restore finds nothing to do. What there was stands in the operation's audit.
- Taking `enable-chassis-as-gw` away would make Neutron itself move all gateways, but that is set in the host's own
  Open vSwitch, which Drover does not touch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence, Set
from typing import Any

from functions.migrate.network.ovn_look import look_at
from functions.migrate.network.ovn_model import BEFORE, HOST, LOWERED, WRITTEN, Candidate, Gateway, Look
from functions.migrate.network.ovn_plan import Write, obstacle, to_lower, to_restore
from functions.migrate.network.ovn_settings import databases
from functions.migrate.network.ovn_values import a_map, a_set, reference
from functions.migrate.network.ovn_wire import Database, Operation
from shared.errors import Permanent


class Ovn:
    """OVN of one cloud.

    Args:
        north: the northbound database.
        south: the southbound one.
        now: seconds since 1970.
    """

    def __init__(self, north: Database, south: Database, now: Callable[[], float] = time.time) -> None:
        self._north, self._south, self._now = north, south, now

    @staticmethod
    def of(cloud: str) -> Ovn | None:
        """The OVN of a cloud; None: the settings name none.

        Raises:
            SettingsError: they can't be used.
        """
        found = databases(cloud)
        return Ovn(*found) if found else None

    def gateways(self, host: str, remembered: Set[str] = frozenset()) -> Look:
        """What the host's chassis is a candidate for, with all priorities, and who carries it now: two reads.

        Args:
            host: as the chassis' `hostname` says it; Nova's and Neutron's name for the host.
            remembered: the `chassis` of an earlier look, in case they are not registered any more.

        Raises:
            Rejected: no chassis has that hostname, but one has nearly.
            Retry: a database can't be asked now.
            Permanent: it never can.
        """
        return look_at(self._north, self._south, host, self._now(), remembered)

    def lower(self, look: Look, gateway: Gateway, operation: str) -> bool:
        """Put the host below all other candidates of one gateway, in one transaction.

        The old priorities stay beside the new ones in the rows' `external_ids`. Nothing is written when the host is the
        lowest already, so that it may be repeated.

        Args:
            look: a fresh one; the transaction changes nothing unless the rows are still as in it.
            gateway: one of its gateways.
            operation: the id of the drain.

        Returns:
            Whether anything was written.

        Raises:
            Permanent: no other candidate could carry it, or somebody else has undone a drain's change.
            Changed, Retry: nothing was changed; look again.
            AnswerLost: look again before anything else.
        """
        if why := obstacle(look, gateway, operation):
            raise Permanent(f"{gateway.name}: {why.reason}; {why.way_out}")
        return self._carry_out(gateway, to_lower(look, gateway, operation), f"drover {operation}: lower {look.host}")

    def restore(self, look: Look, gateway: Gateway) -> bool:
        """Put the host's priority back where it was before a drain lowered it; others that made room as well.

        What somebody else has written since is left as it is. Nothing is written when no drain has lowered it.

        Returns:
            Whether anything was written.

        Raises:
            Changed, Retry: nothing was changed; look again.
            AnswerLost: look again before anything else.
            Permanent: the database refuses it.
        """
        return self._carry_out(gateway, to_restore(look, gateway), f"drover: restore {look.host}")

    def _carry_out(self, gateway: Gateway, writes: Sequence[Write], comment: str) -> bool:
        if not writes:
            return False
        unchanged = [_wait(candidate.row, gateway.table, _seen(candidate)) for candidate in gateway.candidates]
        listed = a_set([reference(candidate.row) for candidate in gateway.candidates])
        self._north.change(
            [
                _wait(gateway.parent, gateway.parent_table, {gateway.column: listed}),
                *unchanged,
                *(_mutation(gateway.table, write) for write in writes),
                *(_update(gateway.table, write) for write in writes),
                {"op": "comment", "comment": comment},  # the database's log keeps it beside the change
            ]
        )
        return True


def _seen(candidate: Candidate) -> dict[str, Any]:
    return {
        "chassis_name": candidate.chassis,
        "priority": candidate.priority,
        "external_ids": a_map(candidate.ids),
    }


def _wait(row: str, table: str, seen: dict[str, Any]) -> Operation:
    return {
        "op": "wait",
        "timeout": 0,
        "table": table,
        "where": [["_uuid", "==", reference(row)]],
        "columns": list(seen),
        "until": "==",
        "rows": [seen],
    }


def _mutation(table: str, write: Write) -> Operation:
    mutations: list[Any] = [["external_ids", "delete", a_set((BEFORE, WRITTEN, LOWERED, HOST))]]
    if write.mark:
        mutations.append(["external_ids", "insert", a_map(write.mark.ids)])
    return {
        "op": "mutate",
        "table": table,
        "where": [["_uuid", "==", reference(write.candidate.row)]],
        "mutations": mutations,
    }


def _update(table: str, write: Write) -> Operation:
    return {
        "op": "update",
        "table": table,
        "where": [["_uuid", "==", reference(write.candidate.row)]],
        "row": {"priority": write.priority},
    }
