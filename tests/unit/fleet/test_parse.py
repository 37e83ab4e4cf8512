"""Nova's and Placement's JSON becomes the snapshot's records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.fleet import parse
from shared.fleet.fences import Fences
from shared.fleet.snapshot import Requirements


def entry(**changes: Any) -> dict[str, Any]:
    """A server as servers/detail shows it to an admin in 2.100; `specs` are its flavor's extra specs."""
    flavor = {
        "vcpus": 4,
        "ram": 8192,
        "disk": 40,
        "ephemeral": 10,
        "swap": 1536,
        "original_name": "medium",
        "extra_specs": changes.pop("specs", {}),
    }
    return {
        "id": "s1",
        "name": "web-1",
        "status": "ACTIVE",
        "tenant_id": "p1",
        "created": "2026-01-02T03:04:05Z",
        "image": {"id": "i1", "properties": {}},
        "flavor": flavor,
        "OS-EXT-SRV-ATTR:host": "cmp01",
        "OS-EXT-STS:task_state": None,
        "OS-EXT-STS:power_state": 1,
        "locked": False,
        "locked_reason": None,
        "pinned_availability_zone": None,
        **changes,
    }


def uses(**specs: str) -> dict[str, int]:
    """What a flavor of 4 processors with these extra specs allocates; "__" stands for ":"."""
    named = {key.replace("__", ":"): value for key, value in specs.items()}
    return dict(parse.server(entry(specs=named)).uses)


def test_a_server_has_all_its_fields() -> None:
    """Everything that a decision needs is taken from the bulk list."""
    server = parse.server(
        entry(
            locked=True,
            locked_reason="mine",
            pinned_availability_zone="az1",
            status="ERROR",
            fault={"code": 500, "message": "no room"},
            image={"id": "i1", "properties": {"hw_vif_multiqueue_enabled": True}},
            specs={"hw:cpu_policy": "shared"},
            **{"OS-EXT-STS:task_state": "migrating"},
        )
    )
    assert (server.id, server.name, server.host, server.project) == ("s1", "web-1", "cmp01", "p1")
    assert (server.status, server.task_state, server.power_state) == ("ERROR", "migrating", 1)
    assert (server.locked, server.locked_reason, server.fault) == (True, "mine", "no room")
    assert server.requires.zone == "az1"
    assert server.image_properties == {"hw_vif_multiqueue_enabled": "True"}
    assert server.extra_specs == {"hw:cpu_policy": "shared"}
    assert server.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert server.memory_mb == 8192


def test_disk_is_root_ephemeral_and_swap() -> None:
    """Swap counts in whole GiB, rounded up, as Nova allocates it."""
    assert uses() == {"VCPU": 4, "MEMORY_MB": 8192, "DISK_GB": 52}


def test_a_volume_has_no_root_disk() -> None:
    """A server without an image boots from a volume: its root disk is not on the host."""
    server = parse.server(entry(image=""))
    assert server.volume_backed
    assert server.uses["DISK_GB"] == 12


def test_an_old_cloud_leaves_things_unknown() -> None:
    """Before 2.96 and 2.73 the pinned zone and the lock's reason are not shown."""
    old = entry(image={"id": "i1"})
    for key in ("pinned_availability_zone", "locked_reason"):
        del old[key]
    server = parse.server(old)
    assert server.requires == Requirements()
    assert server.locked_reason is None
    assert server.image_properties == {}


def test_dedicated_processors() -> None:
    """hw:cpu_policy=dedicated is PCPU, and isolated emulator threads take one more."""
    assert uses(hw__cpu_policy="dedicated")["PCPU"] == 4
    assert "VCPU" not in uses(hw__cpu_policy="dedicated")
    assert uses(hw__cpu_policy="dedicated", hw__emulator_threads_policy="isolate")["PCPU"] == 5


