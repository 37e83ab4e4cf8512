"""Live migration, from the answer to the end."""

from __future__ import annotations

import pytest

from tests.contract.stage import Stage

ORDER = ["accepted", "queued", "preparing", "running", "completed"]
"""A successful live migration's statuses; one that is short may go unseen."""


def test_it_goes_through_its_statuses_in_order(stage: Stage) -> None:
    """202; MIGRATING until the server is on its new host; the row ends a moment before or after that."""
    vm = stage.boot("live")
    assert stage.live_migrate(vm, "cmp02").status_code == 202
    seen = stage.watched(vm, ("ACTIVE", None, "completed"))
    statuses = [row for _, _, row in seen if row]
    assert statuses == sorted(statuses, key=ORDER.index)
    assert "running" in statuses
    assert set(seen[0][:2]) == {"MIGRATING", "migrating"}
    servers = [state[:2] for state in seen]
    assert servers == sorted(servers, reverse=True), "MIGRATING, then ACTIVE, never back"
    assert {state[0] for state in seen} == {"MIGRATING", "ACTIVE"}
    assert stage.host_of(vm) == "cmp02"


def test_its_row_tells_where_from_and_where_to(stage: Stage) -> None:
    """Source, destination and type; dest_host, the address, stays empty."""
    vm = stage.boot("row")
    stage.live_migrate(vm, "cmp03")
    row = stage.ended(vm, "completed")
    assert (row["source_compute"], row["dest_compute"], row["migration_type"]) == ("cmp01", "cmp03", "live-migration")
    assert (row["source_node"], row["dest_node"], row["dest_host"]) == ("cmp01", "cmp03", None)
    assert row["instance_uuid"] == vm
    assert row["project_id"] == stage.server(vm)["tenant_id"]
    assert row["updated_at"] >= row["created_at"]


def test_without_a_host_the_scheduler_chooses_another(stage: Stage) -> None:
    """The host may be left out; the server does not stay."""
    vm = stage.boot("anywhere")
    assert stage.live_migrate(vm, None).status_code == 202
    stage.ended(vm, "completed")
    assert stage.host_of(vm) in set(stage.hosts) - {"cmp01"}


def test_a_paused_server_moves_and_stays_paused(stage: Stage) -> None:
    """PAUSED is the other status that may live-migrate."""
    vm = stage.boot("paused")
    stage.act(vm, {"pause": None})
    stage.rests(vm, "PAUSED")
    assert stage.live_migrate(vm, "cmp02").status_code == 202
    seen = stage.watched(vm, ("PAUSED", None, "completed"))
    assert {state[0] for state in seen} == {"MIGRATING", "PAUSED"}
    assert stage.host_of(vm) == "cmp02"


def test_a_second_request_is_refused_meanwhile(stage: Stage) -> None:
    """409, with the task_state in the sentence."""
    vm = stage.boot("twice")
    stage.live_migrate(vm, "cmp02")
    again = stage.refusal(stage.live_migrate(vm, "cmp03"))
    assert again == (409, f"Cannot 'os-migrateLive' instance {vm} while it is in task_state migrating")
    stage.ended(vm, "completed")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"host": "nowhere"}, "Compute host nowhere could not be found."),
        ({"force": True}, "Additional properties are not allowed ('force' was unexpected)"),
    ],
)
def test_what_is_refused_at_once(stage: Stage, more: dict[str, object], sentence: str) -> None:
    """400: an unknown host; `force` from 2.68 on. The server is left alone."""
    vm = stage.boot("refused")
    wish = {"host": "cmp02", "block_migration": "auto", **more}
    status, message = stage.refusal(stage.act(vm, {"os-migrateLive": wish}))
    assert status == 400
    assert sentence in message
    assert stage.state(vm) == ("ACTIVE", None)
    assert stage.rows(vm) == []


def test_block_migration_is_mandatory(stage: Stage) -> None:
    """400 without it; true is refused by the target's check, since the disks are shared."""
    vm = stage.boot("block")
    status, message = stage.refusal(stage.act(vm, {"os-migrateLive": {"host": "cmp02"}}))
    assert status == 400
    assert "'block_migration' is a required property" in message
    assert stage.act(vm, {"os-migrateLive": {"host": "cmp02", "block_migration": True}}).status_code == 202
    assert stage.ended(vm, "error")["dest_compute"] is None
    assert stage.host_of(vm) == "cmp01"


def test_no_valid_host(stage: Stage) -> None:
    """A disabled target: 202, then `error` with no destination, and the server ACTIVE where it was."""
    vm = stage.boot("invalid")
    stage.ok(stage.set_service("cmp06", status="disabled", disabled_reason="contract"))
    assert stage.live_migrate(vm, "cmp06").status_code == 202
    row = stage.ended(vm, "error")
    assert row["dest_compute"] is None
    assert (stage.state(vm), stage.host_of(vm)) == (("ACTIVE", None), "cmp01")
    (reason,) = stage.reason(vm, "live-migration")
    assert reason.startswith("No valid host was found")


def test_its_own_host_is_no_target(stage: Stage) -> None:
    """202 as for any other, and then `error`."""
    vm = stage.boot("own")
    assert stage.live_migrate(vm, "cmp01").status_code == 202
    assert stage.ended(vm, "error")["dest_compute"] is None


def test_a_refused_precheck(stage: Stage) -> None:
    """`error` with no destination; the check's own words are in an event of the action."""
    vm = stage.boot("precheck")
    stage.fault(vm, fail="pre-check")
    assert stage.live_migrate(vm, "cmp02").status_code == 202
    assert stage.ended(vm, "error")["dest_compute"] is None
    assert any(reason.startswith("Migration pre-check error") for reason in stage.reason(vm, "live-migration"))
    assert (stage.state(vm), stage.host_of(vm)) == (("ACTIVE", None), "cmp01")


