"""The files that people give to the command line, with something wrong in them: an error that names the file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.rack import hosts_in
from lab import faults
from lab.errors import LabError
from lab.simulator import fleet, script
from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from shared.errors import Rejected
from tests.fuzz.judge import counted
from tests.fuzz.malformed import places
from tests.fuzz.values import bodies, odd

EACH = 200
"""Files of each sort."""
NEEDS: dict[str, Any] = {"zone": "az1", "aggregates": ["ssd"], "traits": ["HW_X"]}
USES = {"vcpus": 1, "memory_mb": 2048, "disk_gb": 20}
FLEET = {
    "format": "drover.fleet/1",
    "hosts": [{"name": f"cmp{n}", "zone": "az1", "rack": "r1",
               "capacity": {"vcpus": 8, "memory_mb": 8192, "disk_gb": 80},
               "accepts": True, "aggregates": ["ssd"], "traits": ["HW_X"]} for n in (1, 2)],
    "servers": [{"id": f"s{n}", "host": "cmp1", "project": "p", "status": "ACTIVE", "uses": USES, "requires": NEEDS,
                 "movable": n == 1, "reason": "PCI passthrough device", "seconds": 5} for n in (1, 2)],
    "groups": [{"id": "g1", "policy": "anti-affinity", "members": ["s1", "s2"]}],
    "pairs": [{"id": "p1", "members": ["s1", "s2"]}],
    "windows": [],
}  # fmt: skip
SCRIPT = {
    "servers": {"db-1": {"seconds": 120}, "web-*": {"fail": "migration", "times": 1}},
    "hosts": {"cmp05": {"state": "dead"}},
    "microversion": "2.96",
    "page": 100,
    "token_seconds": 300,
}
FAULTS = {name: SCRIPT[name] for name in ("servers", "hosts")}
RACK = {"hosts": ["cmp01", "cmp02"]}


def read_fleet(path: Path) -> None:
    """As `drover lab simulate` does."""
    fleet.load(SimulatedCloud(SteppedClock()), path)


@st.composite
def spoilt(draw: st.DrawFn, document: Any, write: Callable[[Any], bytes]) -> bytes:
    """A file with a field gone or changed, with bytes gone or changed, or of something else."""
    match draw(st.integers(0, 3)):
        case 0:
            return draw(bodies)
        case 1:
            raw = write(document)
            at, length = draw(st.integers(0, len(raw))), draw(st.integers(0, 8))
            return raw[:at] + draw(st.binary(max_size=4)) + raw[at + length :]
    changed = json.loads(json.dumps(document))
    path = draw(st.sampled_from(list(places(changed))))
    place = changed
    for key in path[:-1]:
        place = place[key]
    if draw(st.booleans()):
        del place[path[-1]]
    else:
        place[path[-1]] = draw(odd)
    return write(changed)


def as_json(document: Any) -> bytes:
    """JSON."""
    return json.dumps(document).encode()


def as_yaml(document: Any) -> bytes:
    """YAML; JSON, which is nearly YAML as well, where YAML has no words for it."""
    try:
        return yaml.safe_dump(document).encode()
    except (yaml.YAMLError, UnicodeEncodeError):
        return as_json(document)


def as_lines(document: Any) -> bytes:
    """One entry a line."""
    hosts = document.get("hosts")
    return "\n".join(map(str, hosts if isinstance(hosts, list) else [hosts])).encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("name", "document", "write", "read"),
    [
        ("fleet.json", FLEET, as_json, read_fleet),
        ("script.yaml", SCRIPT, as_yaml, script.load),
        ("faults.yaml", FAULTS, as_yaml, lambda path: faults.load(path, must_exist=True)),
        ("rack.yaml", RACK, as_yaml, hosts_in),
        ("rack.json", RACK, as_json, hosts_in),
        ("rack.txt", RACK, as_lines, hosts_in),
    ],
    ids=["fleet", "script", "faults", "rack of YAML", "rack of JSON", "rack of lines"],
)
def test_files_that_are_wrong(
    tmp_path: Path, times: int, name: str, document: Any, write: Callable[[Any], bytes], read: Callable[[Path], Any]
) -> None:
    """Each is read, or refused by an error for people that names the file."""
    path = tmp_path / name
    path.write_bytes(write(document))
    read(path)

    @settings(settings.get_profile("fuzz"), max_examples=EACH * times)
    @given(spoilt(document, write))
    def run(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(path)
            result = f"{path} was read"
        except (LabError, Rejected) as error:
            result = str(error)
        except Exception as error:
            raise AssertionError(f"{content[:2000]!r}: {type(error).__name__}: {error}") from error
        assert str(path) in result
        counted["file: read" if result.endswith("was read") else "file: refused"] += 1

    run()
