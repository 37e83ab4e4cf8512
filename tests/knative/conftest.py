"""The cluster that these tests run on: the one that KUBECONFIG names. docs in CONTRIBUTING.md, "Tests on a cluster"."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from shared.events import Event
from tests.knative.support.cluster import Cluster, programs_missing
from tests.knative.support.receiver import Receiver

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
