"""Servers come and go, and are listed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.contract.stage import Stage

NOBODY = "00000000-0000-0000-0000-000000000000"


def listed(stage: Stage, **query: object) -> list[str]:
    """The ids of a list of all projects' servers."""
    found = stage.ok(stage.nova("GET", "/servers/detail", all_tenants=1, **query))["servers"]
    return [server["id"] for server in found]


def test_a_boot(stage: Stage) -> None:
    """BUILD without a host, then with one, then ACTIVE; the flavor's figures are embedded."""
    vm = stage.booted("boot", "cmp04")
    assert stage.state(vm)[0] in ("BUILD", "ACTIVE")
    seen = stage.watched(vm, ("ACTIVE", None, None))
    assert {status for status, _, _ in seen} <= {"BUILD", "ACTIVE"}
    found = stage.server(vm)
    assert found["OS-EXT-SRV-ATTR:host"] == found["OS-EXT-SRV-ATTR:hypervisor_hostname"] == "cmp04"
    assert {key: found["flavor"][key] for key in ("vcpus", "ram", "disk", "ephemeral", "swap", "extra_specs")} == {
        "vcpus": 1, "ram": 512, "disk": 1, "ephemeral": 0, "swap": 0, "extra_specs": {},
    }  # fmt: skip
    assert found["OS-EXT-STS:power_state"] == 1
    assert stage.used("cmp04") >= 512


@pytest.mark.parametrize(
    ("more", "sentence"),
    [({"host": "nowhere"}, "Compute host nowhere could not be found."),
     ({"host": None, "availability_zone": "nowhere"}, "The requested availability zone is not available")],
)  # fmt: skip
def test_a_boot_that_is_refused(stage: Stage, more: dict[str, str], sentence: str) -> None:
    """400 at once for a host or a zone that is not there."""
    assert stage.refusal(stage.ask_boot("refused", **more)) == (400, sentence)


def test_fields_by_microversion(stage: Stage) -> None:
    """pinned zone from 2.96, image properties from 2.98, scheduler hints from 2.100, a flavor's id before 2.47."""
    vm = stage.boot("fields")
    newest, older = stage.server(vm), stage.server(vm, "2.95")
    assert newest["pinned_availability_zone"] is None
    assert newest["scheduler_hints"] == {}
    assert newest["image"]["properties"] == {}
    assert "pinned_availability_zone" not in older
    assert "scheduler_hints" not in stage.server(vm, "2.99")
    assert "properties" not in stage.server(vm, "2.97")["image"]
    assert "id" in stage.server(vm, "2.46")["flavor"]
    assert "id" not in newest["flavor"]


def test_filters(stage: Stage) -> None:
    """By host, by status, by a part of the name; each list is newest first."""
    first, second, third = stage.boot("alpha", "cmp04"), stage.boot("beta", "cmp04"), stage.boot("gamma", "cmp05")
    stage.act(second, {"os-stop": None})
    stage.rests(second, "SHUTOFF")
    assert listed(stage, host="cmp04") == [second, first]
    assert listed(stage, host="cmp05", status="ACTIVE") == [third]
    assert second in listed(stage, status="SHUTOFF")
    assert first not in listed(stage, status="SHUTOFF")
    assert listed(stage, name="contract-gamma") == [third]
    project = stage.server(first)["tenant_id"]
    assert set(listed(stage, project_id=project)) >= {first, second, third}
    assert listed(stage, project_id="none-of-that-name") == []


def test_pages(stage: Stage) -> None:
    """`limit` gives a next link as long as a page is full; the marker is the last entry's id."""
    made = [stage.boot(f"page-{number}", "cmp06") for number in range(3)]
    query = {"all_tenants": 1, "host": "cmp06", "limit": 2}
    first = stage.ok(stage.nova("GET", "/servers/detail", **query))
    assert [server["id"] for server in first["servers"]] == [made[2], made[1]]
    (link,) = first["servers_links"]
    assert link["rel"] == "next"
    assert f"marker={made[1]}" in link["href"]
    last = stage.ok(stage.nova("GET", "/servers/detail", **query, marker=made[1]))
    assert [server["id"] for server in last["servers"]] == [made[0]]
    assert "servers_links" not in last
    assert listed(stage, host="cmp06", limit=5000) == made[::-1]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [({"limit": "abc"}, "Invalid input for query parameters limit. Value: abc. 'abc' does not match"),
     ({"marker": NOBODY}, f"marker [{NOBODY}] not found"),
     ({"changes-since": "x"}, "Invalid input for query parameters changes-since. Value: x. 'x' is not a 'date-time'")],
)  # fmt: skip
def test_queries_that_are_refused(stage: Stage, query: dict[str, str], sentence: str) -> None:
    """400, in words that name the parameter."""
    status, message = stage.refusal(stage.nova("GET", "/servers/detail", **query))
    assert status == 400
    assert message.startswith(sentence)


def test_a_deleted_server(stage: Stage) -> None:
    """204, once more 204 while it goes, then 404; changes-since still lists it as DELETED, on its last host."""
    vm, other = stage.boot("deleted", "cmp03"), stage.boot("there", "cmp03")
    updated = datetime.fromisoformat(stage.server(other)["updated"])
    since = (updated - timedelta(minutes=2)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert stage.nova("DELETE", f"/servers/{vm}").status_code == 204
    stage.until("gone", lambda: stage.nova("GET", f"/servers/{vm}").status_code == 404)
    gone = stage.refusal(stage.nova("DELETE", f"/servers/{vm}"))
    assert gone == (404, f"Instance {vm} could not be found.")
    answer = stage.ok(stage.nova("GET", "/servers/detail", all_tenants=1, **{"changes-since": since}))
    found = {server["id"]: server for server in answer["servers"]}
    assert found[vm]["status"] == "DELETED"
    assert found[vm]["OS-EXT-STS:vm_state"] == "deleted"
    assert found[vm]["OS-EXT-SRV-ATTR:host"] == "cmp03"
    assert found[other]["status"] == "ACTIVE"
    assert vm not in listed(stage)
    actions = stage.ok(stage.nova("GET", f"/servers/{vm}/os-instance-actions"))["instanceActions"]
    assert [action["action"] for action in actions] == ["delete", "create"]


def test_changes_since_leaves_out_what_is_older(stage: Stage) -> None:
    """A time in the future lists nothing."""
    stage.boot("old")
    assert listed(stage, **{"changes-since": "2099-01-01T00:00:00Z"}) == []


def test_a_server_that_is_not_there(stage: Stage) -> None:
    """404 for it and for what is below it."""
    for path in ("", "/migrations"):
        missing = stage.refusal(stage.nova("GET", f"/servers/{NOBODY}{path}"))
        assert missing == (404, f"Instance {NOBODY} could not be found.")


def test_actions_are_told_newest_first(stage: Stage) -> None:
    """Each action has a request id, and a message only when it went wrong."""
    vm = stage.boot("actions")
    stage.live_migrate(vm, "cmp01")
    stage.ended(vm, "error")
    migration, create = stage.ok(stage.nova("GET", f"/servers/{vm}/os-instance-actions"))["instanceActions"]
    assert (create["action"], create["message"]) == ("create", None)
    assert (migration["action"], migration["message"]) == ("live-migration", "Error")
    assert migration["request_id"].startswith("req-")
    assert stage.refusal(stage.nova("GET", f"/servers/{vm}/os-instance-actions/req-none"))[0] == 404
