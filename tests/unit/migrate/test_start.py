"""What is asked of Nova, when, and what its answers (or their loss) lead to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from sqlmodel import select

from functions.migrate.model import MoveState
from lab.simulator.records import Fault
from shared.store import Operation, Step
from tests.support.drains import Drains

Make = Callable[..., Drains]


def test_one_more_than_nova_runs_is_submitted(drains: Drains) -> None:
    """With cap 1, two are in flight from the host: one runs, one waits in Nova's queue; the rest is held."""
    drains.servers(6)
    assert drains.drain()["state"] == "succeeded"
    assert drains.most_in_flight("source") == 2


def test_the_operator_sets_how_many_at_once(make: Make) -> None:
    """`concurrency` bounds what is in flight from the host, whatever Nova would take."""
    drains = make(cap=10)
    drains.servers(8)
    assert drains.drain(concurrency=4)["state"] == "succeeded"
    assert drains.most_in_flight("source") == 4


def test_few_come_into_one_host_at_once(make: Make) -> None:
    """`inbound` bounds what is in flight into one target."""
    drains = make(hosts=2, cap=10)
    drains.servers(8)
    assert drains.drain(concurrency=10, inbound=2)["state"] == "succeeded"
    assert drains.most_in_flight("target") == 2


def test_migrations_of_others_count_for_the_limits(make: Make) -> None:
    """What somebody else moves fills the cloud's limit as well."""
    drains = make(cap=5, seconds=30.0)
    for server in drains.servers(2, "cmp02"):
        drains.migrate_by_hand(server, "cmp03")
    drains.clock.advance(1)
    drains.servers(2, "cmp01")
    operation = drains.begin(cloud_limit=2)
    drains.work(20)
    assert drains.acts("live-migrate", drains.step(operation, drains.fake.servers_on("cmp01")[0].id)["subject"]) == []
    assert drains.run(operation)["state"] == "succeeded"


def test_longest_first(drains: Drains) -> None:
    """The server with the most memory starts first, the smallest last."""
    small, big, middle = (drains.fake.add_server("cmp01", memory_mb=mb) for mb in (512, 32_768, 8_192))
    assert drains.drain()["state"] == "succeeded"
    assert [act.server for act in drains.acts("live-migrate")] == [big, middle, small]


@pytest.mark.parametrize("policy", ["anti-affinity", "soft-anti-affinity", "soft-affinity"])
def test_one_of_a_server_group_at_a_time(make: Make, policy: str) -> None:
    """Two members of a group are never in flight together, though the limits would allow it."""
    drains = make(cap=10, hosts=6)
    group = drains.fake.add_group(policy, max_per_host=3)
    members = [drains.fake.add_server("cmp01", group=group) for _ in range(3)]
    drains.servers(3)
    assert drains.drain(concurrency=6)["state"] == "succeeded"
    spans = sorted((row.created, row.updated) for row in drains.fake.migrations if row.server in members)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    assert drains.most_in_flight("source") > 1


def test_a_member_that_somebody_else_moves_holds_its_group_back(drains: Drains) -> None:
    """A foreign migration of a member on another host is one of the group in flight."""
    group = drains.fake.add_group("anti-affinity")
    ours = drains.fake.add_server("cmp01", group=group)
    theirs = drains.fake.add_server("cmp02", name="theirs", group=group)
    drains.fake.faults["theirs"] = Fault(seconds=40.0)
    drains.migrate_by_hand(theirs, "cmp03")
    drains.clock.advance(1)
    assert drains.drain()["state"] == "succeeded"
    (foreign,) = [row for row in drains.fake.migrations if row.server == theirs]
    (own,) = [row for row in drains.fake.migrations if row.server == ours]
    assert own.created >= foreign.updated
    assert drains.fake.server(ours).host not in {"cmp01", drains.fake.server(theirs).host}


def test_the_group_of_a_late_arrival_is_known(make: Make) -> None:
    """A foreign migration of another member holds back also a server that came during the drain."""
    drains = make(cap=5, hosts=6)
    group = drains.fake.add_group("anti-affinity")
    theirs = drains.fake.add_server("cmp02", name="theirs", group=group)
    drains.servers(1)
    drains.fake.faults.update({"vm-002": Fault(seconds=60.0), "theirs": Fault(seconds=300.0)})
    operation = drains.begin(concurrency=6)
    drains.work(4)
    late = drains.fake.add_server("cmp01", name="late", group=group)
    drains.migrate_by_hand(theirs, "cmp03")
    drains.work(200)
    assert (drains.step(operation, late)["state"], drains.acts("live-migrate", late)) == ("held", [])
    assert drains.run(operation)["state"] == "succeeded"


