"""What Nova does with each verb of a drain. The same facts are checked on the double and on a real Nova.

That is what keeps the double honest: `tests/unit/migrate/test_nova.py` runs them in no time, `tests/lab/test_nova.py`
on the lab. A fact says only what holds however seldom one looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import pytest

from functions.migrate.nova import Nova
from shared.clouds import Cloud, Refused
from shared.fleet.reader import read_fleet, read_migrations, read_servers
from shared.fleet.snapshot import Migration, Server


class Stage(Protocol):
    """A cloud of six hosts cmp01 to cmp06, one migration at a time per source."""

    cloud: Cloud
    nova: Nova

    def boot(self, count: int) -> list[str]:
        """Fresh servers on cmp01."""
        ...

    def boot_together(self, count: int) -> list[str]:
        """The same in a hard affinity group of their own."""
        ...

    def fault(self, server: str, what: str) -> None:
        """From now on the server stalls, or fails at: precheck, prepare, fails."""
        ...

    def look(self) -> None:
        """Let a moment pass."""
        ...

    def restart(self, host: str) -> None:
        """The host's nova-compute is started again."""
        ...


def server(stage: Stage, id: str) -> Server:
    """The server as the bulk list shows it."""
    return next(found for found in read_servers(stage.cloud) if found.id == id)


def row(stage: Stage, id: str) -> Migration:
    """The server's newest migration, once there is one."""
    found: list[Migration] = []

    def there() -> bool:
        found.extend(each for each in read_migrations(stage.cloud) if each.server == id)
        return bool(found)

    until(stage, there)
    return found[0]


def until(stage: Stage, reached: Callable[[], bool], looks: int = 400) -> None:
    """Look until it is so."""
    for _ in range(looks):
        if reached():
            return
        stage.look()
    pytest.fail(f"never came true: {reached}")


def ended(stage: Stage, id: str, status: str, *, after: int = 0) -> Migration:
    """Wait until the newest migration has the status and the server rests; not one with an id up to `after`."""

    def reached() -> bool:
        newest = row(stage, id)
        return newest.id > after and newest.status == status and server(stage, id).task_state is None

    until(stage, reached)
    return row(stage, id)


def used(stage: Stage, host: str) -> int:
    """MEMORY_MB that Placement holds as allocated on a host."""
    return read_fleet(stage.cloud).hosts[host].used.get("MEMORY_MB", 0)


def a_live_migration(stage: Stage) -> None:
    """It shows MIGRATING at once, holds room at both ends, and ends ACTIVE on the named host."""
    (vm,) = stage.boot(1)
    before = used(stage, "cmp01"), used(stage, "cmp02")
    stage.nova.live_migrate(vm, "cmp02")
    moving = server(stage, vm)
    assert (moving.status, moving.task_state, moving.host) == ("MIGRATING", "migrating", "cmp01")
    with pytest.raises(Refused, match="task_state migrating") as refused:
        stage.nova.live_migrate(vm, "cmp02")
    assert refused.value.status == 409
    until(stage, lambda: row(stage, vm).target is not None)
    memory = moving.memory_mb
    assert (used(stage, "cmp01"), used(stage, "cmp02")) == (before[0], before[1] + memory)
    done = ended(stage, vm, "completed")
    assert (done.source, done.target, done.kind) == ("cmp01", "cmp02", "live-migration")
    moved = server(stage, vm)
    assert (moved.host, moved.status) == ("cmp02", "ACTIVE")
    until(stage, lambda: used(stage, "cmp01") == before[0] - memory)


def a_refused_target(stage: Stage) -> None:
    """A disabled host: 202, then a migration in error without a target, and the server where it was."""
    (vm,) = stage.boot(1)
    service = stage.nova.disable(stage.nova.service("cmp06"), "a fact")
    stage.nova.live_migrate(vm, "cmp06")
    failed = ended(stage, vm, "error")
    stage.nova.enable(service)
    assert failed.target is None
    found = server(stage, vm)
    assert (found.host, found.status) == ("cmp01", "ACTIVE")
    assert stage.nova.failure_reason(vm, failed.created).startswith("No valid host was found")


