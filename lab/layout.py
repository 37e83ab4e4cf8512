"""Where a lab lives: its directory, its ports, its options and its passwords, kept in `lab.json`."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import LabError

DEFAULT_PORT_BASE = 21000
PORTS = {
    "keystone": 0,
    "placement": 1,
    "glance": 2,
    "neutron": 3,
    "nova": 4,
    "mariadb": 10,
    "memcached": 11,
    "rabbitmq": 12,
    "rabbitmq-management": 13,
    "rabbitmq-distribution": 14,
    "epmd": 15,
}
"""Offset of every listener from the lab's port base."""

PASSWORDS = ("admin", "user", "service", "database", "rabbitmq", "metadata")
MARKER = "lab.json"

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


class Options(BaseModel):
    """What the operator chose for this lab; kept, so that a later `up` without options changes nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    computes: Annotated[int, Field(ge=1, le=99)] = 4
    cap: Annotated[int, Field(ge=1, le=100)] = 1
    """Nova's `max_concurrent_live_migrations` on every compute."""
    seconds: Annotated[float, Field(ge=0, le=3600)] = 2.0
    """How long the copying of memory takes in one fake live migration."""
    zones: tuple[Name, ...] = ()
    """Availability zones that the computes are dealt over; none means Nova's own default zone."""
    aggregates: dict[Name, tuple[Name, ...]] = {}
    """Host aggregates beside the zones: name and hosts."""
    host_vcpus: Annotated[int, Field(ge=1)] = 64
    host_memory_mb: Annotated[int, Field(ge=512)] = 256 * 1024
    host_disk_gb: Annotated[int, Field(ge=1)] = 2048

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of all computes, cmp01 first."""
        return tuple(f"cmp{number:02d}" for number in range(1, self.computes + 1))

    def zone_of(self, host: str) -> str | None:
        """The zone the host is dealt to, None for Nova's default zone."""
        if not self.zones:
            return None
        return self.zones[self.hosts.index(host) % len(self.zones)]


class LabFile(BaseModel):
    """The content of `lab.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port_base: Annotated[int, Field(ge=1024, le=65000)]
    options: Options
    passwords: dict[str, str]


@dataclass(frozen=True)
class Lab:
    """One lab: everything it has lies below `directory`."""

    directory: Path
    port_base: int
    options: Options
    passwords: dict[str, str]

    def port(self, service: str) -> int:
        """The port of a service named in PORTS."""
        return self.port_base + PORTS[service]

    def url(self, service: str) -> str:
        """The base address of one of the HTTP services."""
        return f"http://127.0.0.1:{self.port(service)}"

    @property
    def venv(self) -> Path:
        return self.directory / "venv"

    @property
    def run(self) -> Path:
        """The records of running processes, see lab.processes."""
        return self.directory / "run"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def etc(self) -> Path:
        return self.directory / "etc"

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def clouds_yaml(self) -> Path:
        return self.directory / "clouds.yaml"

    @property
    def faults_yaml(self) -> Path:
        return self.directory / "faults.yaml"

    def program(self, name: str) -> str:
        """Path of a program in the OpenStack venv."""
        return str(self.venv / "bin" / name)

    def save(self) -> None:
        """Write `lab.json`, readable by its owner only since it holds passwords."""
        content = LabFile(port_base=self.port_base, options=self.options, passwords=self.passwords)
        private_text(self.directory / MARKER, content.model_dump_json(indent=2) + "\n")


def private_text(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def default_directory() -> Path:
    """DROVER_LAB_DIR, or `drover/lab` in the user's cache directory."""
    if chosen := os.environ.get("DROVER_LAB_DIR"):
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("drover") / "lab"


def exists(directory: Path) -> bool:
    """Whether a lab was ever made in this directory."""
    return (directory / MARKER).is_file()


def load(directory: Path) -> Lab:
    """The lab of a directory.

    Raises:
        LabError: there is none, or its `lab.json` can't be read.
    """
    if not exists(directory):
        raise LabError(f"no lab in {directory}: make one with `drover lab up --dir {directory}`")
    try:
        content = LabFile.model_validate_json((directory / MARKER).read_text())
    except (ValidationError, OSError) as error:
        raise LabError(f"{directory / MARKER} can't be read ({error}); `drover lab destroy` removes the lab") from error
    return Lab(directory, content.port_base, content.options, content.passwords)


def create(directory: Path, options: Options, port_base: int = DEFAULT_PORT_BASE) -> Lab:
    """A new lab with passwords of its own; nothing is started.

    Raises:
        LabError: the directory holds other things already.
    """
    if directory.exists() and any(directory.iterdir()):
        raise LabError(f"{directory} is not empty and holds no lab: choose another one with --dir")
    lab = Lab(directory, port_base, options, {name: secrets.token_hex(12) for name in PASSWORDS})
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lab.save()
    return lab
