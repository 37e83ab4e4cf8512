"""What the scheduler and Placement say: groups, zones, room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.stage import Stage

ZONE = "contract-zone"


@pytest.fixture
def zone(stage: Stage) -> Iterator[str]:
    """A zone of cmp04 and cmp05."""
    made = stage.ok(stage.nova("POST", "/os-aggregates", {"aggregate": {"name": ZONE, "availability_zone": ZONE}}))
    path = f"/os-aggregates/{made['aggregate']['id']}"
    for host in ("cmp04", "cmp05"):
        stage.ok(stage.nova("POST", f"{path}/action", {"add_host": {"host": host}}))
    yield ZONE
    for host in ("cmp04", "cmp05"):
        for server in stage.ok(stage.nova("GET", "/servers/detail", all_tenants=1, host=host))["servers"]:
            stage.nova("DELETE", f"/servers/{server['id']}")
        stage.until(
            f"{host} is empty",
            lambda host=host: not stage.ok(stage.nova("GET", "/servers", all_tenants=1, host=host))["servers"],
        )
        stage.ok(stage.nova("POST", f"{path}/action", {"remove_host": {"host": host}}))
    stage.ok(stage.nova("DELETE", path))


def test_a_group(stage: Stage) -> None:
    """Its policy and rules; members are those that are there; gone is 404."""
    group = stage.group("anti-affinity")
    vm = stage.boot("member", group=group)
    path = f"/os-server-groups/{group}"
    found = stage.ok(stage.nova("GET", path))["server_group"]
    assert (found["policy"], found["rules"], found["members"]) == ("anti-affinity", {}, [vm])
    older = stage.ok(stage.nova("GET", path, version="2.63"))["server_group"]
    assert older["policies"] == ["anti-affinity"]
    page = stage.ok(stage.nova("GET", "/os-server-groups", all_projects="true", limit=1))["server_groups"]
    assert len(page) == 1
    stage.nova("DELETE", f"/servers/{vm}")
    stage.until("the member is gone", lambda: not stage.ok(stage.nova("GET", path))["server_group"]["members"])
    assert stage.nova("DELETE", path).status_code == 204
    assert stage.refusal(stage.nova("GET", path)) == (404, f"Instance group {group} could not be found.")


def test_anti_affinity(stage: Stage) -> None:
    """A member may not be booted nor moved to where another is."""
    group = stage.group("anti-affinity")
    vm, _ = stage.boot("one", group=group), stage.boot("two", "cmp02", group=group)
    third = stage.booted("three", "cmp02", group=group)
    stage.rests(third, "ERROR")
    assert stage.server(third)["fault"]["message"] == "No valid host was found. There are not enough hosts available."
    assert stage.host_of(third) is None
    stage.live_migrate(vm, "cmp02")
    assert stage.ended(vm, "error")["dest_compute"] is None
    stage.live_migrate(vm, "cmp03")
    assert stage.row(vm, "completed")["dest_compute"] == "cmp03"


def test_affinity(stage: Stage) -> None:
    """A lone member can't leave its host: the scheduler counts that host as the group's."""
    vm = stage.boot("alone", group=stage.group("affinity"))
    stage.live_migrate(vm, "cmp02")
    assert stage.ended(vm, "error")["dest_compute"] is None
    assert stage.host_of(vm) == "cmp01"


def test_a_pinned_server_stays_in_its_zone(stage: Stage, zone: str) -> None:
    """Asked for with a zone it is pinned; asked for with a host it is not."""
    vm = stage.boot("pinned", None, availability_zone=zone)
    found = stage.server(vm)
    assert found["pinned_availability_zone"] == found["OS-EXT-AZ:availability_zone"] == zone
    home = found["OS-EXT-SRV-ATTR:host"]
    assert home in ("cmp04", "cmp05")
    stage.live_migrate(vm, "cmp02")
    assert stage.ended(vm, "error")["dest_compute"] is None
    other = "cmp05" if home == "cmp04" else "cmp04"
    stage.live_migrate(vm, other)
    assert stage.row(vm, "completed")["dest_compute"] == other
    stage.rests(vm, "ACTIVE")


def test_the_zone_of_a_service(stage: Stage, zone: str) -> None:
    """A host's service and the aggregates say the same."""
    assert stage.service("cmp04")["zone"] == zone
    assert stage.service("cmp01")["zone"] == "nova"
    found = stage.ok(stage.nova("GET", "/os-aggregates"))["aggregates"]
    (made,) = [each for each in found if each["name"] == zone]
    assert sorted(made["hosts"]) == ["cmp04", "cmp05"]
    assert made["metadata"]["availability_zone"] == zone


def test_candidates(stage: Stage) -> None:
    """Every host with room, and what it has and uses; `limit` cuts; an unknown class is 400."""
    vm = stage.boot("candidate", "cmp02")
    answer = stage.ok(stage.placement("/allocation_candidates", resources="MEMORY_MB:1"))
    provider = stage.provider("cmp02")
    summary = answer["provider_summaries"][provider]
    assert summary["root_provider_uuid"] == provider
    assert summary["resources"]["MEMORY_MB"] == {"capacity": 262_144, "used": stage.used("cmp02")}
    assert "COMPUTE_STATUS_DISABLED" not in summary["traits"]
    assert (
        len(stage.ok(stage.placement("/allocation_candidates", resources="VCPU:1", limit=2))["allocation_requests"])
        == 2
    )
    assert stage.placement("/allocation_candidates", resources="NOPE:1").status_code == 400
    none = stage.ok(stage.placement("/allocation_candidates", resources="MEMORY_MB:200000000"))
    assert none["allocation_requests"] == []
    held = stage.ok(stage.placement(f"/allocations/{vm}"))["allocations"]
    assert held[provider]["resources"] == {"VCPU": 1, "MEMORY_MB": 512, "DISK_GB": 1}


def test_a_provider(stage: Stage) -> None:
    """Found by the host's name; its inventory is what the host offers; 404 for one that is not there."""
    provider = stage.provider("cmp03")
    inventory = stage.ok(stage.placement(f"/resource_providers/{provider}/inventories"))["inventories"]
    assert (inventory["MEMORY_MB"]["total"], inventory["MEMORY_MB"]["reserved"]) == (262_144, 0)
    missing = stage.placement("/resource_providers/00000000-0000-0000-0000-000000000000/usages")
    assert missing.status_code == 404
    assert "No resource provider with uuid" in missing.json()["errors"][0]["detail"]
