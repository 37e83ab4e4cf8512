"""Cold migration, with its confirmation or its reversal."""

from __future__ import annotations

from tests.contract.stage import Stage

ROWS = ["pre-migrating", "migrating", "post-migrating", "finished"]
TASKS = ["resize_prep", "resize_migrating", "resize_migrated", "resize_finish", None]


def test_it_waits_to_be_confirmed(stage: Stage) -> None:
    """RESIZE, then VERIFY_RESIZE on the new host with room held at both ends; confirming frees the old."""
    vm = stage.boot("cold")
    before = stage.used("cmp01"), stage.used("cmp03")
    assert stage.act(vm, {"migrate": {"host": "cmp03"}}).status_code == 202
    seen = stage.watched(vm, ("VERIFY_RESIZE", None, "finished"))
    rows = [row for _, _, row in seen if row]
    assert rows == sorted(rows, key=ROWS.index)
    tasks = [task for _, task, _ in seen]
    assert tasks == sorted(tasks, key=TASKS.index)
    assert {status for status, _, _ in seen} == {"RESIZE", "VERIFY_RESIZE"}
    assert stage.host_of(vm) == "cmp03"
    assert (stage.used("cmp01"), stage.used("cmp03")) == (before[0], before[1] + 512)
    busy = stage.refusal(stage.live_migrate(vm, None))
    assert busy == (409, f"Cannot 'os-migrateLive' instance {vm} while it is in vm_state resized")
    assert stage.act(vm, {"confirmResize": None}).status_code == 204
    stage.rests(vm, "ACTIVE")
    assert stage.ended(vm, "confirmed")["migration_type"] == "migration"
    stage.until("the source is free", lambda: stage.used("cmp01") == before[0] - 512)
    again = stage.refusal(stage.act(vm, {"confirmResize": None}))
    assert again == (409, f"Cannot 'confirmResize' instance {vm} while it is in vm_state active")


def test_it_can_be_taken_back(stage: Stage) -> None:
    """REVERT_RESIZE, then ACTIVE where it came from; the row is `reverted`."""
    vm = stage.boot("revert")
    stage.act(vm, {"migrate": {"host": "cmp03"}})
    stage.rests(vm, "VERIFY_RESIZE")
    assert stage.act(vm, {"revertResize": None}).status_code == 202
    seen = stage.watched(vm, ("ACTIVE", None, "reverted"))
    assert seen[0][:2] == ("REVERT_RESIZE", "resize_reverting")
    assert stage.host_of(vm) == "cmp01"
    again = stage.refusal(stage.act(vm, {"revertResize": None}))
    assert again == (409, f"Cannot 'revertResize' instance {vm} while it is in vm_state active")


def test_a_stopped_server_stays_stopped(stage: Stage) -> None:
    """SHUTOFF before and after."""
    vm = stage.boot("stopped")
    stage.act(vm, {"os-stop": None})
    stage.rests(vm, "SHUTOFF")
    stage.act(vm, {"migrate": None})
    stage.rests(vm, "VERIFY_RESIZE")
    assert stage.host_of(vm) != "cmp01"
    stage.act(vm, {"confirmResize": None})
    stage.rests(vm, "SHUTOFF")


def test_what_is_refused(stage: Stage) -> None:
    """400 for an unknown host and for its own; a disabled one shows only in the row."""
    vm = stage.boot("refused")
    assert stage.refusal(stage.act(vm, {"migrate": {"host": "nowhere"}})) == (
        400, "Compute host nowhere could not be found.",
    )  # fmt: skip
    assert stage.refusal(stage.act(vm, {"migrate": {"host": "cmp01"}})) == (
        400, "Cannot migrate to the host where the server exists.",
    )  # fmt: skip
    stage.ok(stage.set_service("cmp06", status="disabled"))
    assert stage.act(vm, {"migrate": {"host": "cmp06"}}).status_code == 202
    assert stage.ended(vm, "error")["dest_compute"] is None
    assert stage.state(vm) == ("ACTIVE", None)
    assert any("No valid host" in reason for reason in stage.reason(vm, "migrate"))
