"""What a server may have that forbids some ways of moving it, or that whoever reads a plan should know.

Sources: the decorators of `nova/compute/api.py` (`live_migrate`, `resize`, `evacuate`, `shelve`), the checks of
`nova/conductor/tasks/live_migrate.py`, and the sentences of `nova/exception.py`, of 2026.

What a snapshot does not show is left to Nova to refuse: Manila shares, the CPU model, disks in LVM (which bind a server
that is stopped), and what the image says of encryption and vTPM before microversion 2.98. `refused` knows such
refusals. Nor is shown whether the alias of a PCI device says `live_migratable`: every such device is taken to bind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from functions.migrate.model import Action, Verdict
from shared.fleet.snapshot import Server

SHELVE = "shelve it, which frees this host, and unshelve it elsewhere (it is down meanwhile)"

Version = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that a server has and that forbids some ways of moving it."""

    name: str
    """In the operator's words."""
    present: Callable[[Server], bool]
    live: bool = False
    cold: bool = True
    evacuate: bool = True
    live_from: Version | None = None
    """The compute microversion of the first release that migrates it live."""
    way_out: str = SHELVE
    """What a person can do where Nova moves it in no way."""

    def moves_live(self, version: Version | None) -> bool:
        """Whether it lets its server migrate live; None is a current Nova."""
        return self.live or (self.live_from is not None and (version is None or version >= self.live_from))


ACCELERATED = frozenset({"accelerator-direct", "accelerator-direct-physical"})
"""Kinds of ports whose device Cyborg manages: Nova neither moves nor shelves their servers."""

PASSED_THROUGH = frozenset({"direct", "direct-physical", "vdpa", "remote-managed"})
"""Kinds of ports whose device is taken from the guest for a live migration and given back on the target."""

FEATURES = (
    Feature(
        "port with an accelerator", lambda server: bool(server.vnic_types & ACCELERATED), cold=False, evacuate=False,
        way_out="detach the port (openstack server remove port), move it, and attach it again",
    ),
    Feature("memory encryption (SEV)", lambda server: _wants(server, "mem_encryption")),
    Feature("vTPM", lambda server: _has_bound_tpm(server)),
    Feature("vTPM", lambda server: _has_tpm(server), live=True, evacuate=False),
    Feature("PCI device", lambda server: _has_pci(server)),
    Feature("persistent memory", lambda server: bool(server.extra_specs.get("hw:pmem")), live_from=(2, 88)),
    Feature("vGPU, which migrates live from Nova 2024.1 on", lambda server: has_vgpu(server), live_from=(2, 96)),
    Feature("accelerator", lambda server: bool(server.extra_specs.get("accel:device_profile")), cold=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What Nova means when it will not move a server, and what a person can do."""

    reason: str
    way_out: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a server has which does not forbid a move, but that whoever reads the plan should know."""

    text: str
    present: Callable[[Server], bool]


NOTES = (
    Note("pinned CPUs: Nova itself looks for free ones on the target", lambda server: _is_pinned(server)),
    Note("huge pages: Nova itself looks for free ones on the target", lambda server: _has_huge_pages(server)),
    Note(
        "NUMA topology: Nova itself looks whether it fits the target",
        lambda server: _setting(server, "numa_nodes") != "",
    ),
    Note("PCI device: Nova itself looks for a free one on the target", lambda server: _has_pci(server)),
    Note(
        "persistent memory: Nova itself looks for a free namespace on the target",
        lambda server: bool(server.extra_specs.get("hw:pmem")),
    ),
    Note(
        "custom resources: what they are Nova does not say; vGPUs of that kind migrate live from Nova 2024.1 on",
        lambda server: any(kind.startswith("CUSTOM_") for kind in _classes(server)),
    ),
)
"""A plan cannot see NUMA cells and PCI devices: what does not fit is refused by Nova, and tried on another target."""

REFUSALS = (
    (
        "instances that have shares",
        _Refusal("a Manila share is attached", "stop it and detach the share (openstack server remove share)"),
    ),
    ("Ports that have accelerators", _Refusal("a port has an accelerator", FEATURES[0].way_out)),
    ("instances that have accelerators", _Refusal("it has an accelerator", SHELVE)),
    ("SEV-enabled", _Refusal("its memory is encrypted (SEV)", "stop it, then it is cold-migrated")),
    ("vTPM-enabled", _Refusal("it has a vTPM", "stop it, then it is cold-migrated")),
    ("vDPA ports", _Refusal("it has a vDPA port, and a nova-compute is older than 2022 (Zed)", "stop it first")),
)
"""Parts of Nova's own sentences (`nova/exception.py`) that no other target and no second try can help against."""


def first_feature(server: Server, forbids: Callable[[Feature], bool]) -> Feature | None:
    """The first feature of the server that forbids something."""
    return next((feature for feature in FEATURES if forbids(feature) and feature.present(server)), None)


def refused(message: str) -> Verdict | None:
    """What Nova's refusal means, if it will never move this server as it is; else None."""
    for part, known in REFUSALS:
        if part in message:
            reason = f"{known.reason}: Nova says {message!r}"
            return Verdict(Action.CANNOT, reason, f"{known.way_out}, then resume the drain")
    return None


def _wants(server: Server, name: str) -> bool:
    values = (server.extra_specs.get(f"hw:{name}"), server.image_properties.get(f"hw_{name}"))
    return any(str(value).lower() in ("true", "1", "yes", "on", "t", "y") for value in values if value is not None)


def _setting(server: Server, name: str) -> str:
    """What the flavor says, or else the image (Nova lets the image say only what the flavor leaves open)."""
    return str(server.extra_specs.get(f"hw:{name}") or server.image_properties.get(f"hw_{name}") or "").lower()


def _is_pinned(server: Server) -> bool:
    return _setting(server, "cpu_policy") in ("dedicated", "mixed")


def _has_huge_pages(server: Server) -> bool:
    return _setting(server, "mem_page_size") not in ("", "small", "any")


def _has_pci(server: Server) -> bool:
    return bool(server.extra_specs.get("pci_passthrough:alias"))


def _classes(server: Server) -> Iterator[str]:
    """The resource classes that the flavor asks for by name."""
    for key in server.extra_specs:
        group, _, kind = key.partition(":")
        if group.startswith("resources"):
            yield kind


def has_vgpu(server: Server) -> bool:
    return "VGPU" in _classes(server)


def _has_tpm(server: Server) -> bool:
    return bool(server.extra_specs.get("hw:tpm_version") or server.image_properties.get("hw_tpm_version"))


def _has_bound_tpm(server: Server) -> bool:
    """Only a secret that the hosts hold travels live; the default is the user's (`hw:tpm_secret_security`, 2026.1)."""
    return _has_tpm(server) and server.extra_specs.get("hw:tpm_secret_security") != "host"
