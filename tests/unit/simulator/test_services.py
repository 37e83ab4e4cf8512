"""When a service's record was written, as it shows in `updated_at`."""

from __future__ import annotations

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from tests.unit.simulator.conftest import Asker

SERVICES = "/compute/v2.1/os-services"


def written(asker: Asker, host: str = "cmp01") -> str:
    """The `updated_at` of a host's service."""
    (service,) = asker.get(f"{SERVICES}?binary=nova-compute&host={host}")["services"]
    return str(service["updated_at"])


def test_a_dead_services_record_moves_only_when_it_is_changed(
    cloud: SimulatedCloud, clock: SteppedClock, asker: Asker
) -> None:
    """Its reports have ended: a PUT that changes something writes the record, one that changes nothing does not."""
    cloud.kill_host("cmp01")
    died = written(asker)
    clock.advance(100)
    assert written(asker) == died
    path = f"{SERVICES}/{cloud.host('cmp01').service_id}"
    assert asker.send("PUT", path, {"forced_down": True}).status == 200
    forced = written(asker)
    assert forced > died
    clock.advance(100)
    assert asker.send("PUT", path, {"forced_down": True}).status == 200
    assert written(asker) == forced


def test_a_living_services_record_moves_by_itself(clock: SteppedClock, asker: Asker) -> None:
    """Each report writes it."""
    before = written(asker)
    clock.advance(10)
    assert written(asker) > before