def its_own_host(stage: Stage) -> None:
    """To be migrated where it is already is no error at first, and one in the migration."""
    (vm,) = stage.boot(1)
    stage.nova.live_migrate(vm, "cmp01")
    assert ended(stage, vm, "error").target is None


def a_failing_precheck(stage: Stage) -> None:
    """The target's check refuses: error, no target, and the hypervisor's own words as the reason."""
    (vm,) = stage.boot(1)
    stage.fault(vm, "precheck")
    stage.nova.live_migrate(vm, "cmp02")
    failed = ended(stage, vm, "error")
    assert failed.target is None
    assert stage.nova.failure_reason(vm, failed.created).startswith("Migration pre-check error: ")


def a_failing_preparation(stage: Stage) -> None:
    """The target fails to prepare: failed, with the target, and the server where it was."""
    (vm,) = stage.boot(1)
    stage.fault(vm, "prepare")
    stage.nova.live_migrate(vm, "cmp02")
    failed = ended(stage, vm, "failed")
    assert failed.target == "cmp02"
    assert server(stage, vm).host == "cmp01"
    assert "pre-check error" in stage.nova.failure_reason(vm, failed.created)


def a_failing_copy(stage: Stage) -> None:
    """The driver fails half-way: failed, and Nova has no reason to tell."""
    (vm,) = stage.boot(1)
    stage.fault(vm, "fails")
    stage.nova.live_migrate(vm, "cmp02")
    failed = ended(stage, vm, "failed")
    found = server(stage, vm)
    assert (found.host, found.status) == ("cmp01", "ACTIVE")
    assert "Nova gives no reason" in stage.nova.failure_reason(vm, failed.created)


def a_stall_and_aborts(stage: Stage) -> None:
    """A stalled copy keeps the next one queued; both can be aborted, and only the running one forced."""
    stalled, queued = stage.boot(2)
    stage.fault(stalled, "stalled")
    stage.nova.live_migrate(stalled, "cmp02")
    until(stage, lambda: row(stage, stalled).status == "running")
    stage.nova.live_migrate(queued, "cmp03")
    until(stage, lambda: row(stage, queued).status == "queued")
    for _ in range(40):
        stage.look()
    (progress,) = stage.nova.progress(stalled)
    assert (progress.status, progress.source, progress.target) == ("running", "cmp01", "cmp02")
    assert 0 < progress.memory_remaining <= progress.memory_total
    (waiting,) = stage.nova.progress(queued)
    assert (waiting.status, waiting.memory_total) == ("queued", 0)
    with pytest.raises(Refused, match=r"is queued\. Cannot force complete") as refused:
        stage.nova.force_complete(queued, waiting.migration_id)
    assert refused.value.status == 400
    for vm, migration in ((queued, waiting.migration_id), (stalled, progress.migration_id)):
        stage.nova.abort(vm, migration)
        ended(stage, vm, "cancelled")
        assert server(stage, vm).host == "cmp01"
        assert stage.nova.progress(vm) == []
        with pytest.raises(Refused) as late:
            stage.nova.abort(vm, migration)
        assert late.value.status == 409


def a_stall_and_force(stage: Stage) -> None:
    """force-complete ends a copy that would never end."""
    (vm,) = stage.boot(1)
    stage.fault(vm, "stalled")
    stage.nova.live_migrate(vm, "cmp02")
    until(stage, lambda: row(stage, vm).status == "running")
    stage.nova.force_complete(vm, row(stage, vm).id)
    assert ended(stage, vm, "completed").target == "cmp02"
    assert server(stage, vm).host == "cmp02"


