"""Processes are found and ended by pid and start time, and ports are told apart from foreign ones."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab import ports, processes
from lab.errors import PortTaken, ProcessDied
from lab.processes import Record, Service

SLEEPER = Service("sleeper", ("sleep", "30"))


def start(tmp_path: Path, service: Service = SLEEPER) -> Record:
    """Start a process whose record and log are below the test's directory."""
    return processes.start(service, tmp_path / "run", tmp_path / "log", tmp_path)


def wait(record: Record) -> None:
    """Until the process has ended by itself; it is about to."""
    while record.alive:
        os.sched_yield()


def test_process_is_recorded_and_ended(tmp_path: Path) -> None:
    """A started process is found by its record; after the stop neither is there any more."""
    record = start(tmp_path)
    assert record.alive
    assert processes.records(tmp_path / "run") == [record]
    assert processes.stop([record], tmp_path / "run", grace=5) == []
    assert not record.alive
    assert processes.records(tmp_path / "run") == []


def test_children_are_ended_too(tmp_path: Path) -> None:
    """What a process has started in its session ends with it, even if the process itself has gone before."""
    record = start(tmp_path, Service("parent", ("sh", "-c", "sleep 30 & echo $! > child; exit")))
    wait(record)
    child = int((tmp_path / "child").read_text())
    assert not record.alive
    processes.stop([record], tmp_path / "run", grace=5)
    assert not Path(f"/proc/{child}").exists() or ") Z " in Path(f"/proc/{child}/stat").read_text()


def test_deaf_process_is_killed(tmp_path: Path) -> None:
    """A process that ignores SIGTERM is killed when its grace is over."""
    program = "import signal, pathlib; signal.signal(15, signal.SIG_IGN); pathlib.Path('deaf').touch(); signal.pause()"
    record = start(tmp_path, Service("deaf", (sys.executable, "-S", "-c", program)))
    while not (tmp_path / "deaf").exists():
        assert record.alive
    assert processes.stop([record], tmp_path / "run", grace=0) == [record]
    assert not record.alive


def test_handler_of_a_signal_is_seen(tmp_path: Path) -> None:
    """A signal is told to be caught only when the process has a handler for it."""
    before = signal.signal(signal.SIGUSR2, lambda _number, _frame: None)
    assert processes.catches(os.getpid(), signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)
    assert not processes.catches(os.getpid(), signal.SIGUSR2)


def test_reused_pid_is_a_stranger(tmp_path: Path) -> None:
    """A record whose pid belongs to a process with another start time is dead, and stopping it harms nobody."""
    record = start(tmp_path)
    stale = dataclasses.replace(record, name="stale", started=record.started + 1)
    assert not stale.alive
    processes.stop([stale], tmp_path / "run", grace=0)
    older = dataclasses.replace(record, name="older", started=record.started - 1)
    processes.stop([older], tmp_path / "run", grace=0)
    assert record.alive
    processes.stop([record], tmp_path / "run", grace=5)


def test_dead_process_shows_its_last_words(tmp_path: Path) -> None:
    """The error about a process that has ended holds its log's path and end."""
    record = start(tmp_path, Service("loser", ("sh", "-c", "echo no such table >&2; exit 3")))
    wait(record)
    with pytest.raises(ProcessDied, match=r"loser has ended\n.*loser\.log:\n  \| no such table"):
        processes.check_alive(record)


def test_missing_program_is_named(tmp_path: Path) -> None:
    """A program that is not there is named in the error."""
    with pytest.raises(ProcessDied, match="/nowhere/mariadbd can't be started"):
        start(tmp_path, Service("mariadb", ("/nowhere/mariadbd",)))


def test_environment_is_not_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service sees its own environment, not the caller's OS_CLOUD."""
    monkeypatch.setenv("OS_CLOUD", "production")
    record = start(tmp_path, Service("env", ("env",), {"DROVER_LAB_DIR": "/lab"}))
    wait(record)
    told = Path(record.log).read_text()
    assert "DROVER_LAB_DIR=/lab" in told
    assert "OS_CLOUD" not in told


def test_sign_of_life_must_be_younger_than_the_process(tmp_path: Path) -> None:
    """What OpenStack heard before the process started was another process's."""
    record = start(tmp_path)
    now = datetime.now(UTC).replace(tzinfo=None)
    try:
        assert record.gave_sign((now + timedelta(seconds=5)).isoformat(timespec="seconds"))
        assert not record.gave_sign((now - timedelta(seconds=60)).isoformat(timespec="seconds"))
        assert not record.gave_sign(None)
    finally:
        processes.stop([record], tmp_path / "run", grace=5)


def test_taken_port_is_told_with_its_owner() -> None:
    """A port that somebody listens on is refused with the service that needs it and the pid that has it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"keystone needs port {port}: used by pid {os.getpid()} "):
            ports.check_free([("keystone", port)])
    ports.check_free([("keystone", port)])
