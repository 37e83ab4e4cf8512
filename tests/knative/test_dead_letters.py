"""Events that could not be delivered are kept, shown, and replayed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from shared.store import DeadLetter, InboxEvent
from tests.knative.conftest import Sent
from tests.knative.support.cluster import Cluster
from tests.knative.support.receiver import Reaction, Receiver
from tests.knative.support.world import World

BROKEN = "io.drover.test.broken"


@pytest.fixture
def broken(world: World, cluster: Cluster, receiver: Receiver) -> Iterator[None]:
    """A subscriber that takes nothing for now; its dead letters go where the Broker says."""
    receiver.react = lambda _: Reaction(422, b'{"error": "the password=hunter2 does not fit"}')
    trigger = {
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"name": "broken", "namespace": cluster.namespace},
        "spec": {"broker": "drover", "filter": {"attributes": {"type": BROKEN}}, "subscriber": {"uri": receiver.url}},
    }  # fmt: skip
    cluster.apply(trigger)
    cluster.ready("trigger/broken")
    yield
    cluster.kubectl("delete", "trigger", "broken")


def test_kept_shown_and_replayed(world: World, cluster: Cluster, made: Sent, receiver: Receiver, broken: None) -> None:
    """A dead letter is kept with what the subscriber said, without its secrets; a replay delivers the event again."""
    event = world.sign(made(BROKEN, {"host": "cmp01"}))
    cluster.to_broker(event)
    [letter] = cluster.wait("kept", lambda: world.rows(DeadLetter, event_id=event.id), 60)
    assert (letter.type, letter.code) == (BROKEN, 422)
    assert "does not fit" in letter.answer
    assert "hunter2" not in json.dumps(letter.model_dump(mode="json"))
    receiver.react = lambda _: Reaction()
    before = len(receiver.of(id=event.id))
    world.send(made("io.drover.replay.requested", {"letters": [letter.id], "reason": "it is mended"}))
    cluster.wait("delivered again", lambda: len(receiver.of(id=event.id)) > before, 60)
    again = receiver.of(id=event.id)[-1]
    assert (again.data, again.type, again.headers["ce-source"]) == (event.data, event.type, event.source)
    assert cluster.wait("marked", lambda: world.rows(DeadLetter, event_id=event.id)[0].replayed_at, 30)


def test_what_nobody_signed_is_not_kept(world: World, cluster: Cluster, made: Sent) -> None:
    """An event without a signature is refused by the function, and by the keeper when it comes as a dead letter."""
    data = {"cloud": "lab", "host": "cmp06", "reason": "in by the window"}
    event = made("io.drover.drain.requested", data)
    assert cluster.to_broker(event).status_code == 202
    signed = made("io.drover.drain.requested", {**data, "dry_run": True})
    world.send(signed)
    cluster.wait("the signed one taken", lambda: world.rows(InboxEvent, id=signed.id), 60)
    assert world.rows(InboxEvent, id=event.id) == []
    assert world.rows(DeadLetter, event_id=event.id) == []
