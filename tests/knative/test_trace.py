"""Captures of a real OpenStack's RPC, asked for by events: pods read the firehose, and nothing stays armed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from functions.rpc_trace.own import WATCH_QUEUE
from shared.rabbit import QUEUE, Management, find_broker
from shared.store import InboxEvent, Operation, OperationState
from tests.knative.conftest import Sent
from tests.knative.support.cluster import Cluster
from tests.knative.support.world import World
from tests.support.openstack import LabUnderTest

TRACE, WATCH = "io.drover.trace.requested", "io.drover.trace-watch.requested"
SECONDS = 40
"""Of the capture: a server is booted meanwhile."""


@pytest.fixture(scope="module")
def broker(world: World, lab_session: LabUnderTest) -> Iterator[Management]:
    """The lab's RabbitMQ, which the functions know for as long as these tests run."""
    file = lab_session.lab.clouds_yaml.with_name("brokers.yaml")
    world.know_brokers(file.read_text(), lab_session.lab)
    yield Management(find_broker("lab", {"DROVER_BROKERS_FILE": str(file)}))
    world.forget_brokers()


def test_all_is_captured_while_a_server_boots(
    world: World, cluster: Cluster, lab: LabUnderTest, broker: Management, made: Sent
) -> None:
    """The completed fact has the calls of the boot, every one answered; the firehose is off and the queue gone."""
    event = made(TRACE, {"cloud": "lab", "reason": "slow boots", "mode": "full", "seconds": SECONDS})
    world.send(event)
    cluster.wait("armed", lambda: any(broker.tracing().values()), 120)
    lab.fill("cmp01", 1)
    [row] = world.rows(InboxEvent, id=event.id)
    [completed] = _ended(world, str(row.operation_id))
    assert completed["state"] == "succeeded"
    report = completed["summary"]["report"]
    assert report["coverage"] == 100.0
    assert report["unanswered"] == 0
    methods = {method["method"]: method for method in report["methods"]}
    assert methods["select_destinations"]["calls"] == 1
    assert methods["build_and_run_instance"]["casts"] == 1
    assert not any(broker.tracing().values())
    assert broker.queue(QUEUE) is None


def test_watch_goes_on_until_it_is_cancelled(world: World, cluster: Cluster, broker: Management, made: Sent) -> None:
    """Rounds follow by the keeper's ticks alone, whoever began it; a cancelled watch leaves no queue."""
    world.send(made(WATCH, {"cloud": "lab", "reason": "all day", "every": 10, "seconds": 5}))
    watch = cluster.wait("a watch", lambda: _watches(world), 120)[0]
    cluster.wait("two rounds", lambda: len(_watches(world)[0].memo.get("rounds", ())) >= 2, 240)
    assert _watches(world)[0].memo["totals"]
    world.send(made("io.drover.operation.cancel.requested", {"operation": watch.id, "reason": "seen enough"}))
    cluster.wait(
        "the end of the watch", lambda: world.rows(Operation, id=watch.id, state=OperationState.CANCELLED), 120
    )
    assert broker.queue(WATCH_QUEUE) is None


def _watches(world: World) -> list[Operation]:
    return [found for found in world.rows(Operation, kind="trace-watch") if not found.finished_at]


def _ended(world: World, operation_id: str) -> list[dict[str, Any]]:
    """The data of what the witness saw at the end of an operation."""

    def seen() -> list[dict[str, Any]]:
        facts = [each.data for each in world.witness.deliveries if each.type == "io.drover.trace.completed"]
        return [fact for fact in facts if fact["operation"] == operation_id]

    return world.cluster.wait("the end of the capture", seen, SECONDS + 90)
