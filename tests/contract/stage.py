"""A cloud that the contract is checked on: the simulated one over real HTTP, or the lab; tests see no difference."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from openstack.connection import Connection

VERSION = "2.100"
"""The microversion of requests, unless a test is about another one."""
PATIENCE = 90.0
"""Seconds that a test waits at most."""
Json = Any


class Backstage(Protocol):
    """What a test can't do through the API: faults, dead hosts, and how long a moment is."""

    moment: float
    """Seconds between two looks."""

    def faults(self, servers: dict[str, dict[str, Any]]) -> None:
        """Replace the servers' faults, by id; in the words of the lab's faults file."""
        ...

    def kill(self, host: str) -> None:
        """Let a host die; returns when Nova sees it down."""
        ...

    def network_nodes(self) -> AbstractContextManager[None]:
        """For a while there are hosts net01 and net02, each with an L3 and a DHCP agent."""
        ...

    def restart(self, host: str) -> None:
        """Start a host's nova-compute again, whether it runs or not; returns when it was asked to."""
        ...


class Stage:
    """The hosts cmp01 to cmp06, empty and enabled at first; one live migration at a time from each."""

    hosts = tuple(f"cmp{number:02}" for number in range(1, 7))

    def __init__(self, connection: Connection, plain: Connection, backstage: Backstage) -> None:
        """Take a cloud.

        Args:
            connection: the administrator's.
            plain: that of a user without any right over other projects.
            backstage: see there.
        """
        self.connection = connection
        self.plain = plain
        self.backstage = backstage
        self._made: list[str] = []
        self._groups: list[str] = []
        self._faults: dict[str, dict[str, Any]] = {}
        flavors = self.ok(self.nova("GET", "/flavors"))["flavors"]
        self._flavors = {flavor["name"]: flavor["id"] for flavor in flavors}
        images = self.send(connection.image, "GET", "/images", query={"name": "tiny"}).json()["images"]
        self._image = images[0]["id"]
        networks = self.ok(self.neutron("GET", "/networks", name="lab"))["networks"]
        self.network = str(networks[0]["id"])

    # -- talking ----------------------------------------------------------------------------------------------

    def send(
        self, service: Any, method: str, path: str, body: Json = None, query: Json = None, version: str | None = None
    ) -> Any:
        """One request through openstacksdk's session; gives the answer, whatever its status."""
        return service.request(path, method, json=body, params=query or {}, microversion=version, raise_exc=False)

    def nova(self, method: str, path: str, body: Json = None, *, version: str = VERSION, **query: Any) -> Any:
        """Ask Nova as the administrator."""
        return self.send(self.connection.compute, method, path, body, query, version)

    def neutron(self, method: str, path: str, body: Json = None, **query: Any) -> Any:
        """Ask Neutron as the administrator."""
        return self.send(self.connection.network, method, path, body, query)

    def placement(self, path: str, **query: Any) -> Any:
        """Ask Placement as the administrator."""
        return self.send(self.connection.placement, "GET", path, None, query, "1.29")

    def ok(self, answer: Any) -> Json:
        """The document of an answer that is no error."""
        assert answer.status_code < 300, f"{answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def refusal(self, answer: Any) -> tuple[int, str]:
        """Status and sentence of Nova's error."""
        assert answer.status_code >= 400, f"{answer.status_code} {answer.text}"
        (document,) = answer.json().values()
        assert document["code"] == answer.status_code
        return answer.status_code, document["message"]

    # -- servers ----------------------------------------------------------------------------------------------

    def ask_boot(self, name: str, host: str | None = "cmp01", *, group: str | None = None, **more: Any) -> Any:
        """Ask for a server; gives Nova's answer."""
        server = {
            "name": f"contract-{name}",
            "flavorRef": self._flavors["small"],
            "imageRef": self._image,
            "networks": [{"uuid": self.network}],
            **({"host": host} if host else {}),
            **more,
        }
        body: Json = {"server": server}
        if group is not None:
            body["os:scheduler_hints"] = {"group": group}
        return self.nova("POST", "/servers", body)

    def booted(self, name: str, host: str | None = "cmp01", **more: Any) -> str:
        """A server that is asked for and may still be building; gives its id."""
        server = str(self.ok(self.ask_boot(name, host, **more))["server"]["id"])
        self._made.append(server)
        return server

    def boot(self, name: str, host: str | None = "cmp01", **more: Any) -> str:
        """A server that is ACTIVE; gives its id."""
        server = self.booted(name, host, **more)
        self.rests(server, "ACTIVE")
        return server

    def server(self, server: str, version: str = VERSION) -> Json:
        """A server as Nova shows it."""
        return self.ok(self.nova("GET", f"/servers/{server}", version=version))["server"]

    def state(self, server: str) -> tuple[str, str | None]:
        """Status and task_state."""
        found = self.server(server)
        return found["status"], found["OS-EXT-STS:task_state"]

    def host_of(self, server: str) -> str | None:
        """Where it is."""
        host: str | None = self.server(server)["OS-EXT-SRV-ATTR:host"]
        return host

    def act(self, server: str, action: Json, version: str = VERSION) -> Any:
        """An action on a server; gives Nova's answer."""
        return self.nova("POST", f"/servers/{server}/action", action, version=version)

    def live_migrate(self, server: str, host: str | None, version: str = VERSION, **more: Any) -> Any:
        """Ask for a live migration; gives Nova's answer."""
        return self.act(server, {"os-migrateLive": {"host": host, "block_migration": "auto", **more}}, version)

    def rows(self, server: str, version: str = VERSION) -> list[Json]:
        """The server's rows of os-migrations, newest first."""
        found = self.ok(self.nova("GET", "/os-migrations", version=version, instance_uuid=server))["migrations"]
        return sorted(found, key=lambda row: -row["id"])

    def progress(self, server: str) -> list[Json]:
        """The server's live migrations under way."""
        found: list[Json] = self.ok(self.nova("GET", f"/servers/{server}/migrations"))["migrations"]
        return found

    def reason(self, server: str, action: str) -> list[str]:
        """The details of the failed events of the newest action of this name."""
        actions = self.ok(self.nova("GET", f"/servers/{server}/os-instance-actions"))["instanceActions"]
        number = next(each["request_id"] for each in actions if each["action"] == action)
        found = self.ok(self.nova("GET", f"/servers/{server}/os-instance-actions/{number}"))["instanceAction"]
        return [event["details"] or "" for event in found["events"] if event["result"] == "Error"]

    # -- services ---------------------------------------------------------------------------------------------

    def service(self, host: str, version: str = VERSION) -> Json:
        """The nova-compute of a host."""
        answer = self.ok(self.nova("GET", "/os-services", version=version, binary="nova-compute", host=host))
        (found,) = answer["services"]
        return found

    def set_service(self, host: str, **values: Any) -> Any:
        """Change the nova-compute of a host; gives Nova's answer."""
        return self.nova("PUT", f"/os-services/{self.service(host)['id']}", values)

    def provider(self, host: str) -> str:
        """The resource provider of a host."""
        (found,) = self.ok(self.placement("/resource_providers", name=host))["resource_providers"]
        return str(found["uuid"])

    def used(self, host: str) -> int:
        """MEMORY_MB that Placement holds as allocated on a host."""
        usages = self.ok(self.placement(f"/resource_providers/{self.provider(host)}/usages"))["usages"]
        return int(usages.get("MEMORY_MB", 0))

    def group(self, policy: str) -> str:
        """A new server group."""
        made = self.ok(self.nova("POST", "/os-server-groups", {"server_group": {"name": "contract", "policy": policy}}))
        self._groups.append(made["server_group"]["id"])
        return self._groups[-1]

    # -- waiting ----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """A moment passes."""
        time.sleep(self.backstage.moment)

    def until(self, what: str, reached: Callable[[], Any], patience: float = PATIENCE) -> Any:
        """Look until something is true, which is returned."""
        end = time.monotonic() + patience
        while not (found := reached()):
            assert time.monotonic() < end, f"not within {patience:.0f} s: {what}"
            self.look()
        return found

    def rests(self, server: str, status: str) -> None:
        """Wait until a server has a status and no task."""
        self.until(f"{server} {status}", lambda: self.state(server) == (status, None))

    def row(self, server: str, *statuses: str, after: int = 0) -> Json:
        """Wait until the server's newest migration (not one with an id up to `after`) has one of the statuses."""

        def reached() -> Json:
            found = self.rows(server)
            return found[0] if found and found[0]["id"] > after and found[0]["status"] in statuses else None

        return self.until(f"{server} has a migration that is {' or '.join(statuses)}", reached)

    def ended(self, server: str, status: str, *, after: int = 0) -> Json:
        """Wait until the newest migration has this status and the server has no task."""
        found = self.row(server, status, after=after)
        self.until(f"{server} rests", lambda: self.state(server)[1] is None)
        return found

    def watched(self, server: str, last: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What is seen of a server until its (status, task_state, migration's status) is `last`."""
        seen: list[tuple[Any, ...]] = []

        def reached() -> bool:
            state = self.state(server)
            rows = self.rows(server)
            now = (*state, rows[0]["status"] if rows else None)
            if not seen or seen[-1] != now:
                seen.append(now)
            return now == tuple(last)

        self.until(f"{server} is {last}; seen {seen}", reached)
        return seen

    # -- breaking and mending ---------------------------------------------------------------------------------

    def fault(self, server: str, **what: Any) -> None:
        """Something is wrong with a server, in the words of the lab's faults file; in addition to what is."""
        self._faults[server] = what
        self.backstage.faults(self._faults)

    def forget(self) -> None:
        """Delete what was made, lift the faults, enable the hosts; servers that are on their way are stopped."""
        self._faults.clear()
        self.backstage.faults({})
        for server in self._made:
            for row in self.nova("GET", f"/servers/{server}/migrations").json().get("migrations", ()):
                self.nova("DELETE", f"/servers/{server}/migrations/{row['id']}")
            self.nova("DELETE", f"/servers/{server}")
        for group in self._groups:
            self.nova("DELETE", f"/os-server-groups/{group}")
        for host in self.hosts:
            if (found := self.service(host))["status"] != "enabled":
                self.nova("PUT", f"/os-services/{found['id']}", {"status": "enabled"})
        self._made.clear()
        self._groups.clear()
