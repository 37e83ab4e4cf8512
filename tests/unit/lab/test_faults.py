"""The faults file: what its model accepts is what the fake hypervisors do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab import faults
from lab.errors import LabError
from lab.faults import ServerFault
from lab.inside import faults as inside


def write(path: Path, text: str) -> Path:
    """Write a faults file whose time differs from that of the one before."""
    stamp = path.stat().st_mtime_ns + 1 if path.exists() else None
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    if stamp:
        os.utime(path, ns=(stamp, stamp))
    return path


def reader(path: Path) -> inside.Faults:
    """The file as the fake driver reads it."""
    return inside.Faults(str(path), str(path.parent / "counts"))


def test_no_file_means_no_faults(tmp_path: Path) -> None:
    """A lab without a faults file has no faults, for the command and for the driver."""
    assert faults.load(tmp_path / "faults.yaml") == faults.Faults()
    assert reader(tmp_path / "faults.yaml").of_server("id", "web-1") is None


def test_driver_knows_every_field_of_the_model() -> None:
    """Whatever the model lets into the file is something that the driver understands."""
    assert set(ServerFault.model_fields) | {"pattern"} == set(inside.Fault.__dataclass_fields__)


def test_what_is_saved_is_what_the_driver_reads(tmp_path: Path) -> None:
    """A saved fault reaches the driver with all its fields."""
    path = tmp_path / "faults.yaml"
    wanted = ServerFault(seconds=3, fail="migration", times=2, targets=("cmp02",), kill="source", spawn="hang")
    faults.save(path, faults.Faults(servers={"web-*": wanted}, hosts={"cmp01": faults.HostFault(state="dead")}))
    found = reader(path).of_server("id", "web-1")
    assert found is not None
    assert {name: getattr(found, name) for name in ServerFault.model_fields} == wanted.model_dump()
    assert (reader(path).host_state("cmp01"), reader(path).host_state("cmp02")) == ("dead", None)


def test_first_key_that_fits_counts(tmp_path: Path) -> None:
    """Id, name and pattern all fit, and the first one in the file is taken."""
    path = write(tmp_path / "faults.yaml", "servers: {abc: {seconds: 1}, web-1: {seconds: 2}, 'web-*': {seconds: 3}}")
    found = [reader(path).of_server(*server) for server in (("abc", "web-1"), ("x", "web-1"), ("x", "web-2"))]
    assert [fault.seconds for fault in found if fault] == [1, 2, 3]
    assert reader(path).of_server("x", "db-1") is None


def test_change_works_at_once_and_a_broken_file_is_ignored(tmp_path: Path) -> None:
    """The driver sees a new file at the next call, and keeps the last good one when it can't read it."""
    path = write(tmp_path / "faults.yaml", "servers: {web: {stalled: true}}")
    driver = reader(path)
    assert driver.of_server("x", "web")
    write(path, "servers: {web: ")
    assert driver.of_server("x", "web")
    write(path, "{}")
    assert driver.of_server("x", "web") is None


def test_fault_strikes_as_often_as_it_says(tmp_path: Path) -> None:
    """`times` is counted for each server and kind, over all computes, and only where `targets` says so."""
    path = write(tmp_path / "faults.yaml", "servers: {'*': {fail: migration, times: 2, targets: [cmp02]}}")
    source, other = reader(path), reader(path)
    fault = source.of_server("x", "web")
    assert fault
    assert not source.strikes(fault, "migration", "x", "cmp03")
    assert [part.strikes(fault, "migration", "x", "cmp02") for part in (source, other, source)] == [True, True, False]
    assert source.strikes(fault, "migration", "y", "cmp02")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("servers: {web: {fail: sometimes}}", "servers.web.fail"),
        ("servers: {web: {slow: 3}}", "servers.web.slow"),
        ("hosts: {cmp01: dead}", "hosts.cmp01"),
        ("hosts: [", "no YAML"),
        ("- web", "is wrong"),
        ("a: \udcff", "no YAML"),
        ("[" * 5000, "no YAML"),
        ("a: " + "9" * 5000, "no YAML"),
    ],
)
def test_wrong_file_says_where(tmp_path: Path, text: str, complaint: str) -> None:
    """A file that is not as documented is refused with the place of the mistake."""
    with pytest.raises(LabError, match=complaint):
        faults.load(write(tmp_path / "faults.yaml", text))


def test_host_fault_leaves_the_others(tmp_path: Path) -> None:
    """Killing and reviving a host changes nothing else in the file."""
    path = write(tmp_path / "faults.yaml", "servers: {web: {stalled: true}}\nhosts: {cmp09: {state: frozen}}")
    before = faults.load(path)
    faults.set_host(path, "cmp01", "dead")
    assert faults.load(path).describe()[:2] == ["host cmp09: frozen", "host cmp01: dead"]
    faults.set_host(path, "cmp01", None)
    assert faults.load(path) == before
