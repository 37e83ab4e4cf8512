"""What the simulated Nova does when it is asked for a change, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab.simulator.life import CHANGES, Life
from lab.simulator.nova_reads import FLAVORS, SERVER, NovaReads
from lab.simulator.protocol import Answer, HttpError, Request, Route
from lab.simulator.records import Host, Json, Migration, Server, new_id
from lab.simulator.views import service_view, vm_state

STOPPABLE = ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED")


class Nova(NovaReads):
    """All of Nova's API that Drover uses."""

    def __init__(self, world: Life, *, newest: str, page: int) -> None:
        self._verbs = {
            "os-migrateLive": self._live_migrate,
            "migrate": self._cold_migrate,
            "confirmResize": self._confirm,
            "revertResize": self._revert,
            "evacuate": self._evacuate,
            "lock": self._lock,
            "unlock": self._lock,
            "shelve": self._shelve,
            "unshelve": self._shelve,
            **dict.fromkeys(CHANGES, self._change),
        }
        super().__init__(world, newest=newest, page=page)

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        return [
            *super().table(),
            ("PUT", "/os-services/([^/]+)", self._update_service),
            ("POST", "/servers", self._boot),
            ("DELETE", SERVER, self._delete),
            ("POST", SERVER + "/action", self._act),
            ("DELETE", SERVER + "/migrations/(\\d+)", self._abort),
            ("POST", SERVER + "/migrations/(\\d+)/action", self._force_complete),
            ("POST", "/os-server-groups", self._create_group),
            ("DELETE", "/os-server-groups/([^/]+)", self._delete_group),
        ]

    # -- services ---------------------------------------------------------------------------------------------

    def _update_service(self, request: Request, service: str) -> Answer:
        request.only_admin("os_compute_api:os-services:update")
        host = next((host for host in self.world.hosts.values() if host.service_id == service), None)
        if host is None:
            raise HttpError(404, f"Service {service} could not be found.")
        body = request.body
        status, reason, down = body.get("status"), body.get("disabled_reason"), body.get("forced_down")
        if status == "enabled" and reason is not None:
            raise HttpError(400, "Specifying 'disabled_reason' with status 'enabled' is invalid.")
        if status is None and down is None:
            raise HttpError(400, "No updates were requested. Fields 'status' or 'forced_down' should be specified.")
        if reason is not None and not 0 < len(reason) <= 255:
            raise HttpError(400, f"Invalid input for field/attribute disabled_reason. Value: {reason}.")
        self._refuse_force_up(host, down)
        before = (host.disabled, host.disabled_reason, host.forced_down)
        if status is not None:
            host.disabled, host.disabled_reason = status == "disabled", reason if status == "disabled" else None
        if down is not None:
            host.forced_down = bool(down)
        if before != (host.disabled, host.disabled_reason, host.forced_down):
            host.changed = self.world.time
            self.world.act("force-down" if down is not None else status.removesuffix("d"), None, host.name)
        return Answer(200, {"service": self._service_of(host, request)})

    def _service_of(self, host: Host, request: Request) -> Json:
        return service_view(host, self.world.time, request.version)

    def _refuse_force_up(self, host: Host, down: bool | None) -> None:
        if down is not False:
            return
        rows = self.world.migrations.values()
        if any(r.source == host.name and r.kind == "evacuation" and r.status == "done" for r in rows):
            raise HttpError(400, f"Unable to force up host {host.name} as `done` evacuation migration records remain")

    # -- servers come and go ----------------------------------------------------------------------------------

    def _boot(self, request: Request) -> Answer:
        wish = request.body.get("server", {})
        host = wish.get("host")
        zone, _, forced = str(wish.get("availability_zone") or "").partition(":")
        self._known(host, 400)
        zones = {each.zone for each in self.world.hosts.values()}
        if zone and zone not in zones:
            raise HttpError(400, "The requested availability zone is not available")
        if wish.get("flavorRef") not in FLAVORS:
            raise HttpError(400, f"Flavor {wish.get('flavorRef')} could not be found.")
        ids = [self._booted(request, wish, host or forced or None, zone, at) for at in range(wish.get("min_count", 1))]
        return Answer(202, {"server": {"id": ids[0], "links": [], "OS-DCF:diskConfig": "MANUAL"}})

    def _booted(self, request: Request, wish: Any, host: str | None, zone: str, at: int) -> str:
        vcpus, memory, disk = FLAVORS[wish["flavorRef"]]
        server = Server(
            new_id(),
            str(wish["name"]) + (f"-{at + 1}" if wish.get("min_count", 1) > 1 else ""),
            None,
            request.caller.project if request.caller else "",
            self.world.time,
            self.world.time,
            uses={"VCPU": vcpus, "MEMORY_MB": memory, "DISK_GB": disk},
            flavor=wish["flavorRef"],
            pinned_zone=zone or None,
            metadata=wish.get("metadata"),
        )
        group = request.body.get("os:scheduler_hints", {}).get("group")
        if group is not None:
            if group not in self.world.groups:
                raise HttpError(400, f"Instance group {group} could not be found.")
            self.world.join(self.world.groups[group], server.id)
        self.world.boot(server, host)
        return server.id

    def _delete(self, request: Request, server_id: str) -> Answer:
        server = self.find(request, server_id)
        if server.task_state != "deleting":
            self.world.delete(server)
        return Answer(204)

    def _create_group(self, request: Request) -> Answer:
        wish = request.body["server_group"]
        policy = wish.get("policy") or wish["policies"][0]
        most = (wish.get("rules") or {}).get("max_server_per_host", 1)
        project = request.caller.project if request.caller else ""
        group = self.world.new_group(policy, wish["name"], project, most)
        return Answer(200, {"server_group": self._group_view(group.id, request)})

    def _delete_group(self, request: Request, group: str) -> Answer:
        self._group_view(group, request)
        del self.world.groups[group]
        return Answer(204)

    # -- actions ----------------------------------------------------------------------------------------------

    def _act(self, request: Request, server_id: str) -> Answer:
        verb, details = next(iter(request.body.items()), ("", None))
        if verb not in self._verbs:
            raise HttpError(400, f"There is no such action: {verb}")
        return self._verbs[verb](request, self.find(request, server_id), verb, details)

    def _change(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        self._allow(server, CHANGES[verb].action, CHANGES[verb].allowed)
        status = self.world.change(server, verb)
        return Answer(status, {"adminPass": "simulated"} if verb == "rescue" else None)

    def _lock(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        self.world.lock(server, verb == "lock", (details or {}).get("locked_reason"))
        return Answer(202)

    def _shelve(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        if verb == "shelve":
            self._allow(server, verb, STOPPABLE)
            self.world.shelve(server)
        else:
            self._allow(server, verb, ("SHELVED", "SHELVED_OFFLOADED"))
            self.world.unshelve(server)
        return Answer(202)

    def _live_migrate(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        request.only_admin("os_compute_api:os-migrate-server:migrate_live")
        force = self._forced(verb, details, request.version)
        if "block_migration" not in details:
            raise HttpError(
                400,
                f"Invalid input for field/attribute {verb}. Value: {details}. 'block_migration' is a required property",
            )
        host = details.get("host")
        self._allow(server, verb, ("ACTIVE", "PAUSED"))
        self._known(host, 400)
        self.world.act("live-migrate", server.id, host)
        self.world.live_migrate(server, host, force=force, block=details["block_migration"] is True)
        return Answer(202)

    def _cold_migrate(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        request.only_admin("os_compute_api:os-migrate-server:migrate")
        host = (details or {}).get("host")
        self._allow(server, verb, ("ACTIVE", "SHUTOFF"))
        self._known(host, 400)
        if host is not None and host == server.host:
            raise HttpError(400, "Cannot migrate to the host where the server exists.")
        self.world.act("cold-migrate", server.id, host)
        self.world.cold_migrate(server, host)
        return Answer(202)

    def _confirm(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        row = self._resized(server, verb)
        self.world.act("confirm", server.id, None)
        self.world.confirm(row)
        return Answer(204)

    def _revert(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        row = self._resized(server, verb)
        self.world.act("revert", server.id, None)
        self.world.revert(row)
        return Answer(202)

    def _resized(self, server: Server, verb: str) -> Migration:
        self._allow(server, verb, ("VERIFY_RESIZE",))
        row = next((r for r in self.world.migrations_of.get(server.id, ()) if r.status == "finished"), None)
        if row is None:
            raise HttpError(400, "Instance has not been resized.")
        return row

    def _evacuate(self, request: Request, server: Server, verb: str, details: Any) -> Answer:
        request.only_admin("os_compute_api:os-evacuate")
        force = self._forced(verb, details, request.version)
        host = (details or {}).get("host")
        self._known(host, 404)
        if host == server.host:  # also when neither is any: a server that is shelved and offloaded has no host
            raise HttpError(400, "The target host can't be the same one.")
        self._allow(server, verb, ("ACTIVE", "SHUTOFF", "ERROR"))
        if server.host in self.world.hosts and self.world.hosts[server.host].up:
            raise HttpError(400, f"Compute service of {server.host} is still in use.")
        self.world.act("evacuate", server.id, host)
        self.world.evacuate(server, host, stopped=request.version >= (2, 95), force=force)
        return Answer(200)

    # -- a live migration under way ---------------------------------------------------------------------------

    def _abort(self, request: Request, server_id: str, number: str) -> Answer:
        server = self.find(request, server_id)
        request.only_admin("os_compute_api:servers:migrations:delete")
        if server.task_state != "migrating":
            raise HttpError(409, f"Instance {server.id} is in an invalid state for 'abort live migration'")
        row = self._migration(server, number, 404)
        if row.status not in ("queued", "preparing", "running"):
            raise self._wrong_state(row, "abort live migration")
        self.world.act("abort", server.id, None)
        self.world.abort(row)
        return Answer(202)

    def _force_complete(self, request: Request, server_id: str, number: str) -> Answer:
        server = self.find(request, server_id)
        request.only_admin("os_compute_api:servers:migrations:force_complete")
        if server.task_state != "migrating" or server.status != "ACTIVE":
            raise HttpError(409, f"Instance {server.id} is in an invalid state for 'force_complete'")
        row = self._migration(server, number, 400)
        if row.status != "running":
            raise self._wrong_state(row, "force complete")
        self.world.act("force-complete", server.id, None)
        self.world.force_complete(row)
        return Answer(202)

    def _migration(self, server: Server, number: str, missing: int) -> Migration:
        row = self.world.migrations.get(int(number))
        if row is None or row.server != server.id:
            raise HttpError(missing, f"Migration {number} not found for instance {server.id}")
        return row

    # -- refusals ---------------------------------------------------------------------------------------------

    def _allow(self, server: Server, verb: str, statuses: Iterable[str]) -> None:
        if server.status not in statuses:
            state = vm_state(server.status)
            raise HttpError(409, f"Cannot '{verb}' instance {server.id} while it is in vm_state {state}")
        if server.task_state is not None:
            state = server.task_state
            raise HttpError(409, f"Cannot '{verb}' instance {server.id} while it is in task_state {state}")

    def _known(self, host: str | None, status: int) -> None:
        if host is not None and host not in self.world.hosts:
            found = "not found" if status == 404 else "could not be found"
            raise HttpError(status, f"Compute host {host} {found}.")

    def _forced(self, verb: str, details: Any, version: tuple[int, int]) -> bool:
        if "force" in (details or {}) and version >= (2, 68):
            raise HttpError(
                400,
                f"Invalid input for field/attribute {verb}. Value: {details}. Additional properties are not allowed "
                "('force' was unexpected)",
            )
        return bool((details or {}).get("force"))

    def _wrong_state(self, row: Migration, verb: str) -> HttpError:
        return HttpError(
            400,
            f"Migration {row.id} state of instance {row.server} is {row.status}. Cannot {verb} while the "
            "migration is in this state.",
        )