def a_cold_migration(stage: Stage) -> None:
    """A running server is stopped by Nova itself, waits in VERIFY_RESIZE at both ends, and runs after confirming."""
    (vm,) = stage.boot(1)
    before = used(stage, "cmp01"), used(stage, "cmp03")
    stage.nova.cold_migrate(vm, "cmp03")
    moving = server(stage, vm)
    assert (moving.status, moving.task_state) == ("RESIZE", "resize_prep")
    done = ended(stage, vm, "finished")
    assert (done.kind, done.source, done.target) == ("migration", "cmp01", "cmp03")
    found = server(stage, vm)
    assert (found.status, found.host) == ("VERIFY_RESIZE", "cmp03")
    assert (used(stage, "cmp01"), used(stage, "cmp03")) == (before[0], before[1] + found.memory_mb)
    stage.nova.confirm_resize(vm)
    until(stage, lambda: server(stage, vm).status == "ACTIVE")
    assert ended(stage, vm, "confirmed").target == "cmp03"
    assert used(stage, "cmp01") == before[0] - found.memory_mb
    with pytest.raises(Refused) as refused:
        stage.nova.confirm_resize(vm)
    assert refused.value.status == 409


def a_cold_migration_of_a_stopped_server(stage: Stage) -> None:
    """It stays SHUTOFF; a refused host gives it back as it was."""
    (vm,) = stage.boot(1)
    stage.nova.stop(vm)
    until(stage, lambda: server(stage, vm).status == "SHUTOFF")
    service = stage.nova.disable(stage.nova.service("cmp06"), "a fact")
    stage.nova.cold_migrate(vm, "cmp06")
    failed = ended(stage, vm, "error")
    stage.nova.enable(service)
    assert (failed.target, server(stage, vm).status) == (None, "SHUTOFF")
    assert "No valid host" in stage.nova.failure_reason(vm, failed.created)
    stage.nova.cold_migrate(vm, "cmp04")
    ended(stage, vm, "finished", after=failed.id)
    stage.nova.confirm_resize(vm)
    until(stage, lambda: server(stage, vm).status == "SHUTOFF")
    assert server(stage, vm).host == "cmp04"
    stage.nova.start(vm)
    until(stage, lambda: server(stage, vm).status == "ACTIVE")


def a_lone_member_of_an_affinity_group(stage: Stage) -> None:
    """The scheduler lets it go nowhere, live or cold; forced it moves live, even to a disabled host."""
    (vm,) = stage.boot_together(1)
    stage.nova.live_migrate(vm, "cmp02")
    refused = ended(stage, vm, "error")
    assert refused.target is None
    stage.nova.cold_migrate(vm, "cmp02")
    refused = ended(stage, vm, "error", after=refused.id)
    assert (refused.target, server(stage, vm).status) == (None, "ACTIVE")
    assert "No valid host" in stage.nova.failure_reason(vm, refused.created)
    service = stage.nova.disable(stage.nova.service("cmp06"), "a fact")
    try:
        stage.nova.live_migrate(vm, "cmp06", force=True)
        assert ended(stage, vm, "completed", after=refused.id).target == "cmp06"
        assert server(stage, vm).host == "cmp06"
    finally:
        stage.nova.enable(service)


def a_member_with_others(stage: Stage) -> None:
    """It moves nowhere either; forced it ends in ERROR, because the target does not find the others."""
    vm, _ = stage.boot_together(2)
    stage.nova.live_migrate(vm, "cmp02")
    refused = ended(stage, vm, "error")
    assert (refused.target, server(stage, vm).status) == (None, "ACTIVE")
    stage.nova.live_migrate(vm, "cmp02", force=True)
    failed = ended(stage, vm, "error", after=refused.id)
    until(stage, lambda: server(stage, vm).status == "ERROR")
    assert (failed.target, server(stage, vm).host) == ("cmp02", "cmp01")
    assert "Affinity instance group policy was violated" in stage.nova.failure_reason(vm, failed.created)


