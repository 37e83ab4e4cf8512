"""The fake hosts: what their supervisor reads, and killing or reviving one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from lab import cloud, faults, processes
from lab.config.nova import SERVICE_DOWN_TIME
from lab.errors import LabError
from lab.layout import Lab, private_text

if TYPE_CHECKING:
    from openstack.connection import Connection

SUPERVISOR = "computes"
POLL = 0.5


def write_settings(lab: Lab) -> bool:
    """What the supervisor, the driver and the agents read (`etc/computes.json`); True if it is new."""
    options = lab.options
    content = {
        "hosts": options.hosts,
        "seconds": options.seconds,
        "config": str(lab.etc / "nova" / "compute.conf"),
        "run": str(lab.run),
        "log": str(lab.log),
        "wait_for": [lab.url("keystone"), lab.url("placement")],
    }
    path, text = lab.etc / "computes.json", json.dumps(content, indent=2)
    if path.exists() and path.read_text() == text:
        return False
    private_text(path, text)
    return True


def is_compute(name: str) -> bool:
    """Whether a process's name is that of a fake host or of their supervisor."""
    return name == SUPERVISOR or name.startswith("cmp")


def start_missing(lab: Lab) -> None:
    """Ask the supervisor to read its settings again and to start the hosts that do not run.

    One that is not ready for the signal is about to do both anyway.
    """
    record = processes.record_of(lab.run, SUPERVISOR)
    if record and record.alive and processes.catches(record.pid, signal.SIGHUP):
        os.kill(record.pid, signal.SIGHUP)


def fallen(lab: Lab) -> list[str]:
    """Hosts that do not run, or are not meant to."""
    running = {record.name for record in processes.records(lab.run) if record.alive}
    faulty = faults.load(lab.faults_yaml).hosts
    return [host for host in lab.options.hosts if host in faulty or host not in running]


def kill(lab: Lab, host: str, state: Literal["dead", "frozen"]) -> None:
    """Let a host die or freeze; it stays so until it is revived."""
    _check(lab, host)
    faults.set_host(lab.faults_yaml, host, state)


def revive(lab: Lab, host: str) -> None:
    """Let a host come back, whether a fault or something else has ended it."""
    _check(lab, host)
    faults.set_host(lab.faults_yaml, host, None)
    start_missing(lab)


def wait_for_state(lab: Lab, host: str, state: Literal["up", "down"], tell: Callable[[str], None]) -> None:
    """Until Nova sees the host so; up counts only with a sign of life of the process that runs now.

    Raises:
        LabError: it does not in time.
    """
    conn = cloud.connect(lab)
    seconds = SERVICE_DOWN_TIME + 60
    deadline = time.monotonic() + seconds
    while (now := _state(lab, conn, host)) != state:
        tell(f"Nova says {now}")
        if time.monotonic() > deadline:
            record = processes.record_of(lab.run, host)
            log = processes.tail(record.log) if record else ""
            raise LabError(f"{host} is still {now} after {seconds} s, expected {state}\n{log}")
        time.sleep(POLL)


def _state(lab: Lab, conn: Connection, host: str) -> str:
    """up, down, or stale: up from before its process was started."""
    service = next(conn.compute.services(binary="nova-compute", host=host))
    if service.state != "up":
        return str(service.state)
    record = processes.record_of(lab.run, host)
    return "up" if record and record.alive and record.gave_sign(service.updated_at) else "stale"


def _check(lab: Lab, host: str) -> None:
    if host not in lab.options.hosts:
        raise LabError(f"the lab has no host {host}: it has {lab.options.hosts[0]} to {lab.options.hosts[-1]}")
