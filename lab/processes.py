"""Start, find and stop the lab's own processes, by recorded pid and start time, never by name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lab.errors import LabError, ProcessDied

LOG_LIMIT = 20 * 1024 * 1024
"""Bytes after which a log is set aside at the next start."""
POLL = 0.1
"""Seconds between two looks at a process that is to end."""
MARK = "DROVER_LAB_RUN"
"""Environment variable that every process of a lab carries: the directory of its record."""
KILL_SECONDS = 30.0
"""Seconds that the kernel may need to end what was killed."""


@dataclass(frozen=True)
class Service:
    """A process to run: its name is that of its record and its log."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    url: str | None = None
    """An address that answers over HTTP once the service is ready."""


@dataclass(frozen=True)
class Record:
    """A process that was started: kept as JSON in the lab's `run` directory.

    `started` is field 22 of /proc/PID/stat (clock ticks since boot, proc(5)): a pid that was given to another process
    since has another one.
    """

    name: str
    pid: int
    started: int
    log: str
    port: int | None = None

    @property
    def since(self) -> datetime:
        """When the process was started."""
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
        seconds = int(boot.split()[1]) + self.started / os.sysconf("SC_CLK_TCK")
        return datetime.fromtimestamp(seconds, UTC)

    def gave_sign(self, told: str | None) -> bool:
        """Whether a time as OpenStack tells it (UTC, whole seconds, no zone) lies after the start of the process."""
        return told is not None and datetime.fromisoformat(told).replace(tzinfo=UTC) >= self.since

    @property
    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        now = _stat(self.pid)
        return now is not None and now.started == self.started and now.state != "Z"


@dataclass(frozen=True)
class _Stat:
    state: str
    session: int
    started: int


def _stat(pid: int) -> _Stat | None:
    """State, session and start time of a process, None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(state=fields[0], session=int(fields[3]), started=int(fields[19]))


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal, which would end it otherwise (SigCgt in proc(5))."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    mask = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")), 0)
    return bool(mask >> (number - 1) & 1)


def records(run: Path) -> list[Record]:
    """All recorded processes, dead ones too, by name."""
    found = []
    for path in sorted(run.glob("*.json")):
        try:
            found.append(Record(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError):
            continue  # being written, or removed since
    return found


def record_of(run: Path, name: str) -> Record | None:
    """The record of a process, dead or alive."""
    return next((record for record in records(run) if record.name == name), None)


def start(service: Service, run: Path, log: Path, home: Path) -> Record:
    """Start a process in a session of its own, with nothing of the caller's environment but the path.

    Raises:
        ProcessDied: it can't be started at all.
    """
    for directory in (run, log, home):
        directory.mkdir(parents=True, exist_ok=True)
    log_path = log / f"{service.name}.log"
    if log_path.exists() and log_path.stat().st_size > LOG_LIMIT:
        log_path.replace(log_path.with_suffix(".log.1"))
    path = os.environ.get("PATH", os.defpath)
    environment = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "no_proxy": "*", MARK: str(run)}
    with log_path.open("ab") as output:
        try:
            process = subprocess.Popen(
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment | dict(service.environment),
                cwd=home,
                start_new_session=True,
            )
        except OSError as error:
            raise ProcessDied(f"{service.name}: {service.command[0]} can't be started: {error}") from error
    stat = _stat(process.pid)
    if stat is None:
        raise ProcessDied(f"{service.name} ended at once\n{tail(log_path)}")
    record = Record(service.name, process.pid, stat.started, str(log_path), service.port)
    _write(run, record)
    return record


def _write(run: Path, record: Record) -> None:
    draft = run / f".{record.name}.draft"
    draft.write_text(json.dumps(asdict(record)))
    draft.replace(run / f"{record.name}.json")


def stop(targets: Iterable[Record], run: Path, grace: float) -> list[Record]:
    """End processes and what they started in their sessions: SIGTERM, after `grace` seconds SIGKILL; forget them.

    Returns:
        Those that had to be killed.

    Raises:
        LabError: one can't be ended.
    """
    targets = list(targets)
    _signal(targets, run, signal.SIGTERM)
    left = killed = _wait(targets, run, grace)
    deadline = time.monotonic() + KILL_SECONDS
    while left:  # again and again: one may have forked in the moment before its end
        if time.monotonic() > deadline:
            raise LabError(f"{', '.join(record.name for record in left)} can't be ended, not even by SIGKILL")
        _signal(left, run, signal.SIGKILL)
        left = _wait(left, run, POLL)
    for record in targets:
        (run / f"{record.name}.json").unlink(missing_ok=True)
    return killed


def _wait(targets: list[Record], run: Path, seconds: float) -> list[Record]:
    """Until all have ended, or the time is over; returns those that have not."""
    deadline = time.monotonic() + seconds
    while True:
        sessions = _sessions()
        left = [record for record in targets if _members(record, run, sessions)]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(POLL)


def _sessions() -> dict[int, list[int]]:
    """Of every session the pids of what runs in it, zombies left out."""
    sessions: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (stat := _stat(int(entry.name))) and stat.state != "Z":
            sessions.setdefault(stat.session, []).append(int(entry.name))
    return sessions


def _members(record: Record, run: Path, sessions: Mapping[int, list[int]]) -> list[int]:
    """The process and those of its session, while they run.

    If the process itself has gone, its number may have been given to a stranger: then only those count whose
    environment says that this lab started them.
    """
    leader, members = _stat(record.pid), sessions.get(record.pid, [])
    if leader is None:
        return [pid for pid in members if _is_ours(pid, run)]
    return members if leader.started == record.started else []


def _is_ours(pid: int, run: Path) -> bool:
    try:
        return f"{MARK}={run}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _signal(targets: Iterable[Record], run: Path, number: signal.Signals) -> None:
    sessions = _sessions()
    for record in targets:
        for pid in _members(record, run, sessions):
            try:
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)  # a frozen process would not hear of it
            except ProcessLookupError:
                continue


def tail(path: Path | str, lines: int = 12) -> str:
    """The last lines of a log, indented, under its path."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
            text = file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError as error:
        return f"  (no log: {error})"
    return "\n".join([f"  last lines of {path}:", *(f"  | {line[:300]}" for line in text)])


def check_alive(record: Record) -> None:
    """Raise ProcessDied, with the end of its log, unless the process runs."""
    if not record.alive:
        raise ProcessDied(f"{record.name} has ended\n{tail(record.log)}")
