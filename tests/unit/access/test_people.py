"""People: whose name stands below a request, and how often Keystone is asked."""

from __future__ import annotations

from typing import Any

import pytest

from shared.store import AuditEntry, Operation
from tests.support.bench import Bench
from tests.support.doors import EVERYTHING, KEYSTONE, World, id_token, token

pytestmark = pytest.mark.filterwarnings("ignore:to_binary is deprecated")  # parliament's own call

LONG = "a" * 300


def walking(world: World) -> str:
    """An operation that lives."""
    answer = world.post(world.signed())
    assert answer.json is not None
    return str(answer.json["operation"])


def pause(world: World, operation: str, **headers: str) -> None:
    """A pause that claims to be somebody else's."""
    data = {"operation": operation, "reason": "coffee", "requester": "the boss"}
    answer = world.post(world.event("io.drover.operation.pause.requested", data, id="p"), **headers)
    assert answer.status_code == 200
    assert answer.headers["ce-type"] == "io.drover.operation.answered", answer.text


def who(world: World) -> str:
    """Who did the last act on record."""
    return world.bench.rows(AuditEntry)[-1].who


def test_nobody_signs_for_another(world: World) -> None:
    """Whatever a person's event says of its requester, the audit has the name that Keystone gave."""
    operation = walking(world)
    pause(world, operation, x_auth_token=world.web.person("t", "drover_operator"))
    assert who(world) == "ann@Default"


def test_a_provider_s_person_has_a_name_that_nobody_else_has(world: World) -> None:
    """People may choose their user names; the subject behind it is the provider's own."""
    operation = walking(world)
    pause(world, operation, authorization=f"Bearer {id_token('admin')}")
    assert who(world) == "ann (4711)"


def test_a_delivery_keeps_its_requester(world: World) -> None:
    """Who sends by the broker has proved who he is there; the event says in whose name he asks."""
    operation = walking(world)
    pause(world, operation, authorization=f"Bearer {token()}")
    assert who(world) == "the boss"


def test_long_names_fit_and_stay_apart(world: World) -> None:
    """A name that is too long for the record is cut, with a digest of all of it."""
    operation = walking(world)
    pause(world, operation, x_auth_token=world.web.person("t", "admin", name=LONG))
    assert len(who(world)) <= 200
    assert who(world).startswith("aaa")
    assert "sha256" in who(world)


def test_a_request_without_a_requester_is_left_alone(world: World) -> None:
    """An event type that knows no requester would be refused for a field too many."""
    answer = world.post(world.event(), x_auth_token=world.web.person("t", "admin"))
    assert answer.headers["ce-type"] == "io.drover.walk.accepted"
    assert world.bench.rows(Operation)[0].requester == "tester"


def test_a_person_with_a_broken_event_learns_why(world: World) -> None:
    """The means that is a header counts for an event that can't be read, too."""
    token = world.web.person("t", "admin")
    headers = {"ce-id": "1", "ce-source": "/x", "ce-type": "io.drover.walk.requested", "ce-specversion": "1.0"}
    answer = world.client.post("/", data="{", headers={**headers, "X-Auth-Token": token})
    assert answer.headers["ce-type"] == "io.drover.walk.rejected"


def asked(world: World) -> int:
    """How often Keystone was."""
    return sum(url.startswith(KEYSTONE) for url, _ in world.web.asked)


def test_good_answers_count_for_a_minute(world: World) -> None:
    """A watch of a minute costs Keystone two questions, not sixty."""
    token = world.web.person("t", "reader")
    for _ in range(61):
        assert world.get(x_auth_token=token).status_code == 200
        world.clock.advance(1.01)
    assert asked(world) == 2


def test_good_answers_do_not_outlive_the_token(world: World) -> None:
    """What expires in half a minute opens nothing after it, although it was looked up well."""
    token = world.web.person("t", "reader", minutes=0.5)
    assert world.get(x_auth_token=token).status_code == 200
    world.clock.advance(31)
    assert world.get(x_auth_token=token).status_code == 401


def test_refusals_count_for_a_moment(world: World) -> None:
    """The same wrong token is not looked up again and again; one that becomes good soon is."""
    for _ in range(5):
        assert world.get(x_auth_token="t").status_code == 401
    assert asked(world) == 1
    world.web.person("t", "reader")
    world.clock.advance(11)
    assert world.get(x_auth_token="t").status_code == 200


def test_tokens_are_not_kept(world: World) -> None:
    """A dump of the memory's caches holds digests alone."""
    world.get(x_auth_token=world.web.person("gAAAAAB-planted", "reader"))
    keystone: Any = world.door.gate._means[-1]  # type: ignore[attr-defined]
    assert "planted" not in repr(keystone._good._rows)
    assert len(keystone._good._rows) == 1


@pytest.mark.parametrize("given", ["", " ", "two words", "x" * 9000, "naïve"])
def test_what_can_be_no_token_is_not_sent_to_keystone(world: World, given: str) -> None:
    """It is refused here, whatever it is."""
    assert world.get(x_auth_token=given).status_code == 401
    assert asked(world) == 0


@pytest.mark.parametrize(
    "document",
    [{}, [], {"token": {}}, {"token": {"expires_at": "soon"}}, {"token": {"expires_at": "2099-01-01T00:00:00Z"}}],
)
def test_an_answer_that_says_nothing_lets_nobody_in(world: World, document: Any) -> None:
    """Another service at Keystone's address: 503 or 403, never in."""
    world.web.pages[f"{KEYSTONE}/auth/tokens?nocatalog"] = lambda _: (200, document)
    assert world.get(x_auth_token="t").status_code in (403, 503)


@pytest.mark.parametrize("status", [500, 502, 429])
def test_a_keystone_in_trouble_is_not_a_no(world: World, status: int) -> None:
    """503, so that the command line tries again."""
    world.web.pages[f"{KEYSTONE}/auth/tokens?nocatalog"] = lambda _: (status, {})
    assert world.get(x_auth_token="t").status_code == 503


@pytest.mark.parametrize("claims", [{}, {"realm_access": "admin"}, {"realm_access": {"roles": {"admin": 1}}}])
def test_claims_of_another_shape_are_no_roles(world: World, claims: dict[str, Any]) -> None:
    """What can't be read gives no right."""
    content = {"realm_access": None, **claims}
    assert world.get(authorization=f"Bearer {id_token(**content)}").status_code == 403


def test_roles_may_be_one_text(bench: Bench) -> None:
    """Some providers write them as OAuth writes scopes."""
    world = World(bench, {**EVERYTHING, "oidc_roles_claim": "scope"})
    assert world.get(authorization=f"Bearer {id_token(scope='openid reader')}").status_code == 200
