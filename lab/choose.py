"""Turn what was given on the command line into a lab's options; what was not given stays as it was."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lab import layout
from lab.errors import LabError
from lab.layout import Lab, Options


@dataclass(frozen=True)
class Given:
    """Options as they were typed; None was not given."""

    computes: int | None = None
    cap: int | None = None
    seconds: float | None = None
    zones: str | None = None
    aggregates: list[str] | None = None
    host_vcpus: int | None = None
    host_memory_mb: int | None = None
    host_disk_gb: int | None = None


def lab(directory: Path, given: Given, port_base: int | None) -> Lab:
    """The lab of the directory with the options given, made if there is none.

    Raises:
        LabError: an option is wrong, or can't be changed any more.
    """
    if not layout.exists(directory):
        return layout.create(directory, options(Options(), given), port_base or layout.DEFAULT_PORT_BASE)
    found = layout.load(directory)
    if port_base not in (None, found.port_base):
        raise LabError(
            f"the lab in {directory} has the ports from {found.port_base} on, which can't be changed: "
            "leave --port-base out, or make another lab with another --dir"
        )
    chosen = replace(found, options=options(found.options, given))
    if chosen != found:
        chosen.save()
    return chosen


def options(before: Options, given: Given) -> Options:
    """The options before, changed by those given. Computes are added, never removed."""
    values: dict[str, Any] = before.model_dump()
    plain = {name: value for name, value in vars(given).items() if value is not None}
    if "computes" in plain:
        fresh = before == Options()
        plain["computes"] = given.computes if fresh else max(before.computes, plain["computes"])
    if "zones" in plain:
        plain["zones"] = _zones(plain["zones"])
    if "aggregates" in plain:
        plain["aggregates"] = dict(_aggregate(text) for text in plain["aggregates"])
    try:
        chosen = Options.model_validate(values | plain)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise LabError(f"wrong options: {found}") from error
    unknown = {host for hosts in chosen.aggregates.values() for host in hosts} - set(chosen.hosts)
    if unknown:
        hosts = f"{chosen.hosts[0]} to {chosen.hosts[-1]}"
        raise LabError(f"no such hosts in --aggregate: {', '.join(sorted(unknown))}; there are {hosts}")
    return chosen


def _zones(text: str) -> tuple[str, ...]:
    """The zones of `az1,az2`; Nova's default zone `nova` alone needs no aggregate."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    return () if names == ("nova",) else names


def _aggregate(text: str) -> tuple[str, tuple[str, ...]]:
    name, sign, hosts = text.partition("=")
    if not sign or not name or not hosts:
        raise LabError(f"--aggregate {text!r}: expected NAME=HOST,HOST such as ssd=cmp01,cmp02")
    return name, tuple(host.strip() for host in hosts.split(",") if host.strip())
