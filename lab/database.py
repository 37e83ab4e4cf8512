"""Speak SQL to the lab's MariaDB, where no API does what has to be done."""

from __future__ import annotations

import os
import subprocess

from lab.errors import LabError
from lab.install import find_program
from lab.layout import Lab

SECONDS = 60


def execute(lab: Lab, statements: str) -> None:
    """Run statements as the lab's user.

    Raises:
        LabError: MariaDB refuses one.
    """
    program = find_program("mariadb") or "mariadb"
    command = [program, "--no-defaults", "--protocol=TCP", "-h127.0.0.1", f"-P{lab.port('mariadb')}", "-ulab"]
    environment = {**os.environ, "MYSQL_PWD": lab.passwords["database"]}
    done = subprocess.run(
        command, input=statements, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if done.returncode:
        raise LabError(f"MariaDB refuses {statements!r}: {done.stderr.strip()}")
