"""Octavia behind a connection: found in the catalogue, or not there at all; its own words in what it refuses."""

from __future__ import annotations

import pytest

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from shared.clouds import Refused
from shared.errors import Retry


@pytest.fixture
def fake() -> SimulatedCloud:
    """A cloud with one host and one load balancer."""
    fake = SimulatedCloud(SteppedClock())
    fake.add_host("cmp01")
    fake.octavia.add_balancer("web", {"STANDALONE": "cmp01"})
    return fake


def test_it_is_found_without_a_request_of_its_own(fake: SimulatedCloud) -> None:
    """The token's catalogue has the endpoint."""
    cloud = fake.cloud()
    api = cloud.load_balancer
    assert api is not None
    assert len(list(api.pages("/v2/octavia/amphorae", "amphorae"))) == 1
    assert cloud.requests["load-balancer"] == 1


def test_a_cloud_without_octavia(fake: SimulatedCloud) -> None:
    """None, and nobody is asked for it."""
    del fake.keystone.endpoints["load-balancer"]
    cloud = fake.cloud()
    assert cloud.load_balancer is None
    assert cloud.requests["load-balancer"] == 0


def test_its_own_sentence_is_told(fake: SimulatedCloud) -> None:
    """Octavia words its errors in a form of its own."""
    (balancer,) = fake.octavia.balancers.values()
    balancer.provisioning = "PENDING_UPDATE"
    (amphora,) = fake.octavia.amphorae
    api = fake.cloud().load_balancer
    assert api is not None
    with pytest.raises(Refused, match=f"Load Balancer {balancer.id} is immutable and cannot be updated"):
        api.put(f"/v2/octavia/amphorae/{amphora}/failover")


def test_keystone_is_away(fake: SimulatedCloud) -> None:
    """Without a token the catalogue is not known: that is no cloud without Octavia."""
    from shared.clouds import Cloud

    cloud = Cloud("fake", fake.region(), inner=fake.wire, sleep=fake.clock.sleep)
    fake.unreachable = True
    with pytest.raises(Retry):
        _ = cloud.load_balancer
    fake.unreachable = False
    assert cloud.load_balancer is not None
