"""What the owners of servers are told."""

from __future__ import annotations

from typing import Any

import pytest

from functions.migrate.drain import Drain, Links
from functions.migrate.events import ServerMigrated, ServerMigrating
from lab.simulator.records import Fault
from shared.operations import Engine
from tests.support.drains import Drains


def story(drains: Drains, server: str) -> list[tuple[str, Any, Any]]:
    """The words about one server, with target and result."""
    events = [event for event in drains.news() if event["data"]["server"] == server]
    return [
        (event["type"].rpartition(".")[2], event["data"]["target"], event["data"].get("result")) for event in events
    ]


def test_a_move_is_told_before_and_after(drains: Drains) -> None:
    """With project, names and hosts, so that a notifier needs to ask nobody; both fit their models."""
    server = drains.fake.add_server("cmp01", name="web-1", project="p-1")
    operation = drains.begin()
    drains.run(operation)
    before, after = drains.news(operation)
    data = {
        "operation": operation, "cloud": "lab", "server": server, "name": "web-1", "project": "p-1",
        "source": "cmp01", "target": "cmp02", "action": "live-migrate", "attempt": 1, "reason": "a fan is broken",
    }  # fmt: skip
    assert before["data"] == data
    assert after["data"] == {**data, "result": "moved", "error": "", "again": False}
    assert (before["subject"], before["source"]) == (server, "/drover/migrate")
    ServerMigrating.model_validate(before["data"])
    ServerMigrated.model_validate(after["data"])


def test_the_intent_and_its_word_are_one_transaction(drains: Drains) -> None:
    """When Nova is about to be asked, the event waits in the outbox already."""
    server = drains.servers(1)[0]
    seen: list[int] = []
    drains.when_asking(server, lambda: seen.append(len(drains.news())))
    drains.drain()
    assert seen == [1]


def test_each_try_is_told_with_its_end(drains: Drains) -> None:
    """The first target refuses, the second takes it."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(precheck=True, times=1)
    drains.drain()
    (began, first, _), (ended, same, result), *second = story(drains, server)
    assert (began, ended, result, same) == ("migrating", "migrated", "not moved", first)
    assert [word for word, _, _ in second] == ["migrating", "migrated"]
    assert second[0][1] == second[1][1] != first
    event = drains.news()[1]["data"]
    assert event["again"]
    assert "pre-check" in event["error"]


def test_who_is_given_up_is_told_so(drains: Drains) -> None:
    """The last try's end says that it has failed, and that nothing follows."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(fails=True)
    drains.drain(max_attempts=1)
    last = drains.news()[-1]["data"]
    assert (last["result"], last["again"]) == ("failed", False)
    assert last["error"]
    assert [word for word, _, _ in story(drains, server)] == ["migrating", "migrated"]


def test_a_request_that_nova_does_not_take_is_taken_back(drains: Drains) -> None:
    """Busy for a moment: the begin is followed by its end, and then told again."""
    server = drains.servers(1)[0]
    drains.fake.fail_next(503, of="POST /compute/v2.1/servers", times=1)
    drains.drain()
    words = story(drains, server)
    assert [word for word, _, _ in words] == ["migrating", "migrated"] * (len(words) // 2)
    assert words[-1][2] == "moved"


def test_a_server_that_is_deleted_meanwhile_is_gone(drains: Drains) -> None:
    """Its owner deletes it between the announcement and the request."""
    server = drains.servers(1)[0]
    drains.when_asking(server, lambda: drains.fake.delete_server(server))
    drains.drain()
    assert [result for _, _, result in story(drains, server)] == [None, "gone"]


def test_a_cancelled_move_has_not_moved(drains: Drains) -> None:
    """The abort is told as the end of what had been announced."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(seconds=500.0)
    operation = drains.begin()
    drains.work(6)
    drains.control("cancel", operation)
    drains.run(operation)
    assert [result for _, _, result in story(drains, server)] == [None, "not moved"]
    assert not drains.news()[-1]["data"]["again"]


def test_what_others_have_started_is_theirs_to_tell(drains: Drains) -> None:
    """An adopted migration is followed without a word."""
    server = drains.servers(1)[0]
    drains.migrate_by_hand(server, "cmp03")
    assert drains.drain()["state"] == "succeeded"
    assert story(drains, server) == []


def test_nobody_is_told_by_replies(drains: Drains) -> None:
    """Without a sink one event goes with each reply: a word for each server would hold up all others for hours."""
    drains.servers(2)
    links = Links(lambda name: drains.fake.cloud(name))
    drains.engine = Engine(drains.database, [Drain(links, drains.clock)], clock=drains.clock)
    operation = drains.begin()
    assert drains.run(operation)["state"] == "succeeded"
    assert drains.news() == []
    assert "completed" in drains.facts(operation)


@pytest.mark.parametrize("number", [12])
def test_it_costs_no_transactions(drains: Drains, number: int) -> None:
    """The words are written with what is written anyway: as many saves as moves and slices, not more."""
    drains.servers(number)
    count = 0
    save = drains.database.transaction

    def counted() -> Any:
        nonlocal count
        count += 1
        return save()

    operation = drains.begin()
    drains.database.transaction = counted  # type: ignore[method-assign]
    drains.run(operation)
    with_news, count = count, 0
    assert len(drains.news()) == 2 * number
    drains.fake.add_host("cmp11")
    for _ in range(number):
        drains.fake.add_server("cmp11")
    links = Links(lambda name: drains.fake.cloud(name))
    drains.engine = Engine(drains.database, [Drain(links, drains.clock)], clock=drains.clock)
    drains.run(drains.begin("cmp11"))
    assert with_news <= count + 2