def test_a_target_that_fails_to_prepare(stage: Stage) -> None:
    """`failed` in the end, with the destination, and the server where it was."""
    vm = stage.boot("prepare")
    stage.fault(vm, fail="prepare")
    stage.live_migrate(vm, "cmp02")
    assert stage.ended(vm, "failed")["dest_compute"] == "cmp02"
    assert stage.host_of(vm) == "cmp01"


def test_a_copy_that_fails(stage: Stage) -> None:
    """`failed`, and no event of the action says why."""
    vm = stage.boot("copy")
    stage.fault(vm, fail="migration")
    stage.live_migrate(vm, "cmp02")
    stage.ended(vm, "failed")
    assert stage.reason(vm, "live-migration") == []
    assert (stage.state(vm), stage.host_of(vm)) == (("ACTIVE", None), "cmp01")


def test_one_at_a_time_from_a_host_and_both_can_be_aborted(stage: Stage) -> None:
    """The second is `queued` with its target held; abort ends either as `cancelled`; force needs `running`."""
    running, queued = stage.boot("stalled"), stage.boot("queued")
    stage.fault(running, stalled=True)
    before = stage.used("cmp03")
    stage.live_migrate(running, "cmp02")
    stage.row(running, "running")
    stage.live_migrate(queued, "cmp03")
    row = stage.row(queued, "queued")
    assert row["dest_compute"] == "cmp03"
    assert stage.used("cmp03") == before + 512
    assert stage.state(queued) == ("MIGRATING", "migrating")
    force = f"/servers/{queued}/migrations/{row['id']}/action"
    status, message = stage.refusal(stage.nova("POST", force, {"force_complete": None}))
    assert (status, "is queued. Cannot force complete" in message) == (400, True)
    for vm in (queued, running):
        number = stage.rows(vm)[0]["id"]
        assert stage.nova("DELETE", f"/servers/{vm}/migrations/{number}").status_code == 202
        stage.ended(vm, "cancelled")
        assert stage.host_of(vm) == "cmp01"
        late = stage.refusal(stage.nova("DELETE", f"/servers/{vm}/migrations/{number}"))
        assert late == (409, f"Instance {vm} is in an invalid state for 'abort live migration'")
    stage.until("the target is free again", lambda: stage.used("cmp03") == before)


def test_progress_is_told_while_it_runs(stage: Stage) -> None:
    """Only what is in progress is listed; the memory's figures come with the copy; afterwards the list is empty."""
    vm = stage.boot("progress")
    assert stage.progress(vm) == []
    stage.fault(vm, stalled=True)
    stage.live_migrate(vm, "cmp02")

    def told() -> object:
        found = stage.progress(vm)
        return found and found[0]["memory_total_bytes"] and found[0]

    entry = stage.until("the memory's figures", told)
    assert entry["status"] == "running"
    assert 0 < entry["memory_remaining_bytes"] <= entry["memory_total_bytes"] == 512 * 2**20
    assert entry["server_uuid"] == vm
    number = entry["id"]
    assert stage.nova("POST", f"/servers/{vm}/migrations/{number}/action", {"force_complete": None}).status_code == 202
    assert stage.ended(vm, "completed")["id"] == number
    assert stage.host_of(vm) == "cmp02"
    assert stage.progress(vm) == []


def test_abort_and_force_of_what_is_not_there(stage: Stage) -> None:
    """409 while the server does not migrate, 404 for an unknown server."""
    vm = stage.boot("nothing")
    path = f"/servers/{vm}/migrations/999999"
    assert stage.refusal(stage.nova("DELETE", path))[0] == 409
    force = stage.refusal(stage.nova("POST", f"{path}/action", {"force_complete": None}))
    assert force == (409, f"Instance {vm} is in an invalid state for 'force_complete'")
    unknown = "00000000-0000-0000-0000-000000000000"
    gone = stage.refusal(stage.nova("DELETE", f"/servers/{unknown}/migrations/1"))
    assert gone == (404, f"Instance {unknown} could not be found.")


def test_room_is_held_at_both_ends(stage: Stage) -> None:
    """While it runs Placement counts the server on the target and the migration on the source."""
    vm = stage.boot("room")
    before = stage.used("cmp01"), stage.used("cmp04")
    stage.fault(vm, stalled=True)
    stage.live_migrate(vm, "cmp04")
    row = stage.row(vm, "running")
    assert (stage.used("cmp01"), stage.used("cmp04")) == (before[0], before[1] + 512)
    held = stage.ok(stage.placement(f"/allocations/{row['uuid']}"))["allocations"]
    assert list(held) == [stage.provider("cmp01")]
    stage.nova("DELETE", f"/servers/{vm}/migrations/{row['id']}")
    stage.ended(vm, "cancelled")
    stage.until("the target is free", lambda: stage.used("cmp04") == before[1])


def test_a_server_deleted_on_the_way(stage: Stage) -> None:
    """It is gone, and no migration of it stays in flight for ever."""
    vm = stage.boot("deleted")
    stage.fault(vm, seconds=3)
    stage.live_migrate(vm, "cmp02")
    stage.row(vm, "running")
    assert stage.nova("DELETE", f"/servers/{vm}").status_code == 204
    stage.until("it is gone", lambda: stage.nova("GET", f"/servers/{vm}").status_code == 404)
