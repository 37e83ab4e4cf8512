"""`drover lab simulate`: a fleet becomes a cloud that listens on a port, until it is told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.errors import PortTaken
from lab.layout import private_text
from lab.ports import owner
from lab.simulator import fleet, script
from lab.simulator.clock import RunningClock, SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.control import Control
from lab.simulator.keystone import REGION
from lab.simulator.server import Door

USERS = {"admin": "admin", "operator": "admin", "reader": "admin", "demo": "demo"}
"""The users of the simulated Keystone, and their projects."""
PASSWORD = "secret"
NAMES = {"simulated": "admin", "simulated-operator": "operator", "simulated-reader": "reader",
         "simulated-user": "demo"}  # fmt: skip
"""The clouds in the clouds.yaml, and who they are."""


@dataclass(frozen=True)
class Wish:
    """What is to be simulated."""

    fleet: Path
    directory: Path
    port: int = 22000
    """0 takes a free one."""
    speed: float = 1.0
    """How much faster than the wall's the cloud's time goes; 0 stands still until it is stepped."""
    faults: Path | None = None
    cap: int = 1
    """Live migrations at once from one host."""
    seconds: float | None = None
    """How long a live migration copies; None takes each server's own estimate from the fleet, or 2."""


@dataclass(frozen=True)
class Simulation:
    """A simulated cloud that listens."""

    cloud: SimulatedCloud
    door: Door
    clouds_yaml: Path

    def stop(self) -> None:
        """Close the port."""
        self.door.close()


def start(wish: Wish) -> Simulation:
    """Load the fleet, open the port, and write clouds.yaml.

    Raises:
        LabError: the fleet or the script is wrong, or the port is taken.
    """
    faults = script.load(wish.faults) if wish.faults else None
    clock = RunningClock(wish.speed) if wish.speed > 0 else SteppedClock()
    cloud = SimulatedCloud(clock, cap=wish.cap, seconds=2.0 if wish.seconds is None else wish.seconds)
    fleet.load(cloud, wish.fleet)
    if wish.seconds is not None:
        cloud.world.copies.clear()
    if faults is not None:
        cloud.obey(faults)
    try:
        door = Door(cloud.front, Control(cloud), wish.port)
    except OSError as error:
        raise PortTaken(f"port {wish.port} is taken: {owner(wish.port)}; give another --port-base") from error
    clouds_yaml = wish.directory / "clouds.yaml"
    wish.directory.mkdir(parents=True, exist_ok=True)
    entries = {name: cloud_entry(door.base, user) for name, user in NAMES.items()}
    private_text(clouds_yaml, yaml.safe_dump({"clouds": entries}, sort_keys=False))
    door.start()
    return Simulation(cloud, door, clouds_yaml)


def serve(wish: Wish, tell: Callable[[Simulation], None]) -> None:
    """Simulate until SIGTERM or Ctrl-C.

    Args:
        tell: called once the cloud listens.

    Raises:
        LabError: as `start`.
    """
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        simulation = start(wish)
        tell(simulation)
        stopped.wait()
        simulation.stop()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def cloud_entry(base: str, user: str) -> dict[str, Any]:
    """What a clouds.yaml says of the simulated cloud for one of its users."""
    return {
        "auth_type": "password",
        "auth": {
            "auth_url": f"{base}/identity/v3",
            "username": user,
            "password": PASSWORD,
            "project_name": USERS[user],
            "user_domain_name": "Default",
            "project_domain_name": "Default",
        },
        "region_name": REGION,
        "identity_api_version": "3",
    }
