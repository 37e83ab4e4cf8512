"""Nova's verbs as a drain needs them. Each one is one request, sent once; what comes of it is read from the cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from shared.clouds.answers import readable
from shared.clouds.errors import Refused, redacted
from shared.errors import Rejected
from shared.fleet.parse import moment

if TYPE_CHECKING:
    from shared.clouds.connection import Cloud

KEEPS_STATUS = (2, 94)
"""The last microversion in which an evacuated server comes back running if it ran; from 2.95 on it stays stopped."""

FORCES = (2, 67)
"""The last microversion in which Nova can be told to move a server past its scheduler."""

MOVING = frozenset({"live-migration", "migrate", "evacuate"})
"""Names of the instance actions that move a server."""

BEFORE = timedelta(minutes=1)
"""An action begins before the row in os-migrations that it makes."""


@dataclass(frozen=True, slots=True)
class ComputeService:
    """The nova-compute of one host."""

    id: str
    host: str
    zone: str
    state: str
    """up or down, as its reports say; a service that is forced down is down."""
    status: str
    """enabled or disabled, as the operators say."""
    disabled_reason: str | None
    forced_down: bool
    changed: datetime | None = None
    """When its record was written last, also by each of its reports."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A live migration under way, in bytes of guest memory; 0 as long as the hypervisor has not reported."""

    migration_id: int
    status: str
    """queued, preparing, running or post-migrating."""
    source: str | None
    target: str | None
    memory_total: int
    memory_processed: int
    memory_remaining: int
    updated: datetime | None


class Nova:
    """The verbs. All may raise, besides what each one says:

    - `Refused` 403: the credentials are not an admin's; 404: the server (or host, or migration) is gone;
    - `Retry`: not carried out, because Nova is busy or out of reach;
    - `AnswerLost`: whether it was carried out has to be read from the cloud.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._compute = cloud.compute

    # -- the service ------------------------------------------------------------------------------------------

    def service(self, host: str) -> ComputeService:
        """The compute service of a host.

        Raises:
            Rejected: there is none; the message names similar hosts.
        """
        found = self._services({"host": host})
        if found:
            return found[0]
        names = [service.host for service in self._services({})]
        near = get_close_matches(host, names, n=3, cutoff=0.5)
        hint = f"similar: {', '.join(near)}" if near else f"there are {len(names)} hosts, none with a similar name"
        raise Rejected(f"no host {host!r} has a nova-compute service; {hint}. Host names are those of os-services")

    def disable(self, service: ComputeService, reason: str) -> ComputeService:
        """Keep the scheduler from placing anything there; what runs goes on.

        Disabling a disabled service is no error (200). Nova replaces another's reason without a word: look at
        `service` first, if it is not to be lost.
        """
        return self._update(service, {"status": "disabled", "disabled_reason": reason[:255]})

    def enable(self, service: ComputeService) -> ComputeService:
        """Let the scheduler use the host again; enabling twice is no error."""
        return self._update(service, {"status": "enabled"})

    def force_down(self, service: ComputeService, down: bool) -> ComputeService:
        """State that the host is dead (so that its servers may be evacuated), or take it back.

        Raises:
            Refused: 400, when it is taken back before the restarted nova-compute has cleaned up what was evacuated.
        """
        return self._update(service, {"forced_down": down})

    def services(self) -> list[ComputeService]:
        """The compute services of all hosts."""
        return self._services({})

    @readable
    def _services(self, query: Mapping[str, str]) -> list[ComputeService]:
        answer = self._compute.get("/os-services", params={"binary": "nova-compute", **query})
        return [_service(entry) for entry in answer["services"]]

    @readable
    def _update(self, service: ComputeService, change: dict[str, Any]) -> ComputeService:
        return _service(self._compute.put(f"/os-services/{service.id}", json=change)["service"])

    # -- servers ----------------------------------------------------------------------------------------------

    @readable
    def exists(self, server: str) -> bool:
        """Whether Nova still has a server; one that is just being deleted is there."""
        try:
            found = self._compute.get(f"/servers/{server}")["server"]
        except Refused as refused:
            if refused.status == 404:
                return False
            raise
        return bool(found["status"] != "DELETED")

    # -- moves ------------------------------------------------------------------------------------------------

    def live_migrate(self, server: str, to: str, *, force: bool = False) -> None:
        """Move a server while it runs. Nova answers 202 before it has looked for anything.

        At once the server's task_state is `migrating`; the row in os-migrations comes a moment later. What goes wrong
        from then on is seen only there: `error` with no target when the scheduler or the pre-check refuses the named
        host, `failed` when the copy fails; the server is then ACTIVE where it was.

        With `force` the scheduler is not asked (API reference, "force" of os-migrateLive, 2.30 to 2.67). Placement and
        the target's own checks still look for room; zone, aggregates, traits and whether the target is enabled nobody
        looks at any more: that is left to whoever has chosen it.

        Raises:
            Refused: 409, the server is neither ACTIVE nor PAUSED, or a task is under way; 400, no such host.
        """
        request = {"host": to, "block_migration": "auto"}
        if force:
            self._act(server, {"os-migrateLive": request | {"force": True}}, at_most=FORCES)
        else:
            self._act(server, {"os-migrateLive": request})

    def cold_migrate(self, server: str, to: str) -> None:
        """Move a server while it is stopped. Nova itself stops one that runs, and starts it again on the target.

        The server ends in VERIFY_RESIZE with its migration `finished`, and holds room at both ends until
        `confirm_resize`. A refused host shows as a migration in `error`.

        Raises:
            Refused: 409, the server is neither ACTIVE nor SHUTOFF, or a task is under way; 400, no such host, or the
                server is there already.
        """
        self._act(server, {"migrate": {"host": to}})

    def confirm_resize(self, server: str) -> None:
        """Accept a cold migration: the server gets the status that it had, and the source's room is freed.

        Raises:
            Refused: 409, the server is not in VERIFY_RESIZE; 400, its migration is not `finished`.
        """
        self._act(server, {"confirmResize": None})

    def evacuate(self, server: str, to: str, *, force: bool = False) -> None:
        """Build a server of a dead host again on another. It comes back in the status that it had (2.94 at most).

        The migration ends in `done`, and becomes `completed` when the dead host's nova-compute starts again. If the
        scheduler refuses the named host, the migration ends in `error` and the server's status is ERROR. `force` as in
        `live_migrate`.

        Raises:
            Refused: 400, the source still counts as up: it must be down or forced down; 404, no such host; 409, the
                server is none of ACTIVE, SHUTOFF and ERROR, or a task is under way.
        """
        if force:
            self._act(server, {"evacuate": {"host": to, "force": True}}, at_most=FORCES)
        else:
            self._act(server, {"evacuate": {"host": to}}, at_most=KEEPS_STATUS)

    def start(self, server: str) -> None:
        """Start a server that is SHUTOFF.

        Raises:
            Refused: 409 in any other status, or when a task is under way.
        """
        self._act(server, {"os-start": None})

    def stop(self, server: str) -> None:
        """Stop a server that is ACTIVE.

        Raises:
            Refused: 409 in any other status, or when a task is under way.
        """
        self._act(server, {"os-stop": None})

    def _act(self, server: str, action: dict[str, Any], at_most: tuple[int, int] | None = None) -> None:
        self._compute.post(f"/servers/{server}/action", json=action, microversion=at_most)

    # -- a live migration under way ---------------------------------------------------------------------------

    def abort(self, server: str, migration: int) -> None:
        """Ask for the end of a live migration that is queued, preparing or running; it ends as `cancelled`.

        Raises:
            Refused: 400, it is in another status; 409, the server is not migrating any more; 404, it has ended.
        """
        self._compute.delete(f"/servers/{server}/migrations/{migration}")

    def force_complete(self, server: str, migration: int) -> None:
        """Pause the guest until the rest of its memory is copied.

        Raises:
            Refused: 400, the migration is not `running`; 409, the server is not ACTIVE, or not migrating any more.
        """
        self._compute.post(f"/servers/{server}/migrations/{migration}/action", json={"force_complete": None})

    @readable
    def progress(self, server: str) -> list[Progress]:
        """The server's live migrations that are under way: one, or none when it has ended (or is not queued yet)."""
        answer = self._compute.get(f"/servers/{server}/migrations")
        return [_progress(entry) for entry in answer["migrations"]]

    @readable
    def failure_reason(self, server: str, since: datetime | None = None) -> str:
        """Why the server's last move failed, in a sentence for people; two requests.

        Nova keeps it with the instance actions. It keeps nothing when the driver failed during the copy: then the
        sentence says where to look.

        Args:
            server: its id.
            since: when the migration's row was created; only actions from a minute before are looked at.
        """
        actions = self._compute.get(f"/servers/{server}/os-instance-actions", params={"limit": 20})["instanceActions"]
        moves = [action for action in actions if action["action"] in MOVING and _recent(action, since)]
        if not moves:
            return "Nova has no record of the move"
        latest = max(moves, key=lambda action: str(action["start_time"]))
        path = f"/servers/{server}/os-instance-actions/{latest['request_id']}"
        return _reason(self._compute.get(path)["instanceAction"])


