"""`drover lab simulate`, from the command line to its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.lab import app
from lab.simulator import run
from tests.unit.simulator.test_fleet import snapshot, write


def command(*words: object) -> tuple[int, str]:
    """Run it; gives the exit code and all that was said."""
    result = CliRunner().invoke(app, ["simulate", *map(str, words)])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(tmp_path: Path, number: int) -> None:
    """SIGTERM and Ctrl-C close the port, and the handlers are as they were before."""
    before = signal.getsignal(number)
    seen: list[run.Simulation] = []

    def tell(simulation: run.Simulation) -> None:
        seen.append(simulation)
        os.kill(os.getpid(), number)

    run.serve(run.Wish(write(tmp_path, snapshot()), tmp_path, port=0), tell)
    assert seen[0].door.socket.fileno() == -1
    assert signal.getsignal(number) is before


def test_the_command_says_what_to_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `up` does; and all options arrive."""
    wishes: list[run.Wish] = []

    def serve(wish: run.Wish, tell: Any) -> None:
        wishes.append(wish)
        simulation = run.start(wish)
        tell(simulation)
        simulation.stop()

    monkeypatch.setattr(run, "serve", serve)
    script = tmp_path / "faults.yaml"
    script.write_text("page: 7\n")
    code, said = command(
        write(tmp_path, snapshot()), "--dir", tmp_path / "dir", "--port-base", 0, "--speed", 5, "--faults", script,
        "--cap", 3, "--seconds", 4,
    )  # fmt: skip
    assert code == 0
    assert f"export OS_CLIENT_CONFIG_FILE={tmp_path / 'dir' / 'clouds.yaml'}" in said
    assert "2 hosts and 2 servers at http://127.0.0.1:" in said
    assert wishes == [run.Wish(tmp_path / "fleet.json", tmp_path / "dir", 0, 5.0, script, 3, 4.0)]


def test_seconds_take_the_place_of_the_fleets_estimates(tmp_path: Path) -> None:
    """Every live migration copies as long as was asked for."""
    simulation = run.start(run.Wish(write(tmp_path, snapshot()), tmp_path, port=0, seconds=4))
    simulation.stop()
    server = next(iter(simulation.cloud.world.servers.values()))
    assert simulation.cloud.world.seconds_of(server) == 4


def test_what_is_wrong_is_told_without_a_traceback(tmp_path: Path) -> None:
    """Exit code 1: no such fleet; a script with a wrong line."""
    code, said = command(tmp_path / "none.json", "--dir", tmp_path)
    assert (code, "there is no file" in said) == (1, True)
    (tmp_path / "bad.yaml").write_text("servers:\n  db: {fial: 1}\n")
    code, said = command(write(tmp_path, snapshot()), "--dir", tmp_path, "--faults", tmp_path / "bad.yaml")
    assert (code, "bad.yaml:2: servers.db.fial" in said) == (1, True)
