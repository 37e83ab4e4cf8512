"""Why no host can take a server, in one sentence, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WORDS: Mapping[str, tuple[str, str, str]] = {
    "VCPU": ("vCPUs", "1 vCPU", "{} vCPUs"),
    "PCPU": ("dedicated CPUs", "1 dedicated CPU", "{} dedicated CPUs"),
    "MEMORY_MB": ("memory", "1 MB of memory", "{} MB of memory"),
    "DISK_GB": ("disk", "1 GB of disk", "{} GB of disk"),
}
"""How an operator calls a resource class: alone, one of it, several; others go by Placement's name."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """So many hosts fall out for one reason."""

    hosts: int
    text: str
    """Fits after the number: "3 lack trait X"."""


def amounts(missing: Mapping[str, int]) -> str:
    """`{"MEMORY_MB": 4096, "VGPU": 1}` as "4096 MB of memory and 1 VGPU"."""
    return " and ".join(_amount(kind, amount) for kind, amount in sorted(missing.items()))


def _amount(kind: str, amount: int) -> str:
    _, one, several = WORDS.get(kind, (kind, f"1 {kind}", f"{{}} {kind}"))
    return one if amount == 1 else several.format(amount)


def explain(
    hosts: int, exclusions: Sequence[Exclusion], lacking: int, best: str | None, missing: Mapping[str, int]
) -> tuple[str, str]:
    """The reason ("of 5 hosts: 2 disabled, 1 lacks trait HW_X, …") and the way out.

    `hosts`: all but the source. `lacking`: those that only lack room; `best` of them lacks `missing`.
    """
    if hosts == 0:
        return "there is no other host", "add a host"
    parts = [f"{exclusion.hosts} {exclusion.text}" for exclusion in exclusions]
    if best is None:
        return f"of {_hosts(hosts)}: {', '.join(parts)}", "enable or add a host that it may use"
    kinds = " and ".join(WORDS[kind][0] if kind in WORDS else kind for kind in sorted(missing))
    short = f"{lacking} {'lacks' if lacking == 1 else 'lack'} {kinds}: {amounts(missing)} missing on the best, {best}"
    return (
        f"of {_hosts(hosts)}: {', '.join([*parts, short])}",
        f"free {amounts(missing)} on {best}, or enable or add a host that it may use",
    )


def _hosts(number: int) -> str:
    return f"{number} host" if number == 1 else f"{number} hosts"
