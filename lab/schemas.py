"""Make the databases' tables and keystone's first user, each once, what is independent side by side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import database
from lab.config.ini import database as connection
from lab.config.ini import transport
from lab.errors import LabError
from lab.install import find_program
from lab.layout import Lab
from lab.processes import tail
from lab.progress import Progress

SECONDS = 600
"""After this long a migration counts as stuck."""
POLL = 0.2
TABLES = {
    "nova": ("nova_api", "nova_cell0", "nova"),
    "neutron": ("neutron",),
    "keystone": ("keystone",),
    "glance": ("glance",),
    "placement": ("placement",),
}
"""Services and their databases, those first that take longest."""


def make_mariadb(lab: Lab) -> None:
    """The empty data directory of MariaDB, made anew if a run before was interrupted."""
    data = lab.data / "mariadb"
    if (data / "mysql").exists() and is_done(lab, "mariadb"):
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
    mark(lab, "mariadb")


def make_tables(lab: Lab, progress: Progress) -> None:
    """The tables of all services, and keystone's keys and first user."""
    missing = [name for name in TABLES if not is_done(lab, name)]
    if not missing:
        return
    with progress.step("making the databases' tables") as tell, ThreadPoolExecutor(len(missing)) as pool:
        futures = {name: pool.submit(_make, lab, name) for name in missing}
        while left := [name for name, future in futures.items() if not future.done()]:
            tell(f"{', '.join(left)} to go")
            time.sleep(POLL)
        for future in futures.values():
            future.result()


def _make(lab: Lab, name: str) -> None:
    """The tables of one service; from nothing, if a run before was interrupted."""
    begun = _marker(lab, f"{name}.begun")
    if begun.exists():
        anew = (f"DROP DATABASE IF EXISTS {it}; CREATE DATABASE {it} CHARACTER SET utf8mb4;" for it in TABLES[name])
        database.execute(lab, "\n".join(anew))
    begun.touch()
    MAKERS[name](lab)
    mark(lab, name)


def _nova(lab: Lab) -> None:
    cell0 = str(connection(lab, "nova_cell0")["connection"])
    cell1 = ("--database_connection", str(connection(lab, "nova")["connection"]), "--transport-url", transport(lab))
    commands = [
        ("api_db", "sync"),
        ("cell_v2", "map_cell0", "--database_connection", cell0),
        ("db", "sync"),
        ("cell_v2", "create_cell", "--name", "cell1", *cell1),
    ]
    _manage(lab, "nova", "nova.cmd.manage", (f"--config-file={lab.etc}/nova/nova.conf",), commands)


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
    owner = (f"--keystone-user={os.geteuid()}", f"--keystone-group={os.getegid()}")
    addresses = (f"--bootstrap-{kind}-url={lab.url('keystone')}/v3" for kind in ("admin", "internal", "public"))
    password = f"--bootstrap-password={lab.passwords['admin']}"
    commands = [
        ("db_sync",),
        ("fernet_setup", *owner),
        ("credential_setup", *owner),
        ("bootstrap", password, "--bootstrap-region-id=lab", *addresses),
    ]
    _manage(lab, "keystone", "keystone.cmd.manage", (f"--config-file={lab.etc}/keystone.conf",), commands)


def _manage(lab: Lab, name: str, module: str, options: tuple[str, ...], commands: Sequence[tuple[str, ...]]) -> None:
    """Run the commands of one of OpenStack's programs, see lab.inside.manage."""
    program = f"{name}-manage"
    words = json.dumps([[program, *options, *command] for command in commands])
    _run(lab, name, lab.program("python"), "-m", "drover_lab.manage", module, words=words)


def _run(lab: Lab, name: str, *command: str, words: str = "") -> None:
    """Run one command of a migration; its output goes to the log `schema-NAME.log`."""
    log = lab.log / f"schema-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            code = subprocess.run(
                command, input=words.encode(), stdout=output, stderr=output, timeout=SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise LabError(f"the tables of {name} took more than {SECONDS} s\n{tail(log)}") from error
    if code:
        raise LabError(f"making the tables of {name} failed with exit code {code}\n{tail(log)}")


def _marker(lab: Lab, name: str) -> Path:
    path = lab.data / "schemas" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def is_done(lab: Lab, name: str) -> bool:
    """Whether something that is made once has been made."""
    return _marker(lab, name).exists()


def mark(lab: Lab, name: str) -> None:
    """Remember that it has been made."""
    _marker(lab, name).touch()


MAKERS: dict[str, Callable[[Lab], None]] = {
    "nova": _nova,
    "neutron": _neutron,
    "keystone": _keystone,
    "glance": _glance,
    "placement": _placement,
}
