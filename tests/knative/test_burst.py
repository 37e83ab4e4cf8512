"""A thousand events at once: each has its effect once, none is lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from shared.events import Event
from shared.store import DeadLetter, InboxEvent, Operation, OperationState
from tests.knative.conftest import Sent
from tests.knative.support.cluster import Cluster
from tests.knative.support.world import World
from tests.support.openstack import LabUnderTest

DRY_RUNS, WRONG, NOBODYS, UNKNOWN_HOSTS = 150, 400, 250, 50
HOSTS = ("cmp01", "cmp02", "cmp03", "cmp04")
ALL = 1000
SENDERS = 20
SECONDS = 600.0


@pytest.fixture
def burst(world: World, made: Sent) -> list[Event]:
    """The events, in any order; what is missing to a thousand are second deliveries."""

    def drain(host: str, **options: object) -> Event:
        return made("io.drover.drain.requested", {"cloud": "lab", "host": host, "reason": "burst", **options})

    unique = [drain("cmp05", dry_run=True) for _ in range(DRY_RUNS)]
    unique += [drain("cmp05", concurrency=0) for _ in range(WRONG)]
    unique += [drain(f"no-such-host-{number}") for number in range(UNKNOWN_HOSTS)]
    nobody = {"operation": "no-such-operation", "reason": "burst"}
    unique += [made("io.drover.operation.pause.requested", nobody) for _ in range(NOBODYS)]
    unique += [drain(host) for host in HOSTS]
    dice = random.Random(4711)
    signed = [world.sign(event) for event in unique]
    signed += dice.choices(signed, k=ALL - len(signed))
    dice.shuffle(signed)
    return signed


def test_a_thousand_events(
    world: World, cluster: Cluster, lab: LabUnderTest, burst: list[Event], capsys: pytest.CaptureFixture[str]
) -> None:
    """Dry runs, drains, wrong ones and duplicates: each is answered once, the drains are done once, nothing is left."""
    servers = [server.id for server in lab.fill(",".join(HOSTS), 2)]
    cluster.wait("zero pods of migrate", lambda: not cluster.pods("migrate"), 240)
    expected = {event.id for event in burst}
    begin, started = datetime.now(UTC), time.monotonic()
    with ThreadPoolExecutor(SENDERS) as pool:
        statuses = Counter(pool.map(lambda event: cluster.to_broker(event).status_code, burst))
    sent = time.monotonic() - started
    assert statuses == {202: ALL}

    def taken() -> list[InboxEvent]:
        rows = [row for row in world.rows(InboxEvent) if row.id in expected]
        return rows if len(rows) == len(expected) else []

    rows = cluster.wait("all of them taken", taken, SECONDS, poll=2.0)
    with capsys.disabled():
        report(sorted((row.received_at - begin).total_seconds() for row in rows), sent)
    outcomes = Counter(row.outcome for row in rows)
    assert outcomes == {"accepted": DRY_RUNS + len(HOSTS), "rejected": WRONG + NOBODYS + UNKNOWN_HOSTS}
    drains = cluster.wait("the drains done", lambda: finished(world), SECONDS)
    done = {(drain.target, drain.state) for drain in drains}
    assert done == {(host, OperationState.SUCCEEDED) for host in HOSTS}
    assert len(drains) == len(HOSTS)
    assert set(moves(lab).values()) == {1}
    assert {server for server, _ in moves(lab)} == set(servers)
    cluster.wait(
        "every answer seen", lambda: answers(world) == (DRY_RUNS, len(HOSTS), len(expected) - DRY_RUNS - 4), 60
    )
    assert world.rows(DeadLetter) == []


def moves(lab: LabUnderTest) -> Counter[tuple[str, str]]:
    """How often each server left each host; what came to a host before its own drain leaves once more with that."""
    rows = lab.conn.compute.get("/os-migrations", microversion="2.80").json()["migrations"]
    return Counter((row["instance_uuid"], row["source_compute"]) for row in rows)


def finished(world: World) -> list[Operation]:
    """The drains, once all of them have ended."""
    found = world.rows(Operation, reason="burst")
    return found if found and all(operation.finished_at for operation in found) else []


def report(times: list[float], sent: float) -> None:
    """The figures, in seconds since the first event was sent."""
    print(  # noqa: T201 the figures are what one wants to read of it
        f"\nburst: {ALL} events sent in {sent:.1f} s; first taken after {times[0]:.1f} s (cold start), half of them "
        f"after {times[len(times) // 2]:.1f} s, all after {times[-1]:.1f} s: {len(times) / times[-1]:.1f} a second"
    )


def answers(world: World) -> tuple[int, int, int]:
    """How many different answers the witness saw: plans, acceptances, refusals."""
    seen = world.witness.deliveries
    plans = {each.id for each in seen if each.type == "io.drover.drain.planned"}
    accepted = {each.id for each in seen if each.type == "io.drover.drain.accepted" and each.data["reason"] == "burst"}
    refused = {each.data["event"] for each in seen if each.type.endswith(".rejected")}
    return len(plans), len(accepted), len(refused)
