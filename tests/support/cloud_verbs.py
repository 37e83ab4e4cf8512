"""What the double's Nova does when it is asked for a change, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.support.cloud_model import FakeHost, FakeMigration, FakeServer
from tests.support.cloud_reads import SERVER, Answer, HttpError, Query, Reads, Routes


class Answers(Reads):
    """The answers to everything."""

    def table(self) -> Routes:
        """Method, path and handler of every route."""
        return [
            *super().table(),
            ("PUT", "/compute/v2.1/os-services/([^/]+)", self._update_service),
            ("POST", SERVER + "/action", self._act),
            ("DELETE", SERVER + "/migrations/(\\d+)", self._abort),
            ("POST", SERVER + "/migrations/(\\d+)/action", self._force_complete),
        ]

    def _update_service(self, query: Query, body: Any, version: Any, service: str) -> Answer:
        host = next((host for host in self.world.hosts.values() if host.service_id == service), None)
        if host is None:
            raise HttpError(404, f"Service {service} not found.")
        before = (host.disabled, host.disabled_reason, host.forced_down)
        self._refuse_force_up(host, body)
        wanted = (
            body.get("status", "disabled" if host.disabled else "enabled") == "disabled",
            body.get("disabled_reason", host.disabled_reason) if body.get("status") != "enabled" else None,
            body.get("forced_down", host.forced_down),
        )
        if body.get("status") == "disabled":
            wanted = (True, body.get("disabled_reason"), wanted[2])
        if wanted == before:
            raise HttpError(400, "No updates were requested. Fields 'status' or 'forced_down' should be specified.")
        host.disabled, host.disabled_reason, host.forced_down = wanted
        verb = "force-down" if "forced_down" in body else {True: "disable", False: "enable"}[host.disabled]
        self.world.act(verb, None, host.name)
        return 200, {"service": self._service(host)}

    def _refuse_force_up(self, host: FakeHost, body: Any) -> None:
        rows = self.world.migrations.values()
        pending = any(r.source == host.name and r.kind == "evacuation" and r.status == "done" for r in rows)
        if body.get("forced_down") is False and pending:
            raise HttpError(400, f"Unable to force up host {host.name} as `done` evacuation migration records remain")

    def _act(self, query: Query, body: Any, version: tuple[int, int], server_id: str) -> Answer:
        server = self._find(server_id)
        verb, details = next(iter(body.items()))
        if verb == "os-migrateLive":
            self._allow(server, verb, ("ACTIVE", "PAUSED"))
            self._known(details["host"], 400)
            force = self._forced(details, version)
            self.world.act("live-migrate", server.id, details["host"])
            self.world.live_migrate(server, details["host"], force=force)
        elif verb == "migrate":
            host = details and details.get("host")
            self._allow(server, verb, ("ACTIVE", "SHUTOFF"))
            self._known(host, 400)
            if host == server.host:
                raise HttpError(400, f"Unable to migrate instance ({server.id}) to current host ({host}).")
            self.world.act("cold-migrate", server.id, host)
            self.world.cold_migrate(server, host)
        elif verb == "confirmResize":
            self._confirm(server)
            return 204, None
        elif verb == "evacuate":
            force = self._forced(details, version)
            self._evacuate(server, details.get("host"), stopped=version >= (2, 95), force=force)
            return 200, None
        elif verb in ("os-start", "os-stop"):
            self._switch(server, verb)
        else:
            raise HttpError(400, f"There is no such action: {verb}")
        return 202, None

    def _allow(self, server: FakeServer, verb: str, statuses: Iterable[str]) -> None:
        if server.status not in statuses:
            state = server.status.lower()
            raise HttpError(409, f"Cannot '{verb}' instance {server.id} while it is in vm_state {state}")
        if server.task_state is not None:
            state = server.task_state
            raise HttpError(409, f"Cannot '{verb}' instance {server.id} while it is in task_state {state}")

    def _known(self, host: str | None, status: int) -> None:
        if host is not None and host not in self.world.hosts:
            raise HttpError(status, f"Compute host {host} could not be found.")

    def _confirm(self, server: FakeServer) -> None:
        self._allow(server, "confirmResize", ("VERIFY_RESIZE",))
        rows = self.world.migrations.values()
        row = next((row for row in rows if row.server == server.id and row.status == "finished"), None)
        if row is None:
            raise HttpError(400, "Instance has not been resized.")
        self.world.act("confirm", server.id, None)
        self.world.confirm(row)

    def _forced(self, details: Any, version: tuple[int, int]) -> bool:
        if "force" in details and version >= (2, 68):
            raise HttpError(400, "Additional properties are not allowed ('force' was unexpected)")
        return bool(details.get("force"))

    def _evacuate(self, server: FakeServer, host: str | None, *, stopped: bool, force: bool) -> None:
        self._known(host, 404)
        if host is not None and host == server.host:
            raise HttpError(400, "The target host can't be the same one.")
        self._allow(server, "evacuate", ("ACTIVE", "SHUTOFF", "ERROR"))
        if server.host in self.world.hosts and self.world.hosts[server.host].up:
            raise HttpError(400, f"Compute service of {server.host} is still in use.")
        self.world.act("evacuate", server.id, host)
        self.world.evacuate(server, host, stopped=stopped, force=force)

    def _switch(self, server: FakeServer, verb: str) -> None:
        start = verb == "os-start"
        self._allow(server, verb, ("SHUTOFF",) if start else ("ACTIVE", "ERROR"))
        self.world.act("start" if start else "stop", server.id, None)
        server.task_state = "powering-on" if start else "powering-off"

        def switched() -> None:
            server.status, server.task_state = ("ACTIVE" if start else "SHUTOFF"), None
            server.updated = self.world.time

        self.world.after(1.0, switched)

    def _abort(self, query: Query, body: Any, version: Any, server_id: str, number: str) -> Answer:
        server = self._find(server_id)
        if server.task_state != "migrating":
            raise HttpError(409, f"Instance {server.id} is in an invalid state for 'abort live migration'")
        row = self._migration(server, number, 404)
        if row.status not in ("queued", "preparing", "running"):
            raise self._wrong_state(row, "abort live migration")
        self.world.act("abort", server.id, None)
        self.world.abort(row)
        return 202, None

    def _force_complete(self, query: Query, body: Any, version: Any, server_id: str, number: str) -> Answer:
        server = self._find(server_id)
        if server.task_state != "migrating" or server.status != "ACTIVE":
            raise HttpError(409, f"Instance {server.id} is in an invalid state for 'force_complete'")
        row = self._migration(server, number, 400)
        if row.status != "running":
            raise self._wrong_state(row, "force complete")
        self.world.act("force-complete", server.id, None)
        self.world.force_complete(row)
        return 202, None

    def _migration(self, server: FakeServer, number: str, missing: int) -> FakeMigration:
        row = self.world.migrations.get(int(number))
        if row is None or row.server != server.id:
            raise HttpError(missing, f"Migration {number} not found for instance {server.id}")
        return row

    def _wrong_state(self, row: FakeMigration, verb: str) -> HttpError:
        return HttpError(
            400,
            f"Migration {row.id} state of instance {row.server} is {row.status}. Cannot {verb} while the "
            "migration is in this state.",
        )
