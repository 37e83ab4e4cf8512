"""Make the databases' tables and keystone's first user, each once, what is independent side by side."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.config.ini import database, transport
from lab.errors import LabError
from lab.install import find_program
from lab.layout import Lab
from lab.processes import tail
from lab.progress import Progress

SECONDS = 600
"""After this long a migration counts as stuck."""


def make_mariadb(lab: Lab) -> None:
    """The empty data directory of MariaDB, made in a place aside so that a broken one is not taken for whole."""
    data = lab.data / "mariadb"
    if (data / "mysql").exists() and _done(lab, "mariadb"):
        return
    shutil.rmtree(data, ignore_errors=True)
    data.parent.mkdir(parents=True, exist_ok=True)
    program = find_program("mariadb-install-db") or "mariadb-install-db"
    _run(
        lab,
        "mariadb",
        program,
        f"--defaults-file={lab.etc}/mariadb.cnf",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    )
    _mark(lab, "mariadb")


def make_tables(lab: Lab, progress: Progress) -> None:
    """The tables of all services, and keystone's keys and first user."""
    tasks = {"nova": _nova, "neutron": _neutron, "keystone": _keystone, "glance": _glance, "placement": _placement}
    missing = {name: task for name, task in tasks.items() if not _done(lab, name)}
    if not missing:
        return
    with progress.step("making the databases' tables") as tell, ThreadPoolExecutor(len(missing)) as pool:
        futures = {name: pool.submit(task, lab) for name, task in missing.items()}
        while left := [name for name, future in futures.items() if not future.done()]:
            tell(f"{', '.join(left)} to go")
            time.sleep(0.2)
        for name, future in futures.items():
            if future.exception() is None:
                _mark(lab, name)
        for future in futures.values():
            future.result()


def _nova(lab: Lab) -> None:
    config = f"--config-file={lab.etc}/nova/nova.conf"
    manage = (lab.program("nova-manage"), config)
    _run(lab, "nova", *manage, "api_db", "sync")
    cell0 = str(database(lab, "nova_cell0")["connection"])
    _run(lab, "nova", *manage, "cell_v2", "map_cell0", "--database_connection", cell0)
    _run(lab, "nova", *manage, "db", "sync")
    cell = str(database(lab, "nova")["connection"])
    create = ("cell_v2", "create_cell", "--name", "cell1", "--database_connection", cell)
    # Exit code 2: the cell is there already, from a run that was interrupted.
    _run(lab, "nova", *manage, *create, "--transport-url", transport(lab), accepted=(0, 2))


def _neutron(lab: Lab) -> None:
    files = (f"--config-file={lab.etc}/neutron/neutron.conf", f"--config-file={lab.etc}/neutron/ml2.ini")
    _run(lab, "neutron", lab.program("neutron-db-manage"), *files, "upgrade", "heads")


def _placement(lab: Lab) -> None:
    config = f"--config-file={lab.etc}/placement/placement.conf"
    _run(lab, "placement", lab.program("placement-manage"), config, "db", "sync")


def _glance(lab: Lab) -> None:
    config = f"--config-file={lab.etc}/glance/glance-api.conf"
    _run(lab, "glance", lab.program("glance-manage"), config, "db_sync")


def _keystone(lab: Lab) -> None:
    manage = (lab.program("keystone-manage"), f"--config-file={lab.etc}/keystone.conf")
    _run(lab, "keystone", *manage, "db_sync")
    owner = (f"--keystone-user={os.geteuid()}", f"--keystone-group={os.getegid()}")
    _run(lab, "keystone", *manage, "fernet_setup", *owner)
    _run(lab, "keystone", *manage, "credential_setup", *owner)
    address = f"{lab.url('keystone')}/v3"
    addresses = (f"--bootstrap-{kind}-url={address}" for kind in ("admin", "internal", "public"))
    password = f"--bootstrap-password={lab.passwords['admin']}"
    _run(lab, "keystone", *manage, "bootstrap", password, "--bootstrap-region-id=lab", *addresses)


def _run(lab: Lab, name: str, *command: str, accepted: tuple[int, ...] = (0,)) -> None:
    """Run one command of a migration; its output goes to the log `schema-NAME.log`."""
    log = lab.log / f"schema-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise LabError(f"the tables of {name} took more than {SECONDS} s\n{tail(log)}") from error
    if code not in accepted:
        what = Path(command[0]).name
        raise LabError(f"{what}, which makes the tables of {name}, failed with exit code {code}\n{tail(log)}")


def _done(lab: Lab, name: str) -> bool:
    return (lab.data / "schemas" / name).exists()


def _mark(lab: Lab, name: str) -> None:
    marker = lab.data / "schemas" / name
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.touch()
