"""The simulated cloud as tests and `drover lab simulate` hold it: hands to set it up, to break it, to look at it.

    clock = SteppedClock()
    fake = SimulatedCloud(clock)
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
from typing import TYPE_CHECKING, Any

from lab.simulator.clock import Now
from lab.simulator.events import Timeline
from lab.simulator.front import Front
from lab.simulator.image import Glance
from lab.simulator.keystone import REGION, Keystone
from lab.simulator.life import Life
from lab.simulator.network import Networking
from lab.simulator.neutron import Neutron
from lab.simulator.nova import Nova
from lab.simulator.octavia import Octavia
from lab.simulator.placement import Placement
from lab.simulator.records import Act, Aggregate, Fault, Host, Migration, Server, new_id
from lab.simulator.script import Script
from lab.simulator.wire import BASE, Wire

if TYPE_CHECKING:
    from openstack.config.cloud_region import CloudRegion

    from shared.clouds import Cloud


class SimulatedCloud:
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
        self.clock = clock
        self.world = Life(clock.now, cap=cap, seconds=seconds)
        self.keystone = Keystone()
        self.nova = Nova(self.world, newest=newest, page=page)
        self.network = Networking(self.world)
        self.octavia = Octavia(self.world)
        services = [self.nova, Placement(self.world), Neutron(self.network, page), self.octavia, Glance()]
        self.front = Front(self.world, self.keystone, services)
        self.wire = Wire(self.front)
        self._timeline = Timeline(self)
        self._scripted_dead: set[str] = set()

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
        self.world.hosts[name] = Host(
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
        group: str | None = None,
        **details: Any,
    ) -> str:
        """Add a server as if it had been there for long; gives its id. `details` as in `make_server`."""
        self.world.settle()
        server = self.make_server(host, **details)
        self.world.servers.add(server)
        if host is not None:
            self.world.allocations[server.id] = (host, server.uses)
        if group is not None:
            self.world.join(self.world.groups[group], server.id)
        return server.id

    def make_server(
        self,
        host: str | None,
        *,
        name: str | None = None,
        status: str = "ACTIVE",
        memory_mb: int = 512,
        vcpus: int = 1,
        disk_gb: int = 1,
        project: str = "project",
        **details: Any,
    ) -> Server:
        """A server that is not in the cloud yet."""
        return Server(
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

    def add_group(self, policy: str = "anti-affinity", *, name: str = "group", max_per_host: int = 1) -> str:
        """Add an empty server group; gives its id."""
        return self.world.new_group(policy, name, "project", max_per_host).id

    def add_aggregate(self, name: str, hosts: Iterable[str], metadata: Mapping[str, str] | None = None) -> None:
        """Add a host aggregate."""
        number = len(self.world.aggregates) + 1
        self.world.aggregates.append(Aggregate(number, name, list(hosts), dict(metadata or {})))

    def delete_server(self, server: str) -> None:
        """Its owner deletes it."""
        self.world.settle()
        self.world.remove(self.world.servers[server])

    def set_status(self, server: str, status: str, task_state: str | None = None) -> None:
        """Put a server into a status."""
        self.world.settle()
        self.world.task(self.world.servers[server], task_state, status)

    def kill_host(self, host: str) -> None:
        """Its nova-compute stops reporting: Nova sees the service down."""
        self.world.settle()
        self.world.die(host)

    def revive_host(self, host: str) -> None:
        """Its nova-compute comes back."""
        self.world.settle()
        self.world.revive(host)

    # -- breaking ---------------------------------------------------------------------------------------------

    @property
    def faults(self) -> dict[str, Fault]:
        """What goes wrong, by server id or name."""
        return self.world.faults

    def obey(self, script: Script) -> None:
        """Put a script of faults in force, in place of the one before.

        Raises:
            LabError: it names a host that is not there.
        """
        self.world.settle()
        self._timeline.begin(script)
        self.world.faults.clear()
        self.world.faults.update(script.faults())
        self.front.trouble.rules = script.rules()
        self.nova.newest = script.microversion or self.nova.newest
        self.nova.page = script.page or self.nova.page
        self.keystone.token_seconds = script.token_seconds or self.keystone.token_seconds
        for name, host in self.world.hosts.items():
            if name in script.hosts:
                self.world.die(name)
            elif host.dead and name in self._scripted_dead:
                self.world.revive(name)
        self._scripted_dead = set(script.hosts)

    def drop_answer_of_next(self, verb: str) -> None:
        """Carry the next such act out, but lose its answer; for the verbs see `Act.verb`."""
        self.front.trouble.lost_verbs.append(verb)

    def fail_next(self, status: int, *, retry_after: int | None = None, of: str = "", times: int = 1) -> None:
        """Answer the next request whose "METHOD /path" contains `of` with this status, without doing anything.

        Keystone and the discovery of versions are spared, unless `of` is exactly theirs: "GET /compute/v2.1".
        """
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        self.front.trouble.failures.extend([(status, headers, of)] * times)

    @property
    def unreachable(self) -> bool:
        """Whether every connection is refused."""
        return self.front.trouble.unreachable

    @unreachable.setter
    def unreachable(self, value: bool) -> None:
        self.front.trouble.unreachable = value

    # -- looking ----------------------------------------------------------------------------------------------

    @property
    def history(self) -> list[Act]:
        """Every change that was accepted, in order."""
        return self.world.history

    @property
    def requests(self) -> Counter[str]:
        """Requests that arrived, by service: identity, compute, placement."""
        return self.front.requests

    @property
    def log(self) -> list[str]:
        """Every request that arrived: "GET /compute/v2.1/os-services?binary=nova-compute"."""
        return self.front.log

    def server(self, server: str) -> Server:
        """A server as it is now."""
        self.world.settle()
        return self.world.servers[server]

    def host(self, name: str) -> Host:
        """A host as it is now."""
        self.world.settle()
        return self.world.hosts[name]

    def servers_on(self, host: str) -> list[Server]:
        """The servers that are on a host now."""
        self.world.settle()
        return list(reversed(self.world.servers.on(host)))

    @property
    def migrations(self) -> list[Migration]:
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
            region_name=REGION,
        )

    def cloud(self, name: str = "fake") -> Cloud:
        """A new connection to this cloud; its waits pass on the clock."""
        from shared.clouds import Cloud

        return Cloud(name, self.region(), inner=self.wire, sleep=self.clock.sleep)
