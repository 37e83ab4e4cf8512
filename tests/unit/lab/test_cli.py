"""`drover lab` tells a person what is wrong and what to do, without a traceback."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.lab import app
from lab import cloud, layout
from lab.layout import Lab, Options


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab that is not running, on ports that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        base = min(free.getsockname()[1], 65000)
    made = layout.create(tmp_path / "lab", Options(), port_base=base)
    cloud.write_clouds_yaml(made)
    return made


def run(*words: str | Path, code: int) -> str:
    """Run the command; it must end with the code. Returns all it said."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.output


@pytest.mark.parametrize("command", ["down", "status", "reset", "faults"])
def test_command_without_a_lab_says_how_to_make_one(tmp_path: Path, command: str) -> None:
    """Where no lab is, a command ends with code 1 and names `up`, and leaves no directory behind."""
    assert "drover lab up --dir" in run(command, "--dir", tmp_path / "none", code=1)
    assert not (tmp_path / "none").exists()


def test_foreign_directory_is_never_destroyed(tmp_path: Path) -> None:
    """`destroy` removes nothing where no lab is."""
    (tmp_path / "thesis.txt").write_text("my only copy")
    assert "nothing was removed" in run("destroy", "--dir", tmp_path, code=1)
    assert (tmp_path / "thesis.txt").exists()


def test_destroy_removes_the_lab(lab: Lab) -> None:
    """`destroy` removes the directory of a lab, and says so when there is none."""
    assert "is gone" in run("destroy", "--dir", lab.directory, code=0)
    assert not lab.directory.exists()
    assert "there is no lab" in run("destroy", "--dir", lab.directory, code=0)


def test_stopped_lab_is_down(lab: Lab) -> None:
    """`status --json` of a lab that does not run says down, with exit code 1."""
    told = json.loads(run("status", "--json", "--dir", lab.directory, code=1))
    assert (told["state"], told["hosts"], told["processes"]) == ("down", [], [])
    assert "cmp04" in told["missing"]


def test_cloud_that_does_not_answer_is_no_traceback(lab: Lab) -> None:
    """Filling a lab that is down ends with the address that does not answer and what to look at."""
    told = run("fill", "cmp01", "1", "--dir", lab.directory, code=1)
    assert lab.url("keystone") in told
    assert "drover lab status" in told


def test_fill_is_checked_before_anything_is_asked(lab: Lab) -> None:
    """An unknown host is named together with those there are."""
    assert "it has cmp01 to cmp04" in run("fill", "cmp09", "1", "--dir", lab.directory, code=1)


def test_faults_file_is_checked_before_it_is_in_force(lab: Lab, tmp_path: Path) -> None:
    """A wrong file changes nothing; a right one is in force and shown."""
    (tmp_path / "wrong.yaml").write_text("servers: {web: {fail: never}}")
    assert "servers.web.fail" in run("faults", tmp_path / "wrong.yaml", "--dir", lab.directory, code=1)
    assert "no faults" in run("faults", "--dir", lab.directory, code=0)
    (tmp_path / "right.yaml").write_text("hosts: {cmp02: {state: dead}}")
    run("faults", tmp_path / "right.yaml", "--dir", lab.directory, code=0)
    assert "host cmp02: dead" in run("faults", "--dir", lab.directory, code=0)
    assert "no file" in run("faults", tmp_path / "none.yaml", "--dir", lab.directory, code=1)
