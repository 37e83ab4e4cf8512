"""os-services, hypervisors, and what microversions and rights have to do with them."""

from __future__ import annotations

import pytest

from tests.contract.stage import Stage

NOBODY = "00000000-0000-0000-0000-000000000000"


def test_a_compute_service(stage: Stage) -> None:
    """Enabled and up, with an id that is a uuid from 2.53 on, and forced_down from 2.11 on."""
    found = stage.service("cmp02")
    assert (found["status"], found["state"], found["forced_down"], found["disabled_reason"]) == (
        "enabled", "up", False, None,
    )  # fmt: skip
    assert len(found["id"]) == 36
    assert isinstance(stage.service("cmp02", "2.52")["id"], int)
    assert "forced_down" not in stage.service("cmp02", "2.10")
    binaries = {each["binary"] for each in stage.ok(stage.nova("GET", "/os-services"))["services"]}
    assert binaries >= {"nova-compute", "nova-conductor", "nova-scheduler"}
    assert stage.ok(stage.nova("GET", "/os-services", host="nowhere"))["services"] == []


def test_disabling_and_enabling(stage: Stage) -> None:
    """Twice the same is 200; another reason replaces the first; without one it is taken away; enabling clears it."""
    for reason in ("first", "first", "second"):
        found = stage.ok(stage.set_service("cmp06", status="disabled", disabled_reason=reason))["service"]
        assert (found["status"], found["disabled_reason"], found["state"]) == ("disabled", reason, "up")
    assert stage.ok(stage.set_service("cmp06", status="disabled"))["service"]["disabled_reason"] is None
    for _ in range(2):
        found = stage.ok(stage.set_service("cmp06", status="enabled"))["service"]
        assert (found["status"], found["disabled_reason"]) == ("enabled", None)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({}, "No updates were requested. Fields 'status' or 'forced_down' should be specified."),
     ({"disabled_reason": "x"}, "No updates were requested. Fields 'status' or 'forced_down' should be specified."),
     ({"status": "enabled", "disabled_reason": "x"}, "Specifying 'disabled_reason' with status 'enabled' is invalid."),
     ({"status": "disabled", "disabled_reason": "x" * 256}, "Invalid input for field/attribute disabled_reason.")],
)  # fmt: skip
def test_changes_that_are_refused(stage: Stage, values: dict[str, str], sentence: str) -> None:
    """400, and the service is as before."""
    status, message = stage.refusal(stage.set_service("cmp06", **values))
    assert status == 400
    assert message.startswith(sentence)
    assert stage.service("cmp06")["status"] == "enabled"


def test_a_service_that_is_not_there(stage: Stage) -> None:
    """404."""
    missing = stage.refusal(stage.nova("PUT", f"/os-services/{NOBODY}", {"status": "disabled"}))
    assert missing == (404, f"Service {NOBODY} could not be found.")


def test_forced_down(stage: Stage) -> None:
    """Nova counts it as down at once, and again as up at once; twice the same is no error."""
    try:
        for _ in range(2):
            found = stage.ok(stage.set_service("cmp06", forced_down=True))["service"]
            assert (found["forced_down"], found["state"], found["status"]) == (True, "down", "enabled")
    finally:
        stage.ok(stage.set_service("cmp06", forced_down=False))
    assert stage.service("cmp06")["state"] == "up"


def test_a_disabled_host_gets_a_trait(stage: Stage) -> None:
    """COMPUTE_STATUS_DISABLED, by which Placement can leave it out; it comes a moment later and goes again."""
    provider = stage.provider("cmp06")

    def traits() -> set[str]:
        return set(stage.ok(stage.placement(f"/resource_providers/{provider}/traits"))["traits"])

    stage.ok(stage.set_service("cmp06", status="disabled"))
    stage.until("the trait", lambda: "COMPUTE_STATUS_DISABLED" in traits())
    stage.ok(stage.set_service("cmp06", status="enabled"))
    stage.until("no trait", lambda: "COMPUTE_STATUS_DISABLED" not in traits())


def test_hypervisors(stage: Stage) -> None:
    """Paged, each with its service; with_servers lists the servers by uuid."""
    vm = stage.boot("hypervisor", "cmp05")

    def count() -> int:
        found = stage.ok(stage.nova("GET", "/os-hypervisors/detail", version="2.87"))["hypervisors"]
        return next(each["running_vms"] for each in found if each["service"]["host"] == "cmp05")

    stage.until("one server is counted", lambda: count() == 1)
    first = stage.ok(stage.nova("GET", "/os-hypervisors/detail", version="2.87", limit=4))
    assert len(first["hypervisors"]) == 4
    (link,) = first["hypervisors_links"]
    marker = first["hypervisors"][-1]["id"]
    assert f"marker={marker}" in link["href"]
    rest = stage.ok(stage.nova("GET", "/os-hypervisors/detail", version="2.87", limit=4, marker=marker))
    found = {each["service"]["host"]: each for each in first["hypervisors"] + rest["hypervisors"]}
    assert set(found) >= set(stage.hosts)
    assert found["cmp05"]["id"] == stage.provider("cmp05")
    wanted = stage.ok(stage.nova("GET", "/os-hypervisors/detail", version="2.87", with_servers="true"))
    servers = {each["service"]["host"]: each.get("servers") or [] for each in wanted["hypervisors"]}
    assert [server["uuid"] for server in servers["cmp05"]] == [vm]


def test_versions(stage: Stage) -> None:
    """Nova names its newest; what is newer is 406, in words that name both ends."""
    version = stage.ok(stage.nova("GET", "/", version="2.1"))["version"]
    assert version["min_version"] == "2.1"
    status, message = stage.refusal(stage.nova("GET", "/servers", version="2.999"))
    newest = version["version"]
    assert status == 406
    assert message == f"Version 2.999 is not supported by the API. Minimum is 2.1 and maximum is {newest}."


def test_a_plain_user(stage: Stage) -> None:
    """403 for services and all projects' servers, naming the rule; no agents; 404 for another's server."""
    vm = stage.boot("hidden")
    compute = stage.plain.compute
    assert stage.refusal(stage.send(compute, "GET", "/os-services", version="2.100")) == (
        403, "Policy doesn't allow os_compute_api:os-services:list to be performed.",
    )  # fmt: skip
    assert stage.refusal(stage.send(compute, "GET", "/servers/detail", query={"all_tenants": 1})) == (
        403, "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.",
    )  # fmt: skip
    assert stage.refusal(stage.send(compute, "GET", f"/servers/{vm}"))[0] == 404
    assert stage.ok(stage.send(compute, "GET", "/servers/detail"))["servers"] == []
    assert stage.ok(stage.send(stage.plain.network, "GET", "/agents"))["agents"] == []
    answer = stage.send(stage.plain.placement, "GET", "/allocation_candidates", None, {"resources": "VCPU:1"}, "1.29")
    assert answer.status_code == 403