@pytest.mark.parametrize(("mask", "dedicated"), [("0-1", 2), ("^0", 3), ("0-3,^1", 3), ("1, 3", 2), ("", 0)])
def test_mixed_processors(mask: str, dedicated: int) -> None:
    """hw:cpu_policy=mixed splits by the mask of dedicated ones."""
    found = uses(hw__cpu_policy="mixed", hw__cpu_dedicated_mask=mask)
    assert found.get("PCPU", 0) == dedicated
    assert found["VCPU"] == 4 - dedicated


def test_a_flavor_overrides_resources() -> None:
    """resources:CLASS=n replaces or adds, 0 removes, and numbered groups add up."""
    found = uses(
        resources__VCPU="2",
        resources__DISK_GB="0",
        resources__CUSTOM_GPU="1",
        resources1__CUSTOM_FPGA="1",
        resources_a__CUSTOM_FPGA="2",
        resources__BROKEN="many",
    )
    assert found == {"VCPU": 2, "MEMORY_MB": 8192, "CUSTOM_GPU": 1, "CUSTOM_FPGA": 3}


def test_traits_of_flavor_and_image() -> None:
    """Required and forbidden traits are told apart; the image's are required as well."""
    server = parse.server(
        entry(
            specs={"trait:HW_X": "required", "trait:HW_Y": "forbidden", "trait1:HW_Z": "required", "hw:x": "required"},
            image={"id": "i1", "properties": {"trait:HW_I": "required"}},
        )
    )
    assert server.requires.traits == {"HW_X", "HW_Z", "HW_I"}
    assert server.requires.forbidden_traits == {"HW_Y"}


def test_a_server_without_a_host() -> None:
    """A shelved server is nowhere."""
    assert parse.server(entry(**{"OS-EXT-SRV-ATTR:host": None})).host is None


@pytest.mark.parametrize(
    "text", ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000", "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05"]
)
def test_novas_ways_to_write_a_time(text: str) -> None:
    """With a zone or without one, it is UTC."""
    assert parse.moment(text) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_no_time() -> None:
    """An absent time is None."""
    assert parse.moment(None) is None
    assert parse.moment("") is None


def test_groups_of_both_forms() -> None:
    """Since 2.64 a group has one policy and rules; before, a list of policies."""
    new = parse.group(
        {
            "id": "g",
            "name": "db",
            "policy": "anti-affinity",
            "rules": {"max_server_per_host": 2},
            "members": ["a", "b"],
        }
    )
    assert (new.policy, new.max_per_host, new.members, new.name) == ("anti-affinity", 2, frozenset({"a", "b"}), "db")
    old = parse.group({"id": "g", "policies": ["affinity"], "members": []})
    assert (old.policy, old.max_per_host) == ("affinity", 1)


def row(**changes: Any) -> dict[str, Any]:
    """A row of os-migrations."""
    return {
        "id": 7,
        "uuid": "m7",
        "instance_uuid": "s1",
        "source_compute": "cmp01",
        "dest_compute": "cmp02",
        "status": "running",
        "migration_type": "live-migration",
        "created_at": "2026-01-02T03:04:05.000000",
        "updated_at": None,
        **changes,
    }


def test_a_migration() -> None:
    """A row that was never updated was updated when it was created."""
    migration = parse.migration(row())
    assert (migration.id, migration.uuid, migration.server) == (7, "m7", "s1")
    assert (migration.source, migration.target, migration.kind) == ("cmp01", "cmp02", "live-migration")
    assert migration.updated == migration.created == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert migration.in_flight
    assert not parse.migration(row(status="completed")).in_flight


def test_a_migration_without_a_time_is_refused() -> None:
    """Nova always has created_at: its absence is an error, not a guess."""
    with pytest.raises(ValueError, match="migration 7 has no created_at"):
        parse.migration(row(created_at=None))


SERVICE = {"id": "v1", "host": "cmp01", "zone": "az1", "state": "up", "status": "enabled", "forced_down": False}


