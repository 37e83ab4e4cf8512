"""A drain on a real OpenStack, asked for by an event, carried by ticks and replies; pods come, go, and are killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shared.events import Event
from shared.store import AuditEntry, InboxEvent, Operation, OperationState
from tests.knative.conftest import Sent
from tests.knative.support.cluster import Cluster
from tests.knative.support.receiver import Delivery
from tests.knative.support.world import World
from tests.support.openstack import LabUnderTest

MINUTES = 60.0
DRAIN = "io.drover.drain.requested"
Drain = Callable[..., str]


@pytest.fixture
def drain(world: World, made: Sent) -> Drain:
    """Asks the broker for a drain; gives the operation's id."""

    def ask(host: str, **options: Any) -> str:
        data = {"cloud": "lab", "host": host, "reason": "a fan is broken", "requester": "nina", **options}
        event = made(DRAIN, data)
        world.send(event)
        row = world.cluster.wait("taken", lambda: world.rows(InboxEvent, id=event.id), 60)[0]
        assert row.outcome == "accepted", row.reason
        return str(row.operation_id)

    return ask


def ended(world: World, operation_id: str, seconds: float = 5 * MINUTES) -> Operation:
    """The operation, once it has ended."""

    def found() -> Operation | None:
        [operation] = world.rows(Operation, id=operation_id)
        return operation if operation.finished_at or operation.state == OperationState.HALTED else None

    operation = world.cluster.wait("the end of the drain", found, seconds)
    assert operation is not None
    return operation


def facts(world: World, word: str, operation_id: str) -> list[Delivery]:
    """What the witness saw of an operation."""
    seen = world.witness.of(type=f"io.drover.drain.{word}")
    return [delivery for delivery in seen if delivery.data["operation"] == operation_id]


def moves(lab: LabUnderTest, servers: list[str]) -> dict[str, int]:
    """How many migrations Nova knows of for each server."""
    answer = lab.conn.compute.get("/os-migrations", microversion="2.80").json()["migrations"]
    return {server: sum(row["instance_uuid"] == server for row in answer) for server in servers}


def test_a_drain_by_event(world: World, cluster: Cluster, lab: LabUnderTest, drain: Drain) -> None:
    """An event to the broker empties a host; each of its facts leaves through the broker."""
    servers = [server.id for server in lab.fill("cmp01", 6)]
    operation = ended(world, drain("cmp01"))
    assert (operation.state, operation.requester) == (OperationState.SUCCEEDED, "nina"), operation.note
    assert {lab.host_of(server) for server in servers}.isdisjoint({"cmp01"})
    assert moves(lab, servers) == dict.fromkeys(servers, 1)
    for word in ("accepted", "started", "completed"):
        cluster.wait(word, lambda word=word: facts(world, word, operation.id))


def test_nothing_runs_between(world: World, cluster: Cluster, lab: LabUnderTest, drain: Drain) -> None:
    """Without work the function goes to zero, and an event brings it back."""
    cluster.wait("zero pods of migrate", lambda: not cluster.pods("migrate"), 180)
    [server] = [server.id for server in lab.fill("cmp02", 1)]
    operation = ended(world, drain("cmp02"))
    assert operation.state == OperationState.SUCCEEDED, operation.note
    assert lab.host_of(server) != "cmp02"


def test_a_forgotten_drain_goes_on_by_ticks(world: World, cluster: Cluster, lab: LabUnderTest, drain: Drain) -> None:
    """A paused drain whose function sleeps goes on after a resume that came while nothing else was sent."""
    lab.fill("cmp03", 4)
    operation_id = drain("cmp03", concurrency=1)
    cluster.wait("started", lambda: world.rows(Operation, id=operation_id)[0].started_at)

    def control(verb: str) -> None:
        data = {"operation": operation_id, "reason": "customer called", "requester": "nina"}
        world.send(Event(f"{verb}-{operation_id}", "/tests/knative", f"io.drover.operation.{verb}.requested", data))

    control("pause")
    cluster.wait("paused", lambda: world.rows(Operation, id=operation_id, state=OperationState.PAUSED), 60)
    cluster.wait("zero pods of migrate", lambda: not cluster.pods("migrate"), 240)
    control("resume")
    assert ended(world, operation_id).state == OperationState.SUCCEEDED


def test_a_pod_killed_in_the_middle(world: World, cluster: Cluster, lab: LabUnderTest, drain: Drain) -> None:
    """A pod that is killed while its drain runs leaves nothing undone and does nothing twice."""
    servers = [server.id for server in lab.fill("cmp04", 8)]
    operation_id = drain("cmp04")
    killed = 0
    for moved in (1, 4):
        cluster.wait(
            f"{moved} moved",
            lambda number=moved: sum(host != "cmp04" for host in lab_hosts(lab, servers)) >= number,
            120,
        )
        for pod in cluster.pods("migrate"):
            cluster.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force")
            killed += 1
    assert killed >= 2
    operation = ended(world, operation_id)
    assert operation.state == OperationState.SUCCEEDED, operation.note
    assert moves(lab, servers) == dict.fromkeys(servers, 1)
    assert "cmp04" not in lab_hosts(lab, servers)


def lab_hosts(lab: LabUnderTest, servers: list[str]) -> list[str]:
    """Where the servers are."""
    rows = lab.servers()
    return [rows[server]["OS-EXT-SRV-ATTR:host"] for server in servers]


def test_the_same_event_twice(world: World, cluster: Cluster, lab: LabUnderTest, made: Sent) -> None:
    """A duplicate does nothing, and is answered as the first one was."""
    lab.fill("cmp05", 1)
    data = {"cloud": "lab", "host": "cmp05", "reason": "twice", "requester": "nina"}
    event = world.sign(made(DRAIN, data))
    for _ in range(3):
        assert cluster.to_broker(event).status_code == 202
    row = cluster.wait("taken", lambda: world.rows(InboxEvent, id=event.id), 60)[0]
    operation = ended(world, row.operation_id)
    assert operation.state == OperationState.SUCCEEDED
    assert len(world.rows(Operation, reason="twice")) == 1
    assert len({answer.id for answer in facts(world, "accepted", operation.id)}) == 1
    assert len(world.rows(AuditEntry, operation_id=operation.id, act="accept drain")) == 1
