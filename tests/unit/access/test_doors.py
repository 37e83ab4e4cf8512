"""Every door against every sort of stranger."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.access.limits import FAILURES, PERSON
from tests.support.bench import Bench
from tests.support.doors import World, public, token
from tests.unit.access.rows import PAST, ROWS, Row, bearer

pytestmark = pytest.mark.filterwarnings("ignore:to_binary is deprecated")  # parliament's own call

TABLE = Path(__file__).parents[3] / "docs/security.md"


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_the_table(world: World, row: Row) -> None:
    """Each request gets its answer; one that is refused leaves nothing behind, is counted, and is not repeated."""
    answer = row.knock(world)
    assert (answer.status_code, row.says in answer.text or row.status == 200) == (row.status, True), answer.text
    if row.status < 300:
        return
    assert row.says in json.loads(answer.data)["error"]
    assert world.bench.inbox() == []
    assert "planted" not in answer.text
    assert "gAAAAA" not in answer.text
    assert "eyJ" not in answer.text
    if row.status == 401:
        assert answer.headers["WWW-Authenticate"]
    if row.status in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1


def test_the_page_tells_the_same() -> None:
    """The table in docs/security.md has these rows, with these answers, and no others."""
    found = re.findall(r"^\| (\w+) \| ([^|]+) \| (\d{3}) \|", TABLE.read_text(), re.M)
    assert found == [(row.door, row.request, str(row.status)) for row in ROWS]


def test_refusals_are_counted(world: World) -> None:
    """By the means that refused and the reason, for the dashboard."""
    world.post()
    bearer(world, token(exp=PAST))
    registry = world.bench.engine.metrics.registry
    assert registry.get_sample_value("drover_refused_total", {"door": "none", "reason": "nothing"}) == 1
    assert registry.get_sample_value("drover_refused_total", {"door": "broker", "reason": "expired"}) == 1


def test_the_means_are_named_to_whoever_asks(world: World) -> None:
    """WWW-Authenticate lists them, so that a client knows which of its credentials to take."""
    challenge = world.get().headers["WWW-Authenticate"]
    assert "Bearer" in challenge
    assert 'Keystone uri="https://keystone.test/v3"' in challenge


def test_deliveries_are_not_limited(world: World) -> None:
    """429 would make a broker deliver again: a burst of a thousand events is its right."""
    answers = {bearer(world, token()).status_code for _ in range(int(PERSON.burst) + 5)}
    assert answers == {200}


def test_a_stranger_does_not_lock_others_out(world: World) -> None:
    """Behind Knative's queue-proxy all have one address: who is known already is let in whatever others try."""
    good = world.web.person("gAAAAAB-good", "reader")
    assert world.get(x_auth_token=good).status_code == 200
    for number in range(int(FAILURES.burst) + 5):
        world.get(x_auth_token=f"gAAAAAB-{number}")
    asked = len(world.web.asked)
    assert world.get(x_auth_token=good).status_code == 200
    assert world.get(x_auth_token="gAAAAAB-another").status_code == 429
    assert len(world.web.asked) == asked  # Keystone is not bothered any more
    world.clock.advance(10)
    assert world.get(x_auth_token="gAAAAAB-another").status_code == 401


def test_keys_of_another_use_do_not_count(bench: Bench) -> None:
    """A key that its issuer publishes for encryption signs nothing here."""
    world = World(bench)
    world.web.cluster_keys = [public("cluster-1", use="enc")]
    assert bearer(world, token()).status_code == 401


def test_a_key_is_bound_to_its_algorithm(bench: Bench) -> None:
    """What the issuer says of a key counts, not what a token says."""
    world = World(bench)
    world.web.cluster_keys = [public("cluster-1", alg="RS512")]
    assert bearer(world, token()).status_code == 401
    assert bearer(world, token(algorithm="RS512")).status_code == 200
