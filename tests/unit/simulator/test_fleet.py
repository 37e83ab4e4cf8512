"""Fleet snapshots become clouds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.errors import LabError
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.fleet import as_uuid, load
from shared.fleet.reader import read_fleet
from tests.unit.simulator.conftest import Asker

SIZE = {"vcpus": 8, "memory_mb": 16_384, "disk_gb": 100}
USES = {"vcpus": 2, "memory_mb": 4096, "disk_gb": 40}


def snapshot(**more: Any) -> dict[str, Any]:
    """Two hosts in two zones with two servers on the first."""

    def host(name: str, zone: str, **other: Any) -> dict[str, Any]:
        return {"name": name, "zone": zone, "rack": "r1", "capacity": SIZE, "accepts": True, "aggregates": ["ssd"],
                "traits": ["HW_CPU_X86_AVX512F"], **other}  # fmt: skip

    def server(id: str, **other: Any) -> dict[str, Any]:
        return {"id": id, "host": "h1", "project": "p", "status": "ACTIVE", "uses": USES, "movable": True,
                "reason": None, "seconds": 33, "requires": {"zone": None, "aggregates": [], "traits": []},
                **other}  # fmt: skip

    pinned = {"zone": "az1", "aggregates": ["ssd"], "traits": ["HW_CPU_X86_AVX512F"]}
    return {
        "format": "drover.fleet/1",
        "hosts": [host("h1", "az1"), host("h2", "az2", accepts=False)],
        "servers": [server("s1", requires=pinned), server("s2", movable=False, reason="PCI passthrough device")],
        "groups": [{"id": "g1", "policy": "anti-affinity", "members": ["s1", "s2"]}],
        "pairs": [{"id": "pair1", "members": ["s1", "s9"]}],
        "windows": [],
        **more,
    }


def write(directory: Path, document: Any) -> Path:
    """The snapshot in a file."""
    path = directory / "fleet.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def empty() -> SimulatedCloud:
    """A cloud without anything."""
    from lab.simulator.clock import SteppedClock

    return SimulatedCloud(SteppedClock())


def test_drover_reads_back_what_was_loaded(tmp_path: Path, empty: SimulatedCloud) -> None:
    """Hosts with zone, aggregates, traits and room; servers with their demands; groups with their members."""
    load(empty, write(tmp_path, snapshot()))
    fleet = read_fleet(empty.cloud())
    one, two = fleet.hosts["h1"], fleet.hosts["h2"]
    assert (one.zone, one.accepts, two.accepts) == ("az1", True, False)
    assert one.aggregates >= {"ssd"}
    assert "HW_CPU_X86_AVX512F" in one.traits
    assert one.capacity == {"VCPU": 8, "MEMORY_MB": 16_384, "DISK_GB": 100}
    assert one.used == {"VCPU": 4, "MEMORY_MB": 8192, "DISK_GB": 80}
    server = fleet.servers[as_uuid("s1")]
    assert (server.name, server.host, server.requires.zone) == ("s1", "h1", "az1")
    assert server.requires.traits == {"HW_CPU_X86_AVX512F"}
    stuck = fleet.servers[as_uuid("s2")]
    assert "pci_passthrough:alias" in stuck.extra_specs
    (group,) = fleet.groups.values()
    assert (group.policy, group.members) == ("anti-affinity", {as_uuid("s1"), as_uuid("s2")})


def test_pairs_and_estimates_are_kept(tmp_path: Path, empty: SimulatedCloud) -> None:
    """A pair is in the metadata; a live migration takes the fleet's own estimate."""
    load(empty, write(tmp_path, snapshot()))
    server = empty.server(as_uuid("s1"))
    assert server.metadata == {"drover:pair": "pair1"}
    assert empty.world.seconds_of(server) == 33


def test_old_servers_are_not_changes(tmp_path: Path, empty: SimulatedCloud) -> None:
    """changes-since of a moment ago lists none of a fleet that has just been loaded, of a year ago all."""
    load(empty, write(tmp_path, snapshot()))
    asker = Asker(empty)
    recent = "/compute/v2.1/servers/detail?all_tenants=1&changes-since="
    assert asker.get(recent + "2025-12-31T23:00:00Z")["servers"] == []
    assert len(asker.get(recent + "2025-01-01T00:00:00Z")["servers"]) == 2


def test_ids_that_are_uuids_are_kept() -> None:
    """Others become the same uuid each time."""
    given = "6f1c4a9e-3f0e-4c0a-9d57-1d2f3a4b5c6d"
    assert as_uuid(given) == given
    assert as_uuid("s1") == as_uuid("s1") != as_uuid("s2")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": "drover.plan/1"}, "found format 'drover.plan/1', expected 'drover.fleet/1'"),
        ({"hosts": [{"name": "h1"}]}, r"hosts\[0\]: field 'capacity' is missing"),
        ({"servers": [{"id": "s1", "host": "h7"}]}, r"servers\[0\]: host 'h7' is none of the fleet's"),
        ({"servers": [{"id": "s1", "host": "h1"}]}, r"servers\[0\]: field 'project' is missing"),
        ({"groups": [{"id": "g"}]}, "field 'policy' is missing"),
        ({"groups": [{"id": "\ud800", "policy": "affinity", "members": []}]}, "surrogates not allowed"),
    ],
)
def test_a_wrong_snapshot_says_where(
    tmp_path: Path, empty: SimulatedCloud, change: dict[str, Any], sentence: str
) -> None:
    """The file, the place in it, and what was expected."""
    with pytest.raises(LabError, match=sentence):
        load(empty, write(tmp_path, snapshot(**change)))


def test_a_file_that_is_none(tmp_path: Path, empty: SimulatedCloud) -> None:
    """Missing, or no JSON, or a list."""
    with pytest.raises(LabError, match="there is no file"):
        load(empty, tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(LabError, match="is no JSON"):
        load(empty, tmp_path / "bad.json")
    (tmp_path / "bad.json").write_text("[" * 100_000)
    with pytest.raises(LabError, match="is no JSON"):
        load(empty, tmp_path / "bad.json")
    with pytest.raises(LabError, match="found format 'list'"):
        load(empty, write(tmp_path, []))
