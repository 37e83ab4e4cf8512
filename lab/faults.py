"""The faults file: what is to go wrong in the lab, and with whom.

It is read by the fake driver at every call and by the computes' supervisor several times a second, so that a change
works at once, also on a migration that runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lab.errors import LabError
from lab.layout import private_text


class ServerFault(BaseModel):
    """What is wrong with the servers whose id or name fits the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Annotated[float, Field(ge=0, le=86400)] | None = None
    """A live migration's copying takes this long, instead of the lab's own time."""
    stalled: bool = False
    """Memory remaining never falls below a part of it, until force-complete or abort."""
    fail: Literal["pre-check", "prepare", "migration"] | None = None
    """Where a live migration fails: in the target's check (status `error`), in the target's preparation (`error`), or
    half-way in the copying (`failed`)."""
    kill: Literal["source", "target"] | None = None
    """This compute dies during the server's live migration: the source half-way, the target as it prepares."""
    times: Annotated[int, Field(ge=1)] | None = None
    """`fail`, `kill` and `spawn` strike each server only the first so many times; without it, always."""
    targets: tuple[str, ...] = ()
    """`fail` and `kill` strike only when the server is to go to one of these hosts; without it, everywhere."""
    spawn: Literal["fail", "hang"] | None = None
    """A boot, a rebuild after an evacuation or a cold migration's end fails, or hangs until the fault is lifted."""
    spawn_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.0
    """A boot takes this much longer."""


class HostFault(BaseModel):
    """What is wrong with a host."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["dead", "frozen"]
    """dead: nova-compute is killed; frozen: it is stopped and says nothing. Its network agent is silent in both."""


class Faults(BaseModel):
    """The whole file. The first key that fits a server counts: its id, its name, or a shell pattern for its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    servers: dict[str, ServerFault] = {}
    hosts: dict[str, HostFault] = {}

    def describe(self) -> list[str]:
        """One line for each fault."""
        lines = [f"host {host}: {fault.state}" for host, fault in self.hosts.items()]
        for pattern, fault in self.servers.items():
            lines.append(f"servers {pattern}: {fault.model_dump(exclude_defaults=True, mode='json')}")
        return lines


def load(path: Path, must_exist: bool = False) -> Faults:
    """The faults of a lab; none if there is no file.

    Raises:
        LabError: the file is wrong; says where.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        if must_exist:
            raise LabError(f"there is no file {path}") from error
        return Faults()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LabError(f"{path} is no YAML: {error}") from error
    try:
        return Faults.model_validate(content or {})
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise LabError(f"{path} is wrong: {found}") from error


def save(path: Path, faults: Faults) -> None:
    """Replace the file in one step."""
    content = faults.model_dump(mode="json", exclude_defaults=True)
    private_text(path, yaml.safe_dump(content, sort_keys=False) if content else "{}\n")


def set_host(path: Path, host: str, state: Literal["dead", "frozen"] | None) -> None:
    """Give a host a fault, or lift it with None; the other faults stay."""
    faults = load(path)
    hosts = {name: fault for name, fault in faults.hosts.items() if name != host}
    if state is not None:
        hosts[host] = HostFault(state=state)
    save(path, Faults(servers=faults.servers, hosts=hosts))