def an_evacuation(stage: Stage) -> None:
    """Refused while the source counts as up; then each server comes back as it was, and the host once restarted.

    A lone member of an affinity group comes only by force.
    """
    running, stopped, refused_by_scheduler = stage.boot(3)
    (alone,) = stage.boot_together(1)
    nova = stage.nova
    nova.stop(stopped)
    until(stage, lambda: server(stage, stopped).status == "SHUTOFF")
    with pytest.raises(Refused, match="still in use") as refused:
        nova.evacuate(running, "cmp05")
    assert refused.value.status == 400
    source, other = nova.service("cmp01"), nova.disable(nova.service("cmp06"), "a fact")
    source = nova.force_down(source, True)
    assert (source.forced_down, source.state) == (True, "down")
    try:
        for vm, status in ((running, "ACTIVE"), (stopped, "SHUTOFF")):
            nova.evacuate(vm, "cmp05")
            assert server(stage, vm).status == "REBUILD"
            assert ended(stage, vm, "done").target == "cmp05"
            until(stage, lambda vm=vm: server(stage, vm).host == "cmp05")  # type: ignore[misc]
            assert server(stage, vm).status == status
        nova.evacuate(refused_by_scheduler, "cmp06")
        failed = ended(stage, refused_by_scheduler, "error")
        assert server(stage, refused_by_scheduler).status == "ERROR"
        assert "No valid host" in nova.failure_reason(refused_by_scheduler, failed.created)
        nova.evacuate(refused_by_scheduler, "cmp05")
        ended(stage, refused_by_scheduler, "done", after=failed.id)
        until(stage, lambda: server(stage, refused_by_scheduler).host == "cmp05")
        assert server(stage, refused_by_scheduler).status == "ACTIVE"
        nova.evacuate(alone, "cmp05")
        failed = ended(stage, alone, "error")
        assert server(stage, alone).status == "ERROR"
        nova.evacuate(alone, "cmp05", force=True)
        ended(stage, alone, "done", after=failed.id)
        until(stage, lambda: (server(stage, alone).host, server(stage, alone).status) == ("cmp05", "ACTIVE"))
        with pytest.raises(Refused, match="Unable to force up host cmp01") as early:
            nova.force_down(source, False)
        assert early.value.status == 400
    finally:
        nova.enable(other)
        stage.restart("cmp01")
        until(stage, lambda: _force_up(nova))
    assert row(stage, running).status == "completed"


def _force_up(nova: Nova) -> bool:
    try:
        return not nova.force_down(nova.service("cmp01"), False).forced_down
    except Refused:
        return False


def refusals(stage: Stage) -> None:
    """What Nova refuses at once, and with which status."""
    (vm,) = stage.boot(1)
    nova = stage.nova
    wrong: list[tuple[int, Callable[[], None]]] = [
        (404, lambda: nova.live_migrate("00000000-0000-0000-0000-000000000000", "cmp02")),
        (400, lambda: nova.live_migrate(vm, "nowhere")),
        (400, lambda: nova.cold_migrate(vm, "nowhere")),
        (400, lambda: nova.cold_migrate(vm, "cmp01")),
        (404, lambda: nova.evacuate(vm, "nowhere")),
        (400, lambda: nova.evacuate(vm, "cmp01")),
        (409, lambda: nova.confirm_resize(vm)),
        (409, lambda: nova.abort(vm, 999_999)),
        (409, lambda: nova.force_complete(vm, 999_999)),
        (409, lambda: nova.start(vm)),
    ]
    for number, (status, verb) in enumerate(wrong):
        with pytest.raises(Refused) as refused:
            verb()
        assert refused.value.status == status, f"number {number}: {refused.value}"
    assert server(stage, vm).task_state is None


def a_service(stage: Stage) -> None:
    """Disabling and enabling twice is no error, and another reason replaces the first."""
    nova = stage.nova
    service = nova.service("cmp06")
    assert (service.status, service.state, service.forced_down) == ("enabled", "up", False)
    for reason in ("first", "first", "second"):
        disabled = nova.disable(service, reason)
        assert (disabled.status, disabled.disabled_reason) == ("disabled", reason)
    for _ in range(2):
        enabled = nova.enable(service)
        assert (enabled.status, enabled.disabled_reason) == ("enabled", None)
    assert replace(nova.service("cmp06"), changed=None) == replace(service, changed=None)  # each report writes it


FACTS = (
    a_service,
    refusals,
    a_live_migration,
    a_refused_target,
    its_own_host,
    a_failing_precheck,
    a_failing_preparation,
    a_failing_copy,
    a_stall_and_aborts,
    a_stall_and_force,
    a_cold_migration,
    a_cold_migration_of_a_stopped_server,
    a_lone_member_of_an_affinity_group,
    a_member_with_others,
    an_evacuation,
)
