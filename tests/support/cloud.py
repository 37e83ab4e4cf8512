"""A double of a whole cloud at the HTTP level: openstacksdk talks to it, no socket is opened, time is a clock's.

    clock = FakeClock()
    fake = FakeCloud(clock)
    fake.add_host("cmp01"), fake.add_host("cmp02")
    vm = fake.add_server("cmp01", name="web-1")
    cloud = fake.cloud()                      # a shared.clouds.Cloud
    cloud.compute.post(f"/servers/{vm}/action", json={"os-migrateLive": {"host": "cmp02", "block_migration": "auto"}})
    clock.advance(10)
    assert fake.server(vm).host == "cmp02"

It behaves as Nova 34 was seen to: a live migration is answered 202 and then queued (`cap` at a time per source); what
the scheduler refuses ends as a migration in `error` with the server ACTIVE where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from tests.support.cloud_model import (
    Act,
    FakeAggregate,
    FakeGroup,
    FakeHost,
    FakeMigration,
    FakeServer,
    Fault,
    new_id,
)
from tests.support.cloud_moves import Moves
from tests.support.cloud_verbs import Answers
from tests.support.cloud_wire import BASE, Wire

if TYPE_CHECKING:
    from openstack.config.cloud_region import CloudRegion

    from shared.clouds import Cloud

__all__ = ["Act", "FakeCloud", "Fault"]


class Now(Protocol):
    """Any clock that tells the time."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class FakeCloud:
    """The cloud, with the hands to set it up, to break it, and to look at it."""

    def __init__(
        self, clock: Now, *, cap: int = 1, seconds: float = 2.0, newest: str = "2.103", page: int = 1000
    ) -> None:
        """Make an empty cloud.

        Args:
            clock: drives everything; nothing moves unless it does.
            cap: max_concurrent_live_migrations of every host.
            seconds: how long a live migration copies, a cold one or an evacuation works.
            newest: the newest compute microversion.
            page: Nova's max_limit.
        """
        self._clock = clock
        self.world = Moves(clock.now, cap=cap, seconds=seconds)
        self.answers = Answers(self.world, newest=newest, page=page)
        self.wire = Wire(self.answers)

    # -- setting up -------------------------------------------------------------------------------------------

    def add_host(
        self,
        name: str,
        *,
        vcpus: int = 64,
        memory_mb: int = 262_144,
        disk_gb: int = 2_000,
        zone: str = "nova",
        traits: Iterable[str] = (),
        disabled_reason: str | None = None,
        **more: int,
    ) -> None:
        """Add a hypervisor that is up; `disabled_reason` disables it; `more` are further resource classes."""
        capacity = {"VCPU": vcpus, "MEMORY_MB": memory_mb, "DISK_GB": disk_gb, **more}
        self.world.hosts[name] = FakeHost(
            name,
            capacity,
            zone,
            set(traits),
            disabled=disabled_reason is not None,
            disabled_reason=disabled_reason,
        )

    def add_server(
        self,
        host: str | None,
        *,
        name: str | None = None,
        status: str = "ACTIVE",
        memory_mb: int = 512,
        vcpus: int = 1,
        disk_gb: int = 1,
        project: str = "project",
        group: str | None = None,
        **details: Any,
    ) -> str:
        """Add a server as if it had been there for long; gives its id. `details` are fields of `FakeServer`."""
        self.world.settle()
        server = FakeServer(
            new_id(),
            name or f"vm-{len(self.world.servers) + 1:03}",
            host,
            project,
            self.world.time,
            self.world.time,
            status=status,
            uses={"VCPU": vcpus, "MEMORY_MB": memory_mb, "DISK_GB": disk_gb},
            **details,
        )
        self.world.servers[server.id] = server
        if host is not None:
            self.world.allocations[server.id] = (host, server.uses)
        if group is not None:
            self.world.groups[group].members.append(server.id)
        return server.id

    def add_group(self, policy: str = "anti-affinity", *, name: str = "group", max_per_host: int = 1) -> str:
        """Add an empty server group; gives its id."""
        group = FakeGroup(new_id(), name, policy, [], "project", max_per_host)
        self.world.groups[group.id] = group
        return group.id

    def add_aggregate(self, name: str, hosts: Iterable[str], metadata: Mapping[str, str] | None = None) -> None:
        """Add a host aggregate."""
        number = len(self.world.aggregates) + 1
        self.world.aggregates.append(FakeAggregate(number, name, list(hosts), dict(metadata or {})))

    def delete_server(self, server: str) -> None:
        """Its owner deletes it."""
        self.world.settle()
        gone = self.world.servers.pop(server)
        gone.status, gone.task_state, gone.updated, gone.host = "DELETED", None, self.world.time, None
        self.world.deleted[server] = gone
        self.world.allocations.pop(server, None)

    def set_status(self, server: str, status: str, task_state: str | None = None) -> None:
        """Put a server into a status."""
        self.world.settle()
        record = self.world.servers[server]
        record.status, record.task_state, record.updated = status, task_state, self.world.time

    def kill_host(self, host: str) -> None:
        """Its nova-compute stops reporting: Nova sees the service down."""
        self.world.settle()
        self.world.hosts[host].dead = True

    def revive_host(self, host: str) -> None:
        """Its nova-compute comes back."""
        self.world.settle()
        self.world.revive(host)

    # -- breaking ---------------------------------------------------------------------------------------------

    @property
    def faults(self) -> dict[str, Fault]:
        """What goes wrong, by server id or name."""
        return self.world.faults

    def drop_answer_of_next(self, verb: str) -> None:
        """Carry the next such act out, but lose its answer; for the verbs see `Act.verb`."""
        self.wire.lost_verbs.append(verb)

    def fail_next(self, status: int, *, retry_after: int | None = None, of: str = "", times: int = 1) -> None:
        """Answer the next request whose "METHOD /path" contains `of` with this status, without doing anything.

        Keystone and the discovery of versions are spared, unless `of` is exactly theirs: "GET /compute/v2.1".
        """
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.wire.failures.extend([(status, headers, of)] * times)

    @property
    def unreachable(self) -> bool:
        """Whether every connection is refused."""
        return self.wire.unreachable

    @unreachable.setter
    def unreachable(self, value: bool) -> None:
        self.wire.unreachable = value

    # -- looking ----------------------------------------------------------------------------------------------

    @property
    def history(self) -> list[Act]:
        """Every change that was accepted, in order."""
        return self.world.history

    @property
    def requests(self) -> Counter[str]:
        """Requests that arrived, by service: identity, compute, placement."""
        return self.wire.requests

    @property
    def log(self) -> list[str]:
        """Every request that arrived: "GET /compute/v2.1/os-services?binary=nova-compute"."""
        return self.wire.log

    def server(self, server: str) -> FakeServer:
        """A server as it is now."""
        self.world.settle()
        return self.world.servers[server]

    def host(self, name: str) -> FakeHost:
        """A host as it is now."""
        self.world.settle()
        return self.world.hosts[name]

    def servers_on(self, host: str) -> list[FakeServer]:
        """The servers that are on a host now."""
        self.world.settle()
        return [server for server in self.world.servers.values() if server.host == host]

    @property
    def migrations(self) -> list[FakeMigration]:
        """All rows of os-migrations, oldest first."""
        self.world.settle()
        return list(self.world.migrations.values())

    # -- talking ----------------------------------------------------------------------------------------------

    def region(self, password: str = "secret") -> CloudRegion:
        """What openstacksdk would have made of a clouds.yaml that names this cloud."""
        from openstack.config import OpenStackConfig

        config = OpenStackConfig(load_yaml_config=False, load_envvars=False, app_name="drover", app_version="test")
        return config.get_one(
            auth_type="password",
            auth={
                "auth_url": f"{BASE}/identity/v3",
                "username": "admin",
                "password": password,
                "project_name": "admin",
                "user_domain_id": "default",
                "project_domain_id": "default",
            },
            region_name="R",
        )

    def cloud(self, name: str = "fake") -> Cloud:
        """A new connection to this cloud; its waits pass on the clock."""
        from shared.clouds import Cloud

        return Cloud(name, self.region(), inner=self.wire, sleep=self._clock.sleep)


class FakeClock:
    """Time that passes only when a test says so."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._start = start

    def now(self) -> datetime:
        """The time of day."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the start."""
        return (self._now - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Time passes."""
        from datetime import timedelta

        self._now += timedelta(seconds=seconds)