@pytest.mark.parametrize(
    ("change", "accepts"),
    [
        ({}, True),
        ({"status": "disabled", "disabled_reason": "upgrade"}, False),
        ({"state": "down"}, False),
        ({"forced_down": True}, False),
    ],
)
def test_which_hosts_accept(change: dict[str, Any], accepts: bool) -> None:
    """Only a service that is up, enabled and not forced down may receive servers."""
    host = parse.host({**SERVICE, **change}, frozenset(), None, registered=True)
    assert host.accepts is accepts
    assert host.disabled_reason == change.get("disabled_reason")


def test_a_service_without_a_hypervisor_accepts_nothing() -> None:
    """A nova-compute that has never reported a node can't take a server."""
    assert not parse.host(SERVICE, frozenset(), None, registered=False).accepts


def test_a_service_in_a_cell_that_is_down() -> None:
    """Nova shows little more than the name: it is taken as down."""
    host = parse.host({"host": "cmp01", "binary": "nova-compute", "status": "UNKNOWN"}, frozenset(), None, True)
    assert (host.state, host.status, host.accepts, host.zone) == ("down", "UNKNOWN", False, "")


def test_a_full_host_has_no_room() -> None:
    """Placement does not show it: nothing is free there."""
    assert parse.host(SERVICE, frozenset(), None, registered=True).free() == {}


def test_nested_providers_add_up() -> None:
    """Amounts and traits of a hypervisor's children count to its root."""
    found = parse.rooms(
        {
            "root": {
                "root_provider_uuid": "root",
                "resources": {"VCPU": {"capacity": 8, "used": 2}},
                "traits": ["HW_A"],
            },
            "child": {
                "root_provider_uuid": "root",
                "resources": {"VGPU": {"capacity": 4, "used": 1}, "VCPU": {"capacity": 2, "used": 0}},
                "traits": ["CUSTOM_B"],
            },
            "flat": {"resources": {"VCPU": {"capacity": 1, "used": 1}}},
        }
    )
    assert found["root"] == ({"VCPU": 10, "VGPU": 4}, {"VCPU": 2, "VGPU": 1}, frozenset({"HW_A", "CUSTOM_B"}))
    assert found["flat"] == ({"VCPU": 1}, {"VCPU": 1}, frozenset())


def aggregate(name: str, hosts: list[str], **metadata: str) -> dict[str, Any]:
    """A host aggregate."""
    return {"id": 1, "name": name, "hosts": hosts, "metadata": metadata}


HOSTS = ("cmp01", "cmp02", "cmp03")


def test_a_tenants_aggregate_shuts_others_out() -> None:
    """filter_tenant_id, with or without a suffix, admits only the projects that it names."""
    fences = Fences(
        [aggregate("a", ["cmp01"], filter_tenant_id="p1, p2"), aggregate("b", ["cmp01"], filter_tenant_id9="p3")], HOSTS
    )
    for project in ("p1", "p2", "p3"):
        assert fences.shunned(entry(tenant_id=project)) == frozenset()
    assert fences.shunned(entry(tenant_id="p4")) == {"cmp01"}
    assert fences.names() == {"cmp01": {"a", "b"}}


@pytest.mark.parametrize(
    ("wish", "shunned"),
    [
        ("true", {"cmp02", "cmp03"}),
        ("<or> true <or> maybe", {"cmp03"}),
        (">= 5", set()),
        ("no", {"cmp01", "cmp02", "cmp03"}),
    ],
)
def test_a_flavor_that_wants_an_aggregate(wish: str, shunned: set[str]) -> None:
    """Hosts outside of the aggregates with the metadata are excluded; comparisons are left to Nova."""
    fences = Fences([aggregate("fast", ["cmp01"], ssd="true,fast"), aggregate("other", ["cmp02"], ssd="maybe")], HOSTS)
    wanted = entry(specs={"aggregate_instance_extra_specs:ssd": wish})
    assert fences.shunned(wanted) == shunned
    assert fences.shunned(wanted) is fences.shunned(wanted), "the set is shared by all servers of a kind"
