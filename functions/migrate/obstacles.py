"""Whether a server can be moved as it is: the rules of Nova, one line each, without looking for a target yet.

Sources: the decorators of `nova/compute/api.py` (`live_migrate`, `resize`, `evacuate`, `shelve`) and the map from
vm_state and task_state to status in `nova/api/openstack/common.py`, both of 2026.1. What binds a server beside its
status is in `functions.migrate.features`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from functions.migrate.features import NOTES, PASSED_THROUGH, Version, first_feature, has_vgpu
from functions.migrate.model import MOVES, Action, DrainPolicy, Verdict
from shared.fleet.snapshot import Host, Server

DOWNTIME = "cold migration with --allow-downtime"

VGPU = "vGPU: migrates live from Nova 2024.1 on, with libvirt 8.6 and QEMU 8.1 on both hosts"

GUEST_OFF = frozenset({4, 6, 7})
"""Power states (shutdown, crashed, suspended) in which Nova refuses a live migration, whatever the status says."""


def _cannot(reason: str, way_out: str) -> Verdict:
    return Verdict(Action.CANNOT, reason, way_out)


def _wait(reason: str) -> Verdict:
    return Verdict(Action.WAIT, reason, "wait: it is looked at again")


def _leave(reason: str) -> Verdict:
    return Verdict(Action.LEAVE, reason)


STATES: Mapping[str, Verdict] = {
    "ERROR": _cannot(
        "in ERROR",
        "mend it first; if its guest is well, openstack server set --state active, then drain again",
    ),
    "RESCUE": _cannot("in RESCUE", "unrescue it first"),
    "SUSPENDED": _cannot("SUSPENDED: its memory lies in a file on this host", "resume it first"),
    "VERIFY_RESIZE": _cannot("in VERIFY_RESIZE: a resize waits for its owner", "confirm or revert the resize first"),
    "SHELVED": _cannot("SHELVED, but its disk is still on this host", "offload it, or unshelve it first"),
    "SOFT_DELETED": _cannot(
        "SOFT_DELETED, and its disk stays here until Nova reclaims it",
        "force-delete it, or restore it so that it can move",
    ),
    "BUILD": _wait("still being built"),
    "REBUILD": _wait("being rebuilt"),
    "REBOOT": _wait("rebooting"),
    "HARD_REBOOT": _wait("rebooting"),
    "PASSWORD": _wait("its password is being set"),
    "RESIZE": _wait("being resized or cold-migrated"),
    "REVERT_RESIZE": _wait("its resize is being reverted"),
    "MIGRATING": _wait("already migrating, its target is not known yet"),
    "UNKNOWN": _wait("in UNKNOWN: Nova cannot reach the database of its cell"),
}
"""What a status means on a living host, for those that are neither moved nor gone."""

IRONIC = "ironic"
"""Nova's hypervisor_type of Ironic's nodes."""

BARE_METAL = _cannot(
    "bare metal (Ironic): the server is the machine itself, and nothing can move it",
    "its owner builds it again on another node; the others of this nova-compute are not touched either",
)

GONE: Mapping[str, Verdict] = {
    "DELETED": _leave("deleted"),
    "SHELVED_OFFLOADED": _leave("SHELVED_OFFLOADED: it is on no host"),
}

EVACUABLE = frozenset({"ACTIVE", "SHUTOFF", "ERROR", "REBOOT", "HARD_REBOOT", "PASSWORD"})
"""Statuses whose vm_state is ACTIVE, STOPPED or ERROR: an evacuation ignores what task was under way."""


def judge(server: Server, host: Host, policy: DrainPolicy, version: Version | None = None) -> Verdict:
    """What can be done with `server`, which is on `host`, within `policy`, by a Nova of this microversion.

    The verdict never depends on other servers or on targets. It is a move, WAIT (a task is under way), LEAVE (it goes
    away by itself or holds nothing here) or CANNOT, with the reason and the cheapest way out for a person.
    """
    verdict = _judge(server, host, policy, version)
    if verdict.action not in MOVES:
        return verdict
    notes = [note.text for note in NOTES if note.present(server)]
    if verdict.action is Action.LIVE_MIGRATE and (ports := sorted(server.vnic_types & PASSED_THROUGH)):
        notes.append(f"port of type {', '.join(ports)}: unplugged during the move, so that packets are lost")
    return replace(verdict, reason=_join(_lock_note(server) if server.locked else "", verdict.reason, *notes))


def is_dead(host: Host) -> bool:
    """Whether nothing can migrate away from the host: Nova asks the source's service for both live and cold."""
    return host.state != "up" or host.forced_down


