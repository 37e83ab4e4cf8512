"""Bring a lab up, take it down, remove it."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lab import cloud, computes, config, faults, health, install, layout, ports, processes, schemas, services
from lab.errors import LabError
from lab.layout import Lab
from lab.processes import Record, Service
from lab.progress import Progress

READY_SECONDS = 300
"""After this long a process that runs but does not answer counts as stuck."""
GRACE = {"computes": 1.0, "OpenStack": 1.0, "infrastructure": 20.0}
"""Groups of processes in the order they are stopped, and the seconds between SIGTERM and SIGKILL: OpenStack
has nothing to lose, since its state is in the database."""
POLL = 0.5


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Nobody else changes the lab meanwhile.

    Raises:
        LabError: somebody else does.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LabError(f"another `drover lab` command works on {directory}: wait until it has ended") from error
    finally:
        os.close(lock)
        with suppress(OSError):
            directory.rmdir()  # where there was and is no lab, nothing is left


def up(lab: Lab, progress: Progress) -> bool:
    """Start whatever is missing, with the lab's options, and wait until servers can be booted.

    Returns:
        False if all of it was up already, and as the options say.

    Raises:
        LabError: something can't be installed or started; names it, its log and the log's last lines.
    """
    new_code = install.install(lab, progress)
    running, gone = _running(lab), _gone(lab)
    changed = config.write(lab)
    new_settings = computes.write_settings(lab)
    cloud.write_clouds_yaml(lab)
    cloud.write_brokers_yaml(lab)
    _check_ports(lab, running)
    for directory in services.directories(lab):
        directory.mkdir(parents=True, exist_ok=True)
    if new_code or "nova/compute.conf" in changed:
        _stop_computes(lab, running, progress)
    started = _start_all(lab, gone, progress)
    if not started and not new_settings and not health.missing(lab):
        return False
    computes.start_missing(lab)
    with progress.step(f"waiting for {lab.options.computes} computes") as tell:
        _wait(lab, gone, lambda: health.missing(lab), tell)
    with progress.step("setting up the cloud's contents"):
        conn = cloud.connect(lab)
        cloud.fill_contents(conn)
        cloud.set_aggregates(lab, conn)
    return True


def _start_all(lab: Lab, gone: set[Record], progress: Progress) -> list[Record]:
    """Everything that does not run, in an order that works."""
    started = []
    with progress.step("making the database's directory"):
        schemas.make_mariadb(lab)
    with progress.step("starting MariaDB, RabbitMQ and memcached") as tell:
        started += _start(lab, gone, services.infrastructure(lab), tell)
    schemas.make_tables(lab, progress)
    with progress.step("starting OpenStack") as tell:
        keystone, *others = services.apis(lab)
        if not schemas.is_done(lab, "catalogue"):
            started += _start(lab, gone, [keystone], tell)
            cloud.fill_catalogue(lab, cloud.connect(lab))
            schemas.mark(lab, "catalogue")
        started += _start(lab, gone, [keystone, *others, *services.workers(lab)], tell)
    return started


def _start(lab: Lab, gone: set[Record], wanted: list[Service], tell: Callable[[str], None]) -> list[Record]:
    """Start those that do not run, then wait until all answer."""
    running = _running(lab)
    started = [
        processes.start(service, lab.run, lab.log, lab.directory) for service in wanted if service.name not in running
    ]
    waiting = [service for service in wanted if service.name not in running and (service.url or service.port)]
    _wait(lab, gone, lambda: [service.name for service in waiting if not _answers(service)], tell)
    return started


def _answers(service: Service) -> bool:
    if service.url is None:
        return service.port is None or ports.is_open(service.port)
    try:
        urllib.request.urlopen(service.url, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def _wait(lab: Lab, gone: set[Record], missing: Callable[[], list[str]], tell: Callable[[str], None]) -> None:
    """Until nothing is missing; a process that ends meanwhile is reported at once, not one that had `gone` before."""
    deadline = time.monotonic() + READY_SECONDS
    while left := missing():
        tell(f"{', '.join(left)} to go")
        for record in processes.records(lab.run):
            if record not in gone and not _faulty(lab, record.name):
                processes.check_alive(record)
        if time.monotonic() > deadline:
            culprit = processes.record_of(lab.run, left[0]) or processes.record_of(lab.run, computes.SUPERVISOR)
            log = processes.tail(culprit.log) if culprit else ""
            raise LabError(f"after {READY_SECONDS} s there is still no {', '.join(left)}\n{log}")
        time.sleep(POLL)


def _faulty(lab: Lab, name: str) -> bool:
    """Whether a host is meant to be down."""
    return name in faults.load(lab.faults_yaml).hosts


def _running(lab: Lab) -> dict[str, Record]:
    return {record.name: record for record in processes.records(lab.run) if record.alive}


def _gone(lab: Lab) -> set[Record]:
    """What ended before, and may have its turn to be started again only later: a machine that lost its power."""
    return {record for record in processes.records(lab.run) if not record.alive}


def _check_ports(lab: Lab, running: dict[str, Record]) -> None:
    wanted = {name: name.removesuffix("-management").removesuffix("-distribution") for name in layout.PORTS}
    ports.check_free((name, lab.port(name)) for name, owner in wanted.items() if owner not in running)


def _stop_computes(lab: Lab, running: dict[str, Record], progress: Progress) -> None:
    targets = [record for name, record in running.items() if computes.is_compute(name)]
    if targets:
        with progress.step("stopping the computes, whose settings have changed"):
            processes.stop(targets, lab.run, GRACE["computes"])


def down(lab: Lab, progress: Progress) -> int:
    """Stop every process of the lab; its data stay. Returns how many ran."""
    records = processes.records(lab.run)
    alive = sum(record.alive for record in records)
    if records:
        with progress.step(f"stopping {alive} processes") as tell:
            for group, grace in GRACE.items():
                tell(group)
                processes.stop([record for record in records if _group(record) == group], lab.run, grace)
    return alive


def _group(record: Record) -> str:
    """Which of the groups in GRACE a process belongs to."""
    if computes.is_compute(record.name):
        return "computes"
    return "infrastructure" if record.name in services.INFRASTRUCTURE else "OpenStack"


def destroy(directory: Path, progress: Progress) -> bool:
    """Stop the lab and remove its directory; False if there was none.

    Raises:
        LabError: the directory is no lab's.
    """
    if not layout.exists(directory):
        if directory.exists() and any(directory.iterdir()):
            raise LabError(f"{directory} holds no lab (no {layout.MARKER}): nothing was removed")
        return False
    try:
        lab = layout.load(directory)
    except LabError:
        lab = Lab(directory, layout.DEFAULT_PORT_BASE, layout.Options(), {})
    down(lab, progress)
    with progress.step(f"removing {directory}"):
        for path in directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        shutil.rmtree(directory)  # with its marker, last: until then it can be destroyed again
    return True
