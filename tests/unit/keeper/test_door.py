"""The keeper behind parliament's own Flask application, and beside the other functions."""

from __future__ import annotations

import importlib
import json
import logging
from types import SimpleNamespace

import pytest
from cloudevents.conversion import to_binary
from flask.testing import FlaskClient
from parliament import server

import functions
from functions.keeper.func import door as keeper_door
from shared.access import OpenGate
from shared.door import Door, cloud_event
from shared.events import Event
from shared.store import Database, Operation
from tests.support.letters import DRAIN, Keeper, dead

pytestmark = pytest.mark.filterwarnings("ignore:to_binary is deprecated")  # parliament's own call


@pytest.fixture
def client(keeper: Keeper) -> FlaskClient:
    """Sends requests as a broker or a person does."""
    logging.getLogger("parliament.server").setLevel(logging.ERROR)
    door = Door("keeper", lambda: list(keeper.engine.kinds.values()), OpenGate(), dead_letters=True)
    door._engine = keeper.engine
    app = server.create(SimpleNamespace(main=door.main))
    client: FlaskClient = app.test_client()
    return client


def test_a_letter_is_answered_with_nothing(client: FlaskClient, keeper: Keeper) -> None:
    """204 and no body, and what the broker adds in headers is kept."""
    headers, body = to_binary(cloud_event(dead(time=keeper.clock.now())))
    response = client.post("/", data=body, headers=headers)
    assert (response.status_code, response.data) == (204, b"")
    (letter,) = keeper.letters()
    assert (letter.code, letter.answer) == (503, '{"error": "the store does not answer"}')
    assert letter.event is not None
    assert Event.from_document(letter.event) == dead(time=keeper.clock.now(), extensions={})


def test_a_letter_that_can_not_be_read_is_kept(client: FlaskClient, keeper: Keeper) -> None:
    """It would come again and again otherwise."""
    headers, _ = to_binary(cloud_event(dead()))
    assert client.post("/", data="{", headers=headers).status_code == 204
    (letter,) = keeper.letters()
    assert (letter.code, letter.hindrance) == (503, "its data is no JSON, and Drover sends nothing else: send it anew")


def test_a_schedule_without_data_cleans_up(client: FlaskClient, keeper: Keeper) -> None:
    """A PingSource may send an empty body."""
    headers, _ = to_binary(cloud_event(Event("1", "/ping", "io.drover.cleanup.requested", {})))
    headers.pop("content-type", None)
    headers.pop("datacontenttype", None)
    response = client.post("/", data=b"", headers=headers)
    assert response.headers["ce-type"] == "io.drover.cleanup.accepted", response.data


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [("?letters&colour=red", 400, "unknown filter"), ("?letter=no", 404, "there is no dead letter 'no'")],
)
def test_letters_are_read_over_http(client: FlaskClient, keeper: Keeper, query: str, status: int, message: str) -> None:
    """In pages and one by one, with clear errors."""
    keeper.engine.handle(dead())
    page = client.get("/?letters").get_json()
    assert [letter["event_id"] for letter in page["letters"]] == ["1"]
    assert client.get(f"/?letter={page['letters'][0]['id']}").get_json()["event"]["id"] == "1"
    response = client.get(f"/{query}")
    assert response.status_code == status
    assert message in json.loads(response.data)["error"]


def test_the_keeper_alone_takes_letters(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Served alone it does, with its settings; in one process with all others an unknown event is rejected."""
    monkeypatch.setenv("DROVER_DATABASE_URL", database.engine.url.render_as_string(hide_password=False))
    monkeypatch.setenv("DROVER_KEEP_DAYS", "12")
    alone = Door("keeper", keeper_door.kinds, OpenGate(), dead_letters=keeper_door.dead_letters)
    assert alone.engine.handle(dead(type="io.drover.x")) is None
    answer = alone.engine.handle(Event("c", "/ping", "io.drover.cleanup.requested", None))
    assert answer is not None
    with database.reading() as session:
        operation = session.get(Operation, answer.data["operation"])
    assert operation is not None
    assert operation.parameters == {"keep_days": 12, "keep_operations_days": None}
    doors = [importlib.import_module(f"functions.{name}.func").door for name in functions.names()]
    together = Door("all", lambda: [kind for door in doors for kind in door.kinds()], OpenGate())
    assert {"drain", "undrain", "replay", "cleanup"} <= set(together.engine.kinds)
    reply = together.engine.handle(Event("x", "/s", "io.drover.x", {}))
    assert reply is not None
    assert reply.type == "io.drover.event.rejected"
    assert DRAIN in reply.data["reason"]
    for door in (alone, together):
        door.engine.database.close()


def test_a_tick_measures_what_waits(keeper: Keeper) -> None:
    """A gauge tells how many letters nobody has cared for."""
    for id in "123":
        keeper.engine.handle(dead(id))
    keeper.replay(letters=[keeper.letter("1").id])
    keeper.tick()
    registry = keeper.engine.metrics.registry
    assert registry.get_sample_value("drover_dead_letters_waiting") == 2
    labels = {"type": DRAIN, "result": "dead"}
    assert registry.get_sample_value("drover_events_received_total", labels) == 3
