"""The cluster that these tests run on, the one that KUBECONFIG names, with Drover deployed on it as its manifests say.

CONTRIBUTING.md says what the cluster needs ("Tests on a cluster").
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.events import Event
from shared.store import create
from tests.knative.support.cluster import Cluster, programs_missing
from tests.knative.support.receiver import Receiver
from tests.knative.support.world import NAMESPACE, World
from tests.support.openstack import LabUnderTest, open_lab
from tests.support.postgres import Postgres

Sent = Callable[..., Event]


@pytest.fixture(scope="session")
def reachable() -> None:
    """There is a cluster with Knative."""
    missing = programs_missing()
    if missing:
        pytest.fail(f"these tests need a cluster with Knative Eventing and Serving: set KUBECONFIG to one ({missing})")


@pytest.fixture
def receiver(cluster: Cluster) -> Iterator[Receiver]:
    """A subscriber on this machine; it takes what comes unless the test says otherwise."""
    receiver = Receiver(cluster.machine())
    yield receiver
    receiver.close()


@pytest.fixture
def made() -> Sent:
    """Makes an event with an id of its own."""

    def make(type: str, data: Any = None, *, id: str = "", **extensions: str) -> Event:
        return Event(id or str(uuid.uuid4()), "/tests/knative", type, data or {}, extensions=extensions)

    return make


@pytest.fixture(scope="session")
def lab_session() -> LabUnderTest:
    """One OpenStack for all tests."""
    return open_lab()


@pytest.fixture
def lab(lab_session: LabUnderTest) -> Iterator[LabUnderTest]:
    """The OpenStack, clean before the test and after it."""
    lab_session.reset()
    yield lab_session
    lab_session.reset()


@pytest.fixture(scope="session")
def world(reachable: None, lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Drover on the cluster, behind the door of the shared secret. DROVER_KEEP=1 leaves it there."""
    postgres = Postgres()
    create(postgres.url).close()
    world = World(tmp_path_factory.mktemp("world"), Cluster(NAMESPACE), lab_session.lab, postgres)
    try:
        world.clear()
        try:
            world.configure("shared-secret")
            world.apply()
            world.watch()
            yield world
        finally:
            if os.environ.get("DROVER_KEEP") != "1":
                world.cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")
    finally:
        world.cluster.close()
        world.close()
        postgres.close()


@pytest.fixture
def cluster(world: World) -> Cluster:
    """The namespace that Drover lives in."""
    return world.cluster
