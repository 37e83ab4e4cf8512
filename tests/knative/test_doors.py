"""Who is let in on a cluster: by signature, by Keystone, and by Knative's own tokens."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from shared.events import Event
from shared.store import AuditEntry, InboxEvent, Operation
from tests.knative.conftest import Sent
from tests.knative.support.cluster import Cluster
from tests.knative.support.world import World
from tests.support.openstack import LabUnderTest

DRAIN = "io.drover.drain.requested"
FEATURES = ("configmap/config-features", "knative-eventing")
BROKER_AUDIENCE = "eventing.knative.dev/broker/drover/drover"


def plan(made: Sent) -> Event:
    """A request that changes nothing."""
    return made(DRAIN, {"cloud": "lab", "host": "cmp01", "reason": "door", "dry_run": True})


def reasons(code: int, answer: object) -> None:
    """The answer refuses, as JSON, with a sentence."""
    assert answer.status_code == code, answer.text  # type: ignore[attr-defined]
    assert answer.json()["error"]  # type: ignore[attr-defined]


class TestSharedSecret:
    """Where Knative gives no tokens."""

    def test_nobody_gets_in_unasked(self, world: World, cluster: Cluster, made: Sent) -> None:
        """Without a credential nothing is read and nothing is taken."""
        event = plan(made)
        reasons(401, cluster.to_service(event, "migrate"))
        reasons(401, cluster.read("migrate", {"operations": ""}))
        reasons(401, cluster.to_service(event, "keeper"))
        reasons(401, cluster.read("keeper", {"letters": ""}))
        assert world.rows(InboxEvent, id=event.id) == []

    def test_a_signed_event(self, world: World, cluster: Cluster, made: Sent) -> None:
        """An event with the right signature is let in; changed on the way it is not."""
        event = world.sign(plan(made))
        assert cluster.to_service(event, "migrate").headers["ce-type"] == "io.drover.drain.planned"
        other = Event(**{**{name: getattr(event, name) for name in event.__slots__}, "id": str(uuid.uuid4())})
        reasons(401, cluster.to_service(other, "migrate"))

    def test_the_tick_key_is_for_ticks(self, world: World, cluster: Cluster, made: Sent) -> None:
        """The key that everybody may read who may read PingSources starts nothing."""
        [ping] = [each for each in cluster.get("pingsources")["items"] if each["metadata"]["name"] == "tick"]
        key = ping["spec"]["ceOverrides"]["extensions"]["drovertick"]
        tick = made("io.drover.tick", drovertick=key)
        assert cluster.to_service(tick, "migrate").status_code in (200, 204)
        data = {"cloud": "lab", "host": "cmp01", "reason": "by the tick key"}
        reasons(403, cluster.to_service(made(DRAIN, data, drovertick=key), "migrate"))
        assert world.rows(Operation, reason="by the tick key") == []


class TestPeople:
    """Persons come with a token of their own."""

    @pytest.fixture(scope="class")
    def keystone(self, world: World, lab_session: LabUnderTest) -> Iterator[dict[str, str]]:
        """A door that asks the lab's Keystone; gives the headers of its admin."""
        url = f"http://{world.machine}:{lab_session.lab.port('keystone')}/v3"
        world.configure(
            "shared-secret", DROVER_KEYSTONE_URL=url, DROVER_KEYSTONE_PROJECTS="admin@Default", DROVER_PLAIN_HTTP="true"
        )
        world.apply()
        yield {"X-Auth-Token": str(lab_session.conn.auth_token)}
        world.configure("shared-secret")
        world.apply()

    def test_the_audit_names_the_person(
        self, world: World, cluster: Cluster, lab: LabUnderTest, made: Sent, keystone: dict[str, str]
    ) -> None:
        """Who acts by Keystone token is on record with his own name, whatever the event says."""
        lab.fill("cmp06", 1)
        event = made(DRAIN, {"cloud": "lab", "host": "cmp06", "reason": "by a person", "requester": "somebody else"})
        answer = cluster.to_service(event, "migrate", keystone)
        assert answer.headers.get("ce-type") == "io.drover.drain.accepted", answer.text
        [operation] = world.rows(Operation, reason="by a person")
        assert "admin" in operation.requester
        assert {row.who for row in world.rows(AuditEntry, operation_id=operation.id)} == {operation.requester}
        document = cluster.read("migrate", {"operation": operation.id}, keystone).json()
        assert document["requester"] == operation.requester
        cluster.wait("its end", lambda: world.rows(Operation, id=operation.id)[0].finished_at, 180)

    def test_somebody_elses_token(self, cluster: Cluster, made: Sent, keystone: dict[str, str]) -> None:
        """A token that Keystone does not know opens nothing."""
        reasons(401, cluster.read("migrate", {"operations": ""}, {"X-Auth-Token": "gAAAA" + "x" * 80}))