def test_a_member_that_came_later_counts_as_one_of_its_group(make: Make) -> None:
    """A server that arrives during the drain is held back while another of its group is in flight."""
    drains = make(cap=5, hosts=6)
    group = drains.fake.add_group("soft-anti-affinity")
    drains.servers(1)
    drains.fake.faults["vm-001"] = Fault(seconds=100.0)
    operation = drains.begin(concurrency=6)
    drains.work(4)
    late = [drains.fake.add_server("cmp01", name=f"late-{number}", group=group) for number in range(2)]
    drains.fake.faults.update({"late-0": Fault(seconds=30.0), "late-1": Fault(seconds=30.0)})
    assert drains.run(operation)["state"] == "succeeded"
    spans = sorted((row.created, row.updated) for row in drains.fake.migrations if row.server in late)
    assert spans[0][1] <= spans[1][0]


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF"])
def test_a_lost_answer_to_a_move_is_looked_up(drains: Drains, status: str) -> None:
    """Nova has got the request: its migration is found and followed, and not asked for again."""
    server = drains.fake.add_server("cmp01", status=status)
    verb = "live-migrate" if status == "ACTIVE" else "cold-migrate"
    drains.fake.drop_answer_of_next(verb)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert len(drains.acts(verb)) == 1
    assert drains.step(document["id"], server)["attempts"] == 1


def test_a_request_that_never_arrived_is_sent_again(drains: Drains) -> None:
    """The answer was a 500 and nothing came of it: after the grace time it is asked for anew, at no try's cost."""
    server = drains.fake.add_server("cmp01")
    drains.fake.fail_next(500, of=f"POST /compute/v2.1/servers/{server}")
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert len(drains.acts("live-migrate")) == 1
    assert drains.step(document["id"], server)["attempts"] == 1
    assert document["summary"]["seconds"] > 15


@pytest.mark.parametrize("verb", ["disable", "confirm"])
def test_a_lost_answer_to_another_verb_is_made_good(drains: Drains, verb: str) -> None:
    """The service is disabled once and a cold migration is confirmed once, whoever heard of it."""
    drains.fake.add_server("cmp01", status="SHUTOFF")
    drains.fake.drop_answer_of_next(verb)
    assert drains.drain()["state"] == "succeeded"
    assert len(drains.acts(verb)) == 1


@pytest.mark.parametrize("of", ["GET ", "POST ", "PUT ", "os-migrations", "servers/detail", "allocation_candidates"])
def test_a_busy_cloud_is_asked_again(drains: Drains, of: str) -> None:
    """503s, with and without Retry-After, cost time and nothing else."""
    servers = drains.servers(3)
    operation = drains.begin()
    drains.fake.fail_next(503, retry_after=7, of=of, times=5)
    drains.fake.fail_next(503, of=of, times=5)
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert Counter(act.server for act in drains.acts("live-migrate")) == Counter(servers)
    assert {step["attempts"] for step in document["steps"]} == {1}


def test_a_server_that_became_busy_is_left_alone_for_a_while(drains: Drains) -> None:
    """Nova refuses with 409 because a task has begun: the try does not count, and it moves afterwards."""
    server = drains.servers(2)[1]
    operation = drains.begin(concurrency=1)
    drains.work(1)
    drains.fake.set_status(server, "ACTIVE", "image_uploading")
    drains.work(60)
    assert drains.step(operation, server)["action"] == "wait"
    assert "image_uploading" in drains.step(operation, server)["error"]
    drains.fake.set_status(server, "ACTIVE")
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, server)["attempts"] == 1


def test_a_server_that_was_stopped_meanwhile_moves_cold(drains: Drains) -> None:
    """Its owner stops it while it waits for its turn: it is moved as it is by then, and ends as it was by then."""
    server = drains.servers(2)[1]
    operation = drains.begin(concurrency=1)
    drains.work(1)
    drains.fake.set_status(server, "SHUTOFF")
    document = drains.run(operation)
    assert (document["state"], document["note"]) == ("succeeded", "")
    assert drains.step(operation, server)["action"] == "cold-migrate"
    assert drains.fake.server(server).status == "SHUTOFF"


