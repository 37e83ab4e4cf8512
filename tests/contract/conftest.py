"""The contract's two clouds. DROVER_CONTRACT: `simulator` or `lab` takes that one only; unset, the lab if it is up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from lab.simulator.clock import RunningClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.control import Control
from lab.simulator.script import parse
from lab.simulator.server import Door
from tests.contract.stage import Stage
from tests.support.network_nodes import network_nodes

if TYPE_CHECKING:
    from openstack.connection import Connection

SPEED = 12.0
"""How much faster than the lab the simulated cloud lives."""


class SimulatedBackstage:
    """Behind the simulated cloud."""

    moment = 0.01

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud

    def faults(self, servers: dict[str, dict[str, Any]]) -> None:
        """As `Backstage`."""
        with self._cloud.front.lock:
            self._cloud.obey(parse({"servers": servers}, "the test"))

    def kill(self, host: str) -> None:
        """As `Backstage`."""
        with self._cloud.front.lock:
            self._cloud.kill_host(host)

    @contextmanager
    def network_nodes(self) -> Iterator[None]:
        """As `Backstage`."""
        network = self._cloud.network
        with self._cloud.front.lock:
            agents = [network.add_agent(kind, host) for host in ("net01", "net02") for kind in ("l3", "dhcp")]
        yield
        with self._cloud.front.lock:
            for agent in agents:
                network.forget(agent)

    def restart(self, host: str) -> None:
        """As `Backstage`."""
        with self._cloud.front.lock:
            self._cloud.kill_host(host)
            self._cloud.revive_host(host)


class LabBackstage:
    """Behind the lab."""

    moment = 0.15

    def __init__(self, lab: Any, connection: Connection) -> None:
        self._lab = lab
        self._connection = connection

    def faults(self, servers: dict[str, dict[str, Any]]) -> None:
        """As `Backstage`."""
        from lab import faults

        faults.save(self._lab.faults_yaml, faults.Faults.model_validate({"servers": servers}))

    def kill(self, host: str) -> None:
        """As `Backstage`."""
        from lab import computes

        computes.kill(self._lab, host, "dead")
        computes.wait_for_state(self._lab, host, "down", lambda _text: None)

    @contextmanager
    def network_nodes(self) -> Iterator[None]:
        """As `Backstage`."""
        with network_nodes(self._lab, self._connection):
            yield

    def restart(self, host: str) -> None:
        """As `Backstage`."""
        import time

        from lab import computes, processes

        def runs() -> bool:
            record = processes.record_of(self._lab.run, host)
            return record is not None and record.alive

        computes.kill(self._lab, host, "dead")
        end = time.monotonic() + 30
        while runs():
            assert time.monotonic() < end, f"{host} does not end"
            time.sleep(0.1)
        computes.revive(self._lab, host)


def _chosen() -> str | None:
    chosen = os.environ.get("DROVER_CONTRACT")
    assert chosen in (None, "", "simulator", "lab", "both"), (
        f"DROVER_CONTRACT is {chosen!r}, expected simulator, lab or both"
    )
    return chosen or None


def _lab_is_up() -> bool:
    from lab import layout, ports

    try:
        lab = layout.load(layout.default_directory())
        return ports.is_open(int(lab.url("nova").rpartition(":")[2]))
    except Exception:
        return False


@pytest.fixture(scope="session", params=["simulator", pytest.param("lab", marks=pytest.mark.lab)])
def cloud(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """One of the two clouds, for all tests."""
    chosen = _chosen()
    if chosen not in (None, "both", request.param):
        pytest.skip(f"DROVER_CONTRACT is {chosen}")
    if request.param == "simulator":
        yield from _simulated()
        return
    if chosen is None and not _lab_is_up():
        pytest.skip("the lab is not up: `drover lab up --computes 6`, or DROVER_CONTRACT=lab")
    yield from _real()


@pytest.fixture
def stage(cloud: Stage) -> Iterator[Stage]:
    """The cloud, with nothing of another test in it."""
    yield cloud
    cloud.forget()


def _simulated() -> Iterator[Stage]:
    fake = SimulatedCloud(RunningClock(SPEED))
    for host in Stage.hosts:
        fake.add_host(host, vcpus=256)
    door = Door(fake.front, Control(fake))
    door.start()
    try:
        yield Stage(_connect(door.base, "admin"), _connect(door.base, "demo"), SimulatedBackstage(fake))
    finally:
        door.close()


def _connect(base: str, user: str) -> Connection:
    from openstack.config import OpenStackConfig
    from openstack.connection import Connection

    from lab.simulator.run import cloud_entry

    config = OpenStackConfig(load_yaml_config=False, load_envvars=False)
    return Connection(config=config.get_one(**cloud_entry(base, user)), compute_api_version="2.1")


def _real() -> Iterator[Stage]:
    from lab import choose, layout, lifecycle
    from lab import cloud as lab_cloud
    from lab.progress import SilentProgress
    from lab.reset import reset

    directory = layout.default_directory()
    with lifecycle.locked(directory):
        lab = choose.lab(directory, choose.Given(computes=6, cap=1, seconds=2.0), None)
        lifecycle.up(lab, SilentProgress())
    reset(lab)
    connection = lab_cloud.connect(lab)
    yield Stage(connection, lab_cloud.connect(lab, "lab-user"), LabBackstage(lab, connection))
    reset(lab)
