"""Find out whether the lab's ports are free, and who has them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from lab.errors import PortTaken

LISTEN = "0A"
"""State of a listening socket in /proc/net/tcp (include/net/tcp_states.h)."""


def is_open(port: int, timeout: float = 0.5) -> bool:
    """Whether something accepts connections on a loopback port."""
    with socket.socket() as probe:
        probe.settimeout(timeout)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def check_free(wanted: Iterable[tuple[str, int]]) -> None:
    """Raise PortTaken, naming who listens, if one of the (service, port) pairs is in use."""
    taken = [f"  {name} needs port {port}: {owner(port)}" for name, port in wanted if is_open(port)]
    if taken:
        advice = "end what uses them, or give a new lab another --dir and --port-base"
        raise PortTaken("\n".join(["ports are taken:", *taken, advice]))


def owner(port: int) -> str:
    """Who listens on a port, as far as this user may see."""
    inodes = set(_listeners(port))
    for process in Path("/proc").glob("[0-9]*"):
        try:
            links = set(_links(process / "fd"))
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if inodes & links:
            return f"used by pid {process.name} ({command[:80]})"
    return "used by a process of another user"


def _links(directory: Path) -> Iterable[str]:
    for link in directory.iterdir():
        with suppress(OSError):  # closed since
            yield link.readlink().name


def _listeners(port: int) -> Iterable[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                yield f"socket:[{fields[9]}]"