def _recent(action: Mapping[str, Any], since: datetime | None) -> bool:
    started = moment(action["start_time"])
    return since is None or started is None or started >= since - BEFORE


def _service(entry: Mapping[str, Any]) -> ComputeService:
    return ComputeService(
        id=entry["id"],
        host=entry["host"],
        zone=entry.get("zone", ""),
        state=entry["state"],
        status=entry["status"],
        disabled_reason=entry.get("disabled_reason"),
        forced_down=bool(entry.get("forced_down")),
        changed=moment(entry.get("updated_at")),
    )


def _progress(entry: Mapping[str, Any]) -> Progress:
    return Progress(
        migration_id=entry["id"],
        status=entry["status"],
        source=entry.get("source_compute"),
        target=entry.get("dest_compute"),
        memory_total=entry.get("memory_total_bytes") or 0,
        memory_processed=entry.get("memory_processed_bytes") or 0,
        memory_remaining=entry.get("memory_remaining_bytes") or 0,
        updated=moment(entry.get("updated_at")),
    )


def _reason(action: Mapping[str, Any]) -> str:
    """The details of the failed events (2.84): those of a hypervisor, else the scheduler's."""
    failed = [event for event in action.get("events") or () if event.get("result") == "Error"]
    told = [sentence for event in failed if (sentence := _sentence(event.get("details") or ""))]
    if told:
        return next((sentence for sentence in told if not sentence.startswith("No valid host")), told[0])
    if failed:
        return f"{failed[-1]['event']} failed; Nova gives no reason, see the log of nova-conductor"
    return "Nova gives no reason: the hypervisor failed; see the log of nova-compute on the source and on the target"


def _sentence(text: str) -> str:
    """On one line, of bounded length, with no address's password in it."""
    plain = redacted(" ".join(text.split()))
    return plain if len(plain) <= 300 else plain[:299] + "…"