def test_a_conflict_that_does_not_show_is_given_up(drains: Drains) -> None:
    """Nova refuses with 409 a server that looks fit, again and again: it is set aside and does not hold the drain."""
    server, other = drains.servers(2)
    drains.fake.fail_next(409, of=f"POST /compute/v2.1/servers/{server}", times=99)
    document = drains.drain()
    assert document["state"] == "halted"
    assert drains.step(document["id"], server)["state"] == "failed"
    assert drains.step(document["id"], server)["error"] == "injected"
    assert drains.fake.server(other).host != "cmp01"
    assert sum(f"POST /compute/v2.1/servers/{server}" in line for line in drains.fake.log) == 4


def test_a_server_deleted_before_its_turn_is_gone(drains: Drains) -> None:
    """Nova knows it no more: the drain goes on and succeeds, and does not count it."""
    servers = drains.servers(3)
    operation = drains.begin(concurrency=1)
    drains.work(1)
    waiting = [server for server in servers if drains.acts("live-migrate", server) == []]
    drains.fake.delete_server(waiting[0])
    document = drains.run(operation)
    assert document["state"] == "succeeded"
    assert drains.step(operation, waiting[0])["state"] == "gone"
    assert (document["summary"]["moved"], document["summary"]["total"], document["summary"]["left"]) == (2, 2, [])


def test_a_worker_that_was_held_up_does_not_ask(drains: Drains) -> None:
    """Between the stored intent and the request 20 s have passed: the request is given up, and made anew later."""
    (server,) = drains.servers(1)
    operation = drains.begin()
    drains.when_asking(server, lambda: drains.clock.advance(20))
    drains.one_slice(operation)
    assert drains.acts("live-migrate") == []
    assert drains.step(operation, server)["state"] == "held"
    assert drains.run(operation)["state"] == "succeeded"
    assert drains.step(operation, server)["attempts"] == 1


def test_a_pause_between_intent_and_request_is_heeded(drains: Drains) -> None:
    """What a person asks for is seen when the intent is stored: it is taken back, and costs no try."""
    (server,) = drains.servers(1)
    operation = drains.begin()
    drains.when_requested("os-migrations?changes", lambda: drains.control("pause", operation))
    drains.one_slice(operation)
    assert drains.acts("live-migrate") == []
    assert drains.run(operation)["state"] == "paused"
    drains.control("resume", operation)
    assert drains.run(operation)["state"] == "succeeded"
    assert drains.step(operation, server)["attempts"] == 1


def test_two_drains_of_two_workers_do_not_move_two_of_a_group(make: Make) -> None:
    """Each stores its intent before it looks at the other's: the later one takes its own back."""
    drains = make(cap=5, hosts=6)
    group = drains.fake.add_group("anti-affinity")
    mine = drains.fake.add_server("cmp01", group=group)
    theirs = drains.fake.add_server("cmp02", group=group)
    first, second = drains.begin("cmp01"), drains.begin("cmp02")
    other = drains.worker()
    drains.one_slice(second, other)
    assert len(drains.acts("live-migrate", theirs)) == 1
    _pretend_state(drains, second, theirs, MoveState.HELD)
    drains.when_asking(mine, lambda: _pretend_state(drains, second, theirs, MoveState.SUBMITTING))
    drains.one_slice(first)
    assert drains.acts("live-migrate", mine) == []
    assert drains.step(first, mine)["state"] == "held"
    assert drains.run(first)["state"] == "succeeded"
    assert drains.run(second)["state"] == "succeeded"
    rows = sorted((row.created, row.updated) for row in drains.fake.migrations)
    assert rows[0][1] <= rows[1][0]


def _pretend_state(drains: Drains, operation: str, server: str, state: MoveState) -> None:
    with drains.database.transaction() as session:
        query = select(Step).where(Step.operation_id == operation, Step.subject == server)
        session.exec(query).one().state = state


def test_nothing_starts_without_the_intent_on_record(drains: Drains) -> None:
    """Every request to Nova has its line in the audit trail, written before it, with who and why."""
    servers = drains.servers(3)
    operation = drains.begin()
    drains.run(operation)
    entries = [entry for entry in drains.audit(operation) if entry.act == "live-migrate"]
    assert Counter(entry.subject for entry in entries) == Counter(servers)
    assert {entry.who for entry in entries} == {"nina"}
    assert all(entry.at <= act.time for entry in entries for act in drains.acts("live-migrate", entry.subject))


def test_parameters_are_kept_with_the_operation(drains: Drains) -> None:
    """What was asked for can be read from the store."""
    operation = drains.begin(inbound=1, concurrency=3)
    with drains.database.reading() as session:
        row = session.get(Operation, operation)
    assert row is not None
    assert (row.parameters["inbound"], row.parameters["concurrency"], row.requester) == (1, 3, "nina")
