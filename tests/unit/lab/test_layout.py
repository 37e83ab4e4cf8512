"""A lab's directory keeps its options, ports and passwords."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lab import layout
from lab.errors import LabError
from lab.layout import Options


def test_lab_is_found_again_as_it_was_made(tmp_path: Path) -> None:
    """What was created is what is loaded, the passwords included."""
    made = layout.create(tmp_path / "lab", Options(computes=6, zones=("a", "b")), port_base=23000)
    assert layout.load(tmp_path / "lab") == made
    assert made.port("nova") == 23004


def test_only_the_owner_reads_the_passwords(tmp_path: Path) -> None:
    """lab.json can be read by nobody but its owner."""
    layout.create(tmp_path / "lab", Options())
    assert stat.S_IMODE((tmp_path / "lab" / layout.MARKER).stat().st_mode) == 0o600


def test_two_labs_have_different_passwords(tmp_path: Path) -> None:
    """Passwords are drawn for each lab."""
    first, second = (layout.create(tmp_path / name, Options()).passwords for name in ("one", "two"))
    assert not set(first.values()) & set(second.values())


def test_directory_with_other_things_is_left_alone(tmp_path: Path) -> None:
    """A directory that holds something else is refused, and what it holds stays."""
    (tmp_path / "thesis.txt").write_text("my only copy")
    with pytest.raises(LabError, match="not empty"):
        layout.create(tmp_path, Options())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_missing_lab_says_how_to_make_one(tmp_path: Path) -> None:
    """Loading where no lab is tells the command that makes one."""
    with pytest.raises(LabError, match="drover lab up --dir"):
        layout.load(tmp_path)


def test_broken_file_is_named(tmp_path: Path) -> None:
    """A lab.json that is cut off is named in the error."""
    (tmp_path / layout.MARKER).write_text('{"port_base": 21')
    with pytest.raises(LabError, match=r"lab\.json can't be read"):
        layout.load(tmp_path)


def test_directory_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DROVER_LAB_DIR chooses the directory; without it the user's cache is used."""
    monkeypatch.setenv("DROVER_LAB_DIR", str(tmp_path))
    assert layout.default_directory() == tmp_path
    monkeypatch.delenv("DROVER_LAB_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert layout.default_directory() == tmp_path / "cache" / "drover" / "lab"


def test_ports_do_not_collide() -> None:
    """Every listener has a port of its own."""
    assert len(set(layout.PORTS.values())) == len(layout.PORTS)


def test_hosts_are_dealt_over_the_zones() -> None:
    """Hosts go to the zones in turn; without zones to none."""
    options = Options(computes=3, zones=("north", "south"))
    assert [options.zone_of(host) for host in options.hosts] == ["north", "south", "north"]
    assert Options().zone_of("cmp01") is None
