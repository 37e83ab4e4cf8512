"""Evacuation of a host that is dead, or said to be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.stage import Stage

KEEPS = "2.94"
"""The last microversion in which a server comes back running if it ran."""


@pytest.fixture
def fenced(stage: Stage) -> Iterator[Stage]:
    """cmp01 is forced down within the test; afterwards its nova-compute is restarted and it is up again."""
    yield stage
    if stage.service("cmp01")["forced_down"]:
        stage.backstage.restart("cmp01")
        stage.until("up again", lambda: stage.set_service("cmp01", forced_down=False).status_code == 200)
        stage.until("seen up", lambda: stage.service("cmp01")["state"] == "up")


def test_a_host_that_is_up_is_refused(stage: Stage) -> None:
    """400 while Nova counts the host as up; 404 for an unknown target; 400 for its own; no `force` from 2.68 on."""
    vm = stage.boot("up")
    assert stage.refusal(stage.act(vm, {"evacuate": {"host": "cmp05"}}, KEEPS)) == (
        400, "Compute service of cmp01 is still in use.",
    )  # fmt: skip
    assert stage.refusal(stage.act(vm, {"evacuate": {"host": "nowhere"}}, KEEPS)) == (
        404, "Compute host nowhere not found.",
    )  # fmt: skip
    assert stage.refusal(stage.act(vm, {"evacuate": {"host": "cmp01"}}, KEEPS))[0] == 400
    status, message = stage.refusal(stage.act(vm, {"evacuate": {"host": "cmp05", "force": True}}, KEEPS))
    assert (status, "'force' was unexpected" in message) == (400, True)


def test_servers_come_back_elsewhere(fenced: Stage) -> None:
    """REBUILD, then as before (2.94) or SHUTOFF (2.95) on the target; the rows are `done` until the host is back."""
    stage = fenced
    running, stopped, newer = stage.boot("running"), stage.boot("stopped"), stage.boot("newer")
    stage.act(stopped, {"os-stop": None})
    stage.rests(stopped, "SHUTOFF")
    stage.ok(stage.set_service("cmp01", forced_down=True))
    for vm, version, status in ((running, KEEPS, "ACTIVE"), (stopped, KEEPS, "SHUTOFF"), (newer, "2.95", "SHUTOFF")):
        assert stage.act(vm, {"evacuate": {"host": "cmp05"}}, version).status_code == 200
        assert stage.state(vm)[0] == "REBUILD"
        row = stage.row(vm, "done")
        assert (row["migration_type"], row["source_compute"], row["dest_compute"]) == ("evacuation", "cmp01", "cmp05")
        stage.rests(vm, status)
        assert stage.host_of(vm) == "cmp05"
    status, message = stage.refusal(stage.set_service("cmp01", forced_down=False))
    assert status == 400
    assert message.startswith("Unable to force up host cmp01 as `done` evacuation migration records remain")
    stage.backstage.restart("cmp01")
    stage.until("forced up", lambda: stage.set_service("cmp01", forced_down=False).status_code == 200)
    assert stage.row(running, "completed")["migration_type"] == "evacuation"
    assert stage.host_of(running) == "cmp05"


def test_a_target_that_does_not_fit(fenced: Stage) -> None:
    """The server ends in ERROR where it was, says why, and can be evacuated again."""
    stage = fenced
    vm = stage.boot("misfit")
    stage.ok(stage.set_service("cmp06", status="disabled"))
    stage.ok(stage.set_service("cmp01", forced_down=True))
    assert stage.act(vm, {"evacuate": {"host": "cmp06"}}, KEEPS).status_code == 200
    failed = stage.ended(vm, "error")
    stage.rests(vm, "ERROR")
    assert stage.host_of(vm) == "cmp01"
    assert any("No valid host" in reason for reason in stage.reason(vm, "evacuate"))
    assert stage.act(vm, {"evacuate": {"host": "cmp05"}}, KEEPS).status_code == 200
    stage.row(vm, "done", after=failed["id"])
    stage.rests(vm, "ACTIVE")


def test_live_migration_from_a_host_that_is_down(fenced: Stage) -> None:
    """202 all the same, then `error`, and the server where it was."""
    stage = fenced
    vm = stage.boot("down")
    stage.ok(stage.set_service("cmp01", forced_down=True))
    assert stage.live_migrate(vm, "cmp02").status_code == 202
    assert stage.ended(vm, "error")["dest_compute"] is None
    assert (stage.state(vm)[0], stage.host_of(vm)) == ("ACTIVE", "cmp01")
