"""The script of faults: what is to go wrong in the simulated cloud, with whom, and when.

`servers` and `hosts` are those of the lab's faults file; `requests` and `timeline` a simulator alone can do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.errors import LabError
from lab.faults import HostFault, ServerFault
from lab.simulator.records import Fault
from lab.simulator.trouble import Rule

Service = Literal["identity", "compute", "placement", "network", "load-balancer", "image"]
Seconds = Annotated[float, Field(ge=0, le=10**7)]


class Part(BaseModel):
    """What all parts have in common: nothing may be written into them that is not understood."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RequestFault(Part):
    """What becomes of the requests that fit."""

    service: Service | None = None
    method: Literal["GET", "POST", "PUT", "DELETE"] | None = None
    path: str = "*"
    """A shell pattern for the path below the service's root: "/servers/*/action"."""
    action: str | None = None
    """The body's first key: os-migrateLive."""
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    answer: Literal["lost", "dropped"] | None = None
    """`lost`: carried out, but the answer never comes. `dropped`: neither."""
    retry_after: Annotated[int, Field(ge=0, le=3600)] | None = None
    begin: Annotated[int, Field(ge=1)] = 1
    """The first such request that is struck, counted from 1."""
    every: Annotated[int, Field(ge=1)] = 1
    times: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_end(self) -> RequestFault:
        if (self.status is None) == (self.answer is None):
            raise ValueError("expected either `status` (as 503) or `answer` (lost, dropped)")
        return self


class Boot(Part):
    """Servers that appear, and perhaps vanish again."""

    host: str
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    name: str = "new"
    lives: Seconds | None = None
    """After so many seconds they are deleted."""


class Drain(Part):
    """Another operator who live-migrates all servers of a host, wherever the scheduler wants them."""

    host: str
    at_once: Annotated[int, Field(ge=1, le=100)] = 2


class Moment(Part):
    """Something that happens by itself, `at` so many seconds after the script came into force."""

    at: Seconds
    every: Annotated[float, Field(gt=0)] | None = None
    times: Annotated[int, Field(ge=1, le=100_000)] = 1
    """How often, `every` so many seconds."""
    kill: str | None = None
    """A host whose nova-compute dies."""
    revive: str | None = None
    boot: Boot | None = None
    delete: str | None = None
    """Servers by a shell pattern for their names: their owners delete them."""
    drain: Drain | None = None
    disable: str | None = None
    """A host that another operator takes out of service."""
    revoke_tokens: bool = False

    @model_validator(mode="after")
    def _one_thing(self) -> Moment:
        things = ("kill", "revive", "boot", "delete", "drain", "disable", "revoke_tokens")
        found = [name for name in things if getattr(self, name)]
        if len(found) != 1:
            raise ValueError(f"expected one of {', '.join(things)}; found {', '.join(found) or 'none'}")
        if self.times > 1 and self.every is None:
            raise ValueError("`times` needs `every`")
        return self


class Script(Part):
    """The whole file."""

    microversion: Annotated[str, Field(pattern=r"^2\.\d{1,3}$")] | None = None
    """Nova's newest microversion: 2.87, 2.95, 2.96, 2.100 are those of older releases."""
    page: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Nova's max_limit, 1000 by default."""
    token_seconds: Annotated[float, Field(gt=0)] | None = None
    """How long a token is valid; 3600 by default."""
    servers: dict[str, ServerFault] = {}
    hosts: dict[str, HostFault] = {}
    requests: tuple[RequestFault, ...] = ()
    timeline: tuple[Moment, ...] = ()

    def faults(self) -> dict[str, Fault]:
        """The servers' faults as the world knows them."""
        return {key: _fault(fault) for key, fault in self.servers.items()}

    def rules(self) -> list[Rule]:
        """The requests' faults as the front knows them."""
        return [Rule(**request.model_dump()) for request in self.requests]


def _fault(fault: ServerFault) -> Fault:
    return Fault(
        seconds=fault.seconds,
        stalled=fault.stalled,
        precheck=fault.fail == "pre-check",
        prepare=fault.fail == "prepare",
        fails=fault.fail == "migration",
        kills_source=fault.kill == "source",
        kills_target=fault.kill == "target",
        spawn=fault.spawn,
        spawn_seconds=fault.spawn_seconds,
        times=fault.times,
        targets=frozenset(fault.targets),
    )


def load(path: Path) -> Script:
    """Read a script.

    Raises:
        LabError: there is no such file, or it is wrong; says where.
    """
    try:
        text = path.read_text()
        content = yaml.safe_load(text)
        tree = yaml.compose(text, yaml.SafeLoader)
    except FileNotFoundError as error:
        raise LabError(f"there is no file {path}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LabError(f"{path} is no YAML: {error}") from error
    return parse(content or {}, str(path), tree)


def parse(content: Any, where: str, tree: yaml.Node | None = None) -> Script:
    """Check a script.

    Args:
        content: parsed YAML or JSON.
        where: how to call its origin.
        tree: the nodes of the YAML, by which a line can be named.

    Raises:
        LabError: it is wrong; names each place by line, if that is known, and by path.
    """
    try:
        return Script.model_validate(content)
    except ValidationError as error:
        found = [_told(where, item["loc"], item["msg"], tree) for item in error.errors()]
        raise LabError("\n".join(found)) from error


def _told(where: str, place: tuple[int | str, ...], message: str, tree: yaml.Node | None) -> str:
    line = _line(tree, place)
    path = ".".join(map(str, place)) or "the whole"
    return f"{where}{f':{line}' if line else ''}: {path}: {message}"


def _line(node: yaml.Node | None, place: tuple[int | str, ...]) -> int | None:
    """The line of the innermost node that is on the way to the place."""
    if node is None:
        return None
    line = node.start_mark.line + 1
    for step in place:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(step)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