def _judge(server: Server, host: Host, policy: DrainPolicy, version: Version | None) -> Verdict:
    if gone := GONE.get(server.status):
        return gone
    if server.task_state == "deleting":
        return _leave("being deleted")
    if host.hypervisor.lower() == IRONIC:
        return BARE_METAL
    if is_dead(host):
        return _from_dead_host(server, host, policy)
    if state := STATES.get(server.status):
        return _with_fault(state, server)
    if server.task_state is not None:
        return _wait(f"its task {server.task_state} is under way")
    if server.status == "SHUTOFF":
        return _cold(server, Verdict(Action.COLD_MIGRATE))
    if server.status in ("ACTIVE", "PAUSED"):
        return _running(server, policy, version)
    return _cannot(f"in {server.status}, which Nova does not migrate", "bring it to ACTIVE or SHUTOFF first")


def _running(server: Server, policy: DrainPolicy, version: Version | None) -> Verdict:
    """A guest that runs or is paused moves live, unless something it has forbids it."""
    feature = first_feature(server, lambda feature: not feature.moves_live(version))
    if feature:
        return _cold(server, _with_downtime(server, feature.name, policy))
    if server.power_state in GUEST_OFF:
        off = "ACTIVE for Nova, but its guest is off"
        return _cold(server, _with_downtime(server, off, policy, "stop it, then it is cold-migrated"))
    return Verdict(Action.LIVE_MIGRATE, VGPU if has_vgpu(server) else "")


def _with_downtime(server: Server, obstacle: str, policy: DrainPolicy, way_out: str = DOWNTIME) -> Verdict:
    if server.status == "PAUSED":
        return _cannot(f"{obstacle}, and PAUSED", f"unpause it, then {DOWNTIME}")
    if not policy.allow_downtime:
        return _cannot(obstacle, way_out)
    return Verdict(Action.COLD_MIGRATE, f"{obstacle}: it is stopped for the move")


def _cold(server: Server, verdict: Verdict) -> Verdict:
    """`verdict`, unless the server has something that Nova does not cold-migrate either."""
    if feature := first_feature(server, lambda feature: not feature.cold):
        return _cannot(
            f"{feature.name}: Nova migrates it neither live nor cold",
            feature.way_out,
        )
    return verdict


def _from_dead_host(server: Server, host: Host, policy: DrainPolicy) -> Verdict:
    if server.status == "REBUILD":
        return _wait("being rebuilt or evacuated")
    if not policy.evacuate:
        return _cannot(
            f"{host.name} is down: nothing can migrate away from it",
            "start its nova-compute again; or, when the host is proven to be off, --evacuate",
        )
    if not host.forced_down:
        return _cannot(
            f"{host.name} is down but not forced down: if the server still ran there, its disk would be written twice",
            f"fence the host, then: openstack compute service set --down {host.name} nova-compute",
        )
    if server.status not in EVACUABLE:
        return _cannot(
            f"in {server.status} on a dead host: Nova evacuates only ACTIVE, SHUTOFF and ERROR",
            "openstack server set --state error, then evacuate it",
        )
    if feature := first_feature(server, lambda feature: not feature.evacuate):
        return _cannot(f"{feature.name}: Nova does not evacuate it", "bring the host back, or restore its backup")
    lost = "" if server.volume_backed else "its local disk is lost unless Nova's storage is shared"
    return Verdict(Action.EVACUATE, lost)


def _lock_note(server: Server) -> str:
    note = "locked by its owner: admins may still move it"
    return f'{note} (locked because: "{server.locked_reason}")' if server.locked_reason else note


def _with_fault(verdict: Verdict, server: Server) -> Verdict:
    if server.status == "ERROR" and server.fault:
        return replace(verdict, reason=f"{verdict.reason}: {server.fault}")
    return verdict


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