class TestOidc:
    """Where Knative gives its deliveries tokens."""

    @pytest.fixture(scope="class")
    def oidc(self, world: World) -> Iterator[None]:
        """Eventing with tokens, and Drover behind the door of the component `oidc` alone."""
        name, namespace = FEATURES
        world.cluster.patch(name, {"data": {"authentication-oidc": "enabled"}}, namespace)
        world.cluster.kubectl("delete", "trigger", "witness", "--ignore-not-found")
        world.configure("oidc")
        world.apply()
        yield
        world.cluster.patch(name, {"data": {"authentication-oidc": "disabled"}}, namespace)
        world.clear()
        world.configure("shared-secret")
        world.apply()
        world.watch()

    def token(self, cluster: Cluster, audience: str, account: str = "default") -> dict[str, str]:
        """The header of a service account's token."""
        token = cluster.kubectl("create", "token", account, "--audience", audience).strip()
        return {"Authorization": f"Bearer {token}"}

    def test_the_broker_wants_a_token(self, cluster: Cluster, made: Sent, oidc: None) -> None:
        """The broker takes nothing from somebody without a token, or with one for something else."""
        assert cluster.to_broker(plan(made)).status_code == 401
        wrong = self.token(cluster, "eventing.knative.dev/broker/drover/other")
        assert cluster.to_broker(plan(made), wrong).status_code == 401

    def test_a_delivery_is_let_in(
        self, world: World, cluster: Cluster, lab: LabUnderTest, made: Sent, oidc: None
    ) -> None:
        """An event with a token for the broker gets in by the Trigger's token; a drain runs to its end."""
        lab.fill("cmp01", 2)
        event = made(DRAIN, {"cloud": "lab", "host": "cmp01", "reason": "by oidc"})

        def sent() -> bool:
            return cluster.to_broker(event, self.token(cluster, BROKER_AUDIENCE)).status_code == 202

        cluster.wait("a broker that takes tokens", sent, 60)
        [row] = cluster.wait("taken", lambda: world.rows(InboxEvent, id=event.id), 60)
        assert row.outcome == "accepted", row.reason
        operation = cluster.wait(
            "the end", lambda: next((o for o in world.rows(Operation, reason="by oidc") if o.finished_at), None), 180
        )
        assert operation.state == "succeeded", operation.note

    @pytest.mark.parametrize(
        ("audience", "account"), [("keeper.drover", "default"), ("migrate.drover", "default"), ("", "")],
        ids=["wrong audience", "wrong account", "no token"],
    )  # fmt: skip
    def test_others_are_not(
        self, world: World, cluster: Cluster, made: Sent, oidc: None, audience: str, account: str
    ) -> None:
        """A token for another audience, of another service account, or none at all opens nothing."""
        event = plan(made)
        headers = self.token(cluster, audience, account) if audience else {}
        answer = cluster.to_service(event, "migrate", headers)
        assert answer.status_code in (401, 403)
        assert answer.json()["error"]
        assert world.rows(InboxEvent, id=event.id) == []
