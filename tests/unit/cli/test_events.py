"""`drover events`, on the store of this machine and on a served keeper."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from cli.engine import Parts, build
from cli.serve import door_of
from functions.keeper.func import kinds
from lab.simulator.clock import SteppedClock
from shared import sink as sink_module
from shared.events import Event
from shared.settings import load
from shared.store import Database
from tests.support.letters import DRAIN, Keeper, dead
from tests.unit.cli.conftest import Run, Served, WorkingClock
from tests.unit.cli.support import Wire, functions_app

URL = "http://keeper.example"


@pytest.fixture
def parts(clock: SteppedClock) -> Parts:
    """A command with the keeper's own kinds."""
    return Parts(kinds=lambda _function: kinds(), clock=clock)


@pytest.fixture
def keeper(state: Any, clock: SteppedClock) -> Iterator[Keeper]:
    """A keeper on the store of this machine, with two letters."""
    database = Database(load().database_url.get_secret_value())
    keeper = Keeper(database)
    keeper.clock = clock
    keeper.engine = keeper.new_keeper(keeper.broker)
    keeper.engine.handle(dead("1"))
    clock.advance(60)
    keeper.engine.handle(dead("2", "io.drover.undrain.requested", data={"password": "hush"}))
    yield keeper
    database.close()


@pytest.fixture
def served(parts: Parts, keeper: Keeper) -> Iterator[Served]:
    """The same keeper, served."""
    engine = build(load(), parts.kinds(None), keeper.broker, source="/drover/keeper", clock=parts.clock)
    wire = Wire(functions_app(door_of(engine).main))

    def session() -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", wire)
        return session

    yield Served(engine, wire, Parts(kinds=parts.kinds, clock=WorkingClock(parts.clock, engine), session=session))
    engine.database.close()


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What arrives at the broker that DROVER_SINK names."""
    got: list[Event] = []
    monkeypatch.setenv("DROVER_SINK", "http://broker.example/drover/drover")
    monkeypatch.setattr(sink_module.HttpSink, "send", lambda _self, event: got.append(event))
    return got


def test_dead_lists_letters_for_people(run: Run, keeper: Keeper) -> None:
    """When, what, from where, what was answered, how often, and why one can't be sent again."""
    outcome = run("events", "dead")
    assert outcome.code == 0
    for text in (DRAIN, "/tickets", "503", "the store does not answer", keeper.letter("1").id, "can't be"):
        assert text in outcome.out
    assert "hush" not in outcome.out


def test_dead_filters_and_pages(run: Run, keeper: Keeper) -> None:
    """By type and state; a full page names the command for the next one."""
    assert [each["event_id"] for each in run("events", "dead", "--type", DRAIN, "--json").json["letters"]] == ["1"]
    assert "no dead letters that fit" in run("events", "dead", "--replayed").out
    first = run("events", "dead", "--waiting", "--limit", "1")
    before = first.out.split("--before ")[1].strip()
    assert keeper.letter("1").id in run("events", "dead", "--before", before).out
    assert run("events", "dead", "--limit", "0").code == 2


def test_show_is_one_letter_whole(run: Run, keeper: Keeper) -> None:
    """With the event, and the command that sends it again, if it can be."""
    outcome = run("events", "show", keeper.letter("1").id)
    assert outcome.code == 0
    assert '"host": "cmp1"' in outcome.out
    assert f"drover events replay {keeper.letter('1').id}" in outcome.out
    hindered = run("events", "show", keeper.letter("2").id).out
    assert "send it anew" in hindered
    assert "drover events replay" not in hindered
    assert run("events", "show", keeper.letter("1").id, "--json").json["event"]["id"] == "1"
    assert run("events", "show", "no").code == 2


def test_replay_sends_to_the_sink(run: Run, keeper: Keeper, delivered: list[Event]) -> None:
    """This process does it all, and exits 0 when it is on the way."""
    outcome = run("events", "replay", keeper.letter("1").id, "--reason", "it is back")
    assert outcome.code == 0, outcome.err
    assert "1 event is on the way" in outcome.out
    assert [event.id for event in delivered if event.source == "/tickets"] == ["1"]
    assert run("events", "dead", "--replayed", "--json").json["letters"][0]["event_id"] == "1"


def test_replay_without_a_sink_is_refused(run: Run, keeper: Keeper) -> None:
    """There is nowhere to send to, and nothing is marked as sent."""
    outcome = run("events", "replay", "--all", "--reason", "x")
    assert outcome.code == 2
    assert "DROVER_SINK" in outcome.err
    assert run("events", "dead", "--replayed", "--json").json["letters"] == []


def test_a_dry_run_lists_and_exits_by_what_can_be_sent(run: Run, keeper: Keeper) -> None:
    """0 if all can, 1 if not; nothing is sent."""
    outcome = run("events", "replay", "--all", "--dry-run")
    assert outcome.code == 1
    assert "1 event of 2 would be sent again" in outcome.out
    outcome = run("events", "replay", "--type", DRAIN, "--dry-run", "--json")
    assert (outcome.code, outcome.json["sendable"]) == (0, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--reason", "x"), "say which letters"),
        (("--all", "--type", DRAIN, "--reason", "x"), "say which letters"),
        (("--all",), "no --reason was given"),
        (("no", "--reason", "x"), "there is no dead letter no"),
    ],
)
def test_a_replay_that_makes_no_sense(run: Run, keeper: Keeper, words: tuple[str, ...], message: str) -> None:
    """2, with what to change."""
    outcome = run("events", "replay", *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_served_keeper(run: Run, served: Served, keeper: Keeper) -> None:
    """The same commands over HTTP: list, show, and a replay that is followed to its end."""
    at = ("--url", URL)
    letter = keeper.letter("1").id
    assert letter in run("events", "dead", *at, parts=served.parts).out
    assert run("events", "show", letter, "--json", *at, parts=served.parts).json["event"]["id"] == "1"
    assert run("events", "show", "no", *at, parts=served.parts).code == 2
    outcome = run("events", "replay", letter, "--reason", "back", "--json", *at, parts=served.parts)
    assert outcome.code == 0, outcome.err
    assert outcome.json["note"] == "1 event is on the way"
    stored = run("events", "replay", letter, "--reason", "again", "--no-wait", *at, parts=served.parts)
    assert (stored.code, "drover ops watch" in stored.err) == (0, True)
