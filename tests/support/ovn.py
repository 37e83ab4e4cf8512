"""A real OVN without a kernel's help: its databases, ovn-northd, and chassis with switches and tunnels in userspace.

Every chassis is an Open vSwitch of its own with dummy devices, as in OVN's own test suite (`tests/ovn-macros.at`).
Their tunnels run over Unix sockets through one more switch, so that BFD tells them who lives.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

PROGRAMS = (
    "ovsdb-server", "ovsdb-tool", "ovsdb-client", "ovs-vswitchd", "ovs-vsctl", "ovs-appctl",
    "ovn-northd", "ovn-controller", "ovn-nbctl", "ovn-sbctl", "setpriv",
)  # fmt: skip
SECONDS = 30
"""How long one command, or one wait, may take."""


class OvnMissing(Exception):
    """There is no OVN on this machine."""


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def schema_file(name: str) -> Path:
    """The file of a database's schema."""
    for place in ("/usr/share/ovn", "/usr/share/openvswitch"):
        if (path := Path(place) / name).exists():
            return path
    raise OvnMissing(f"found no {name} in /usr/share/ovn or /usr/share/openvswitch; run `script/setup test`")


def until(true: Callable[[], bool], what: str, seconds: float = SECONDS) -> None:
    """Wait until something is so.

    Raises:
        AssertionError: it is not in time.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


class Programs:
    """Programs that are started in one directory, and stopped in the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def environment(self) -> Mapping[str, str]:
        """What keeps all of OVN's and OVS' files in the directory."""
        places = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "OVN_RUNDIR", "OVN_LOGDIR", "OVN_DBDIR")
        return {**os.environ, "PATH": _path(), **dict.fromkeys(places, str(self.directory))}

    def run(self, *command: str | Path) -> str:
        """Run one to its end; what it printed."""
        done = subprocess.run(
            [*map(str, command)], env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def start(self, name: str, *command: str | Path) -> None:
        """Start one that stays."""
        # whatever becomes of the tests, it does not outlive them
        command = ("setpriv", "--pdeathsig", "KILL", "--", *command)
        log = (self.directory / f"{name}.log").open("ab")
        self._running[name] = subprocess.Popen(
            [*map(str, command)], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        log.close()

    def stop(self, name: str, sign: signal.Signals = signal.SIGTERM) -> None:
        """Stop one."""
        process = self._running.pop(name)
        process.send_signal(sign)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def close(self) -> None:
        """Stop all, the last one first."""
        for name in reversed(list(self._running)):
            self.stop(name, signal.SIGKILL)

    def database(self, name: str, schema: str, *options: str) -> Path:
        """Start an OVSDB server with an empty database; its Unix socket."""
        path = self.directory / f"{name}.db"
        self.run("ovsdb-tool", "create", path, schema_file(schema))
        return self.serve(name, path, *options)

    def serve(self, name: str, path: Path, *options: str) -> Path:
        """Start an OVSDB server with a database that exists; its Unix socket."""
        socket_path = self.directory / f"{name}.sock"
        control = f"--unixctl={self.directory / f'{name}.ctl'}"
        self.start(name, "ovsdb-server", path, f"--remote=punix:{socket_path}", control, *options)
        until(socket_path.exists, f"{name} listens")
        return socket_path


class Switch(Programs):
    """One Open vSwitch with dummy devices."""

    def begin(self) -> None:
        """Start it."""
        self.sock = self.database("conf", "vswitch.ovsschema")
        self.vsctl("--no-wait", "init")
        # no kernel: devices of the type `system` are dummies, tunnels stay tunnels
        options = ("--enable-dummy=system", "--disable-system", "--disable-system-route")
        self.start("switch", "ovs-vswitchd", f"unix:{self.sock}", *options, f"--unixctl={self._control}")
        until(self._control.exists, "the switch answers")

    @property
    def _control(self) -> Path:
        return self.directory / "switch.ctl"

    def vsctl(self, *arguments: str) -> str:
        """ovs-vsctl on it."""
        return self.run("ovs-vsctl", f"--db=unix:{self.sock}", "--timeout=20", *arguments)

    def appctl(self, *arguments: str) -> str:
        """ovs-appctl on it."""
        return self.run("ovs-appctl", "-t", self._control, *arguments)


class Chassis(Switch):
    """A switch that ovn-controller makes part of the cloud."""

    def __init__(self, directory: Path, number: int) -> None:
        super().__init__(directory)
        self._number = number
        self.name, self.hostname, self.address = f"chassis-{number}", f"net{number}", f"192.168.0.{number}"

    def join(self, southbound: Path, middle: Switch) -> None:
        """Start it, connected with the others."""
        self.begin()
        self._to_the_others(middle, self._number)
        identity = {
            "system-id": self.name, "hostname": self.hostname, "ovn-remote": f"unix:{southbound}",
            "ovn-encap-type": "geneve", "ovn-encap-ip": self.address, "ovn-bridge-mappings": "physnet:br-phys",
        }  # fmt: skip
        self.vsctl("set", "Open_vSwitch", ".", *(f"external-ids:{key}={value}" for key, value in identity.items()))
        self.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "fail-mode=secure")
        self.control()

    def control(self) -> None:
        """Start its ovn-controller."""
        self.start("controller", "ovn-controller", f"unix:{self.sock}")

    def leave(self) -> None:
        """Stop ovn-controller in the orderly way, in which it takes its chassis out of the cloud."""
        pid = self._running["controller"].pid
        self.run("ovs-appctl", "-t", self.directory / f"ovn-controller.{pid}.ctl", "exit")
        self._running.pop("controller").wait(10)

    def _to_the_others(self, middle: Switch, number: int) -> None:
        cable = middle.directory / f"cable-{number}"
        passive = ("set", "interface", f"p{number}", f"options:pstream=punix:{cable}")
        middle.vsctl("add-port", "br", f"p{number}", "--", *passive)
        until(cable.exists, "the middle switch listens")
        mac = f"hwaddr=aa:bb:cc:00:00:{number:02x}"
        self.vsctl("add-br", "br-phys", "--", "set", "bridge", "br-phys", f"other-config:{mac}")
        self.vsctl("add-port", "br-phys", "up", "--", "set", "interface", "up", f"options:stream=unix:{cable}")
        self.appctl("netdev-dummy/ip4addr", "br-phys", f"{self.address}/24")
        self.appctl("ovs/route/add", f"{self.address}/24", "br-phys")


Room = TypeVar("Room", bound=Programs)


class Ovn:
    """One running OVN.

    Args:
        chassis: how many there are; they are called net1, net2, … and chassis-1, chassis-2, …
    """

    def __init__(self, chassis: int = 3) -> None:
        missing = [program for program in PROGRAMS if not shutil.which(program, path=_path())]
        if missing:
            raise OvnMissing(
                f"found no {', '.join(missing)} in PATH; these tests start an OVN of their own: run `script/setup "
                "test`, or apt-get install ovn-central ovn-host openvswitch-switch"
            )
        self.directory = Path(tempfile.mkdtemp(prefix="drover-ovn-"))
        self._rooms: list[Programs] = []
        try:
            self._start(chassis)
        except BaseException:
            self.close()
            raise

    def _start(self, chassis: int) -> None:
        central = self._add(Programs(self.directory / "central"))
        self.ports = {"nb": free_port(), "sb": free_port()}
        sockets = {
            kind: central.database(kind, f"ovn-{kind}.ovsschema", f"--remote=ptcp:{port}:127.0.0.1")
            for kind, port in self.ports.items()
        }
        self._central, self._sockets = central, sockets
        databases = (f"--ovnnb-db=unix:{sockets['nb']}", f"--ovnsb-db=unix:{sockets['sb']}")
        central.start("northd", "ovn-northd", *databases, f"--unixctl={central.directory / 'northd.ctl'}")
        self.nbctl("init")
        self.sbctl("init")
        middle = self._add(Switch(self.directory / "middle"))
        middle.begin()
        middle.vsctl("add-br", "br")
        names = [(number, self.directory / f"chassis-{number}") for number in range(1, chassis + 1)]
        self.chassis = [self._add(Chassis(directory, number)) for number, directory in names]
        for one in self.chassis:
            one.join(sockets["sb"], middle)

    def _add(self, room: Room) -> Room:
        self._rooms.append(room)
        return room

    @property
    def northbound(self) -> str:
        """The address of the northbound database."""
        return f"tcp:127.0.0.1:{self.ports['nb']}"

    @property
    def southbound(self) -> str:
        """The address of the southbound database."""
        return f"tcp:127.0.0.1:{self.ports['sb']}"

    def nbctl(self, *arguments: str) -> str:
        """ovn-nbctl."""
        return self._central.run("ovn-nbctl", f"--db=unix:{self._sockets['nb']}", "--timeout=20", *arguments)

    def sbctl(self, *arguments: str) -> str:
        """ovn-sbctl."""
        return self._central.run("ovn-sbctl", f"--db=unix:{self._sockets['sb']}", "--timeout=20", *arguments)

    def carrier(self, port: str) -> str:
        """The name of the chassis that a port of the southbound database is bound to; empty: none."""
        found = self.sbctl("--bare", "--columns=chassis", "find", "Port_Binding", f"logical_port={port}")
        return self.sbctl("get", "Chassis", found, "name").strip('"') if found else ""

    def close(self) -> None:
        """Stop everything, and remove it."""
        for room in reversed(self._rooms):
            room.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def router(ovn: Ovn, name: str, *priorities: int) -> str:
    """Make a logical router with a gateway port whose candidates are `Gateway_Chassis`; the port's name.

    Args:
        priorities: of chassis-1, chassis-2, …
    """
    port = f"lrp-{name}"
    commands: list[str] = ["lr-add", f"neutron-{name}", "--"]
    commands += ["lrp-add", f"neutron-{name}", port, "02:00:00:00:00:01", "172.16.0.1/24"]
    for number, priority in enumerate(priorities, 1):
        commands += ["--", "lrp-set-gateway-chassis", port, f"chassis-{number}", str(priority)]
    ovn.nbctl(*commands)
    return port


def grouped_router(ovn: Ovn, name: str, *priorities: int) -> str:
    """The same with an `HA_Chassis_Group`, which a port of type `external` on a switch shares; the group's name."""
    group = f"neutron-{name}"
    ovn.nbctl("ha-chassis-group-add", group)
    for number, priority in enumerate(priorities, 1):
        ovn.nbctl("ha-chassis-group-add-chassis", group, f"chassis-{number}", str(priority))
    found = ovn.nbctl("--bare", "--columns=_uuid", "find", "HA_Chassis_Group", f"name={group}")
    mac = "02:00:00:00:00:02"
    ovn.nbctl(
        *("lr-add", group, "--", "lrp-add", group, f"lrp-{name}", mac, "172.16.1.1/24", "--"),
        *("set", "Logical_Router_Port", f"lrp-{name}", f"ha_chassis_group={found}", "--"),
        *("ls-add", f"net-{name}", "--", "lsp-add", f"net-{name}", f"bare-{name}", "--"),
        *("lsp-set-type", f"bare-{name}", "external", "--"),
        *("set", "Logical_Switch_Port", f"bare-{name}", f"ha_chassis_group={found}"),
    )
    return group


def free_port() -> int:
    """A port of the loopback interface that nobody uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
