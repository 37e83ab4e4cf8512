"""Small builders of fleets: what a test does not name has a plain value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from functions.migrate.model import Action, Move, MoveState
from shared.fleet.snapshot import Fleet, Group, Host, Migration, Requirements, Server

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GIB = 1024


def host(name: str, *, vcpu: int = 64, gib: int = 256, used: dict[str, int] | None = None, **other: Any) -> Host:
    """A living, enabled hypervisor in zone `az1`."""
    return Host(
        name=name,
        zone=other.pop("zone", "az1"),
        capacity=other.pop("capacity", {"VCPU": vcpu, "MEMORY_MB": gib * GIB, "DISK_GB": 2000}),
        used=used or {},
        accepts=other.pop("accepts", True),
        **{key: frozenset(value) if key in ("aggregates", "traits") else value for key, value in other.items()},
    )


def server(name: str, on: str | None = "cmp01", *, vcpu: int = 2, gib: int = 4, disk: int = 20, **other: Any) -> Server:
    """An ACTIVE server whose id is its name; requirements may be named directly (`zone=`, `traits=`, …)."""
    wishes = {key: other.pop(key) for key in Requirements.__dataclass_fields__ if key in other}
    requires = Requirements(**{k: v if k == "zone" else frozenset(v) for k, v in wishes.items()})
    uses = other.pop("uses", {"VCPU": vcpu, "MEMORY_MB": gib * GIB, "DISK_GB": disk})
    status = other.pop("status", "ACTIVE")
    return Server(name, name, on, "project", status, uses=uses, requires=requires, **other)


def group(name: str, policy: str, *members: str, max_per_host: int = 1) -> Group:
    """A server group of the named servers."""
    return Group(name, policy, frozenset(members), name, max_per_host)


def migration(of: str, source: str | None = "cmp01", target: str | None = "cmp02", **other: Any) -> Migration:
    """A live migration that is running."""
    return Migration(
        id=other.get("id", 1),
        uuid=f"migration-{of}",
        server=of,
        source=source,
        target=target,
        status=other.get("status", "running"),
        kind=other.get("kind", "live-migration"),
        created=NOW,
        updated=NOW,
    )


def fleet(
    hosts: Iterable[Host],
    servers: Iterable[Server] = (),
    groups: Iterable[Group] = (),
    migrations: Iterable[Migration] = (),
) -> Fleet:
    """A fleet of these."""
    return Fleet(
        hosts={one.name: one for one in hosts},
        servers={one.id: one for one in servers},
        groups={one.id: one for one in groups},
        migrations=tuple(migrations),
    )


def move(name: str, to: str | None = "cmp02", seconds: float = 10.0, **other: Any) -> Move:
    """A held live migration of the server `name`."""
    return Move(
        server=name,
        name=name,
        action=other.pop("action", Action.LIVE_MIGRATE),
        to=to,
        state=other.pop("state", MoveState.HELD),
        seconds=seconds,
        groups=frozenset(other.pop("groups", ())),
        **other,
    )
