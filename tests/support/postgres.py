"""A PostgreSQL of the tests' own: a new cluster in a directory of its own, on a free loopback port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

SECONDS = 60
"""How long one command may take."""


class PostgresMissing(Exception):
    """There is no PostgreSQL server on this machine."""


def programs() -> Path:
    """The directory of `initdb` and `pg_ctl`: Debian's newest, or that of the `postgres` in PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    in_path = shutil.which("initdb") or shutil.which("postgres")
    if found:
        return found[-1].parent
    if in_path:
        return Path(in_path).resolve().parent
    raise PostgresMissing(
        "found no PostgreSQL server in /usr/lib/postgresql/*/bin or in PATH; these tests start one of their own: run "
        "`script/setup test`, or apt-get install postgresql"
    )


class Postgres:
    """One running server."""

    def __init__(self) -> None:
        self._bin = programs()
        self._user = _other_user() if os.geteuid() == 0 else None
        self.directory = Path(tempfile.mkdtemp(prefix="drover-postgres-"))
        if self._user:
            shutil.chown(self.directory, self._user)
        self.port = _free_port()
        self._data = self.directory / "data"
        try:
            self._run(
                "initdb", "-D", self._data, "-U", "drover", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"
            )
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Its address."""
        return f"postgresql://drover@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k '' -c fsync=off -c max_connections=60 -c shared_buffers=32MB"
        self._run("pg_ctl", "-D", self._data, "-l", self.directory / "log", "-w", "-t", "30", "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a crash would for its clients."""
        self._run("pg_ctl", "-D", self._data, "-w", "-t", "30", "-m", "immediate", "stop")

    def close(self) -> None:
        """Stop it, and remove everything."""
        try:
            if (self._data / "postmaster.pid").exists():
                self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *arguments: str | Path) -> None:
        command: Sequence[str] = [str(self._bin / program), *map(str, arguments)]
        if self._user:  # the server refuses to run as root
            command = ["runuser", "-u", self._user, "--", *command]
        output = self.directory / "output"
        with output.open("w") as file:  # no pipe: the server would keep it open
            done = subprocess.run(
                command, stdout=file, stderr=subprocess.STDOUT, timeout=SECONDS, cwd=self.directory, check=False
            )
        if done.returncode:
            log = self.directory / "log"
            told = output.read_text() + (log.read_text()[-2000:] if log.exists() else "")
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{told}")


def _other_user() -> str:
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
