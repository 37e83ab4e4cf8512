"""A drain from its request to its end, when nothing goes wrong or the request itself is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.support.drains import Drains

Make = Callable[..., Drains]


def test_a_host_is_emptied(drains: Drains) -> None:
    """The service is disabled, every server is moved once and is well, and the drain succeeds."""
    servers = drains.servers(5)
    document = drains.drain()
    assert (document["state"], document["note"]) == ("succeeded", "")
    assert drains.fake.servers_on("cmp01") == []
    assert all(drains.fake.server(server).status == "ACTIVE" for server in servers)
    assert Counter(act.server for act in drains.acts("live-migrate")) == Counter(servers)
    assert {step["state"] for step in document["steps"]} == {"done"}
    assert [step["to"] for step in document["steps"]] == [
        drains.fake.server(s["subject"]).host for s in document["steps"]
    ]


@pytest.mark.parametrize(("servers", "requests", "seconds"), [(20, 56, 60.0), (50, 119, 140.0)])
def test_a_drain_is_quick_and_asks_little(make: Make, servers: int, requests: int, seconds: float) -> None:
    """At most 2 Nova requests per server and 20 more, at the pace of Nova itself, and balanced over the targets."""
    drains = make(hosts=6, cap=1, seconds=2.0)
    drains.servers(servers)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert drains.fake.requests["compute"] <= requests <= 2 * servers + 20
    assert document["summary"]["seconds"] <= seconds
    assert set(Counter(step["to"] for step in document["steps"]).values()) == {servers // 5}


def test_the_service_is_disabled_with_a_reason_of_our_own(drains: Drains) -> None:
    """Before anything moves, with the operation and the operator's reason in it; and it is on record."""
    drains.servers(1)
    operation = drains.begin(reason="fan 3 is broken")
    drains.run(operation)
    assert [act.verb for act in drains.acts()] == ["disable", "live-migrate"]
    assert drains.fake.host("cmp01").disabled_reason == f"drover drain {operation[:8]}: fan 3 is broken"
    (entry,) = [entry for entry in drains.audit(operation) if entry.act == "disable service"]
    assert (entry.who, entry.why, entry.subject) == ("nina", "fan 3 is broken", "cmp01")
    assert entry.before == {"status": "enabled", "reason": None}


def test_somebody_elses_reason_is_kept(drains: Drains) -> None:
    """A host that was disabled already is drained, and its reason is not overwritten."""
    drains.fake.host("cmp01").disabled = True
    drains.fake.host("cmp01").disabled_reason = "bad RAM, ask Joe"
    drains.servers(1)
    operation = drains.begin()
    assert drains.run(operation)["state"] == "succeeded"
    assert drains.fake.host("cmp01").disabled_reason == "bad RAM, ask Joe"
    assert "found service disabled" in [entry.act for entry in drains.audit(operation)]
    assert drains.acts("disable") == []


def test_a_reason_that_came_since_the_first_look_is_kept(drains: Drains) -> None:
    """The first slice may come long after the request: the service is looked at again before it is disabled."""
    operation = drains.begin()
    drains.clock.advance(10)
    drains.fake.host("cmp01").disabled = True
    drains.fake.host("cmp01").disabled_reason = "bad RAM, ask Joe"
    drains.run(operation)
    assert drains.fake.host("cmp01").disabled_reason == "bad RAM, ask Joe"


def test_an_empty_host_is_proven_empty(drains: Drains) -> None:
    """Nothing is to be moved: it is disabled, read twice, and done."""
    document = drains.drain()
    assert (document["state"], document["steps"]) == ("succeeded", [])
    assert sum("servers/detail" in line and "host=cmp01" in line for line in drains.fake.log) == 2
    assert drains.fake.host("cmp01").disabled


def test_the_proof_reads_the_cloud_twice(drains: Drains) -> None:
    """Both reads list the servers and the migrations, with time between them."""
    drains.servers(1)
    operation = drains.begin()
    while drains.document(operation)["state"] in ("planned", "running"):
        drains.fake.log.append(f"at {drains.clock.monotonic()}")
        drains.work(0.9)
    reads = [line for line in drains.fake.log if "host=cmp01" in line or "os-migrations?changes" in line]
    assert [("servers" in line) for line in reads[-4:]] == [False, True, False, True]
    times = [index for index, line in enumerate(drains.fake.log) if "host=cmp01" in line]
    assert any(line.startswith("at ") for line in drains.fake.log[times[-2] : times[-1]])


def test_the_facts_tell_the_story(drains: Drains) -> None:
    """Accepted, started, two words for each server, completed; the last one's summary is that of the whole drain."""
    drains.servers(2)
    operation = drains.begin()
    document = drains.run(operation)
    facts = drains.facts(operation)
    assert [word for word in facts if word not in ("migrating", "migrated")] == ["accepted", "started", "completed"]
    assert facts.count("migrating") == facts.count("migrated") == 2
    assert document["summary"]["api_requests"] == drains.fake.requests["compute"]


def test_a_dry_run_changes_nothing(drains: Drains) -> None:
    """It answers with the plan, and neither the cloud nor the list of operations knows of it."""
    servers = drains.servers(2)
    drains.fake.set_status(servers[1], "RESCUE")
    reply = drains.ask(dry_run=True)
    assert reply.type == "io.drover.drain.planned"
    assert (reply.data["host"], reply.data["feasible"]) == ("cmp01", False)
    lines = {line["id"]: line for line in reply.data["servers"]}
    assert (lines[servers[0]]["action"], lines[servers[0]]["to"]) == ("live-migrate", "cmp02")
    assert (lines[servers[1]]["action"], lines[servers[1]]["way_out"]) == ("cannot", "unrescue it first")
    drains.work(60)
    assert drains.acts() == []
    assert drains.audit() == []


def test_a_dry_run_does_not_count_for_the_drain_beside_it(drains: Drains) -> None:
    """The requests of a dry run are not those of the drain that is asked for after it."""
    reply = drains.ask(dry_run=True)
    assert reply.type == "io.drover.drain.planned"
    drains.clock.advance(60)
    before = drains.fake.requests["compute"]
    document = drains.drain()
    assert document["summary"]["api_requests"] == drains.fake.requests["compute"] - before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"host": "cmp1"}, ["'cmp1'", "cmp01"]),
        ({"reason": ""}, ["reason"]),
        ({"reason": "  "}, ["reason"]),
        ({"concurrency": 0}, ["concurrency"]),
        ({"fenced": "Joe pulled the plug"}, ["evacuate"]),
        ({"evacuate": True}, ["statement that the host is off", "--fenced"]),
        ({"deadline": "2025-01-01T00:00:00Z"}, ["deadline", "passed"]),
        ({"surprise": 1}, ["surprise"]),
    ],
)
def test_a_wrong_request_is_rejected(drains: Drains, options: dict[str, Any], words: list[str]) -> None:
    """The answer says what is wrong, and nothing is changed."""
    reply = drains.ask(**{"host": "cmp01", **options})
    assert reply.type == "io.drover.drain.rejected"
    assert all(word in reply.data["reason"] for word in words), reply.data["reason"]
    assert (drains.acts(), drains.audit()) == ([], [])


def test_a_second_drain_of_the_same_host_is_answered_with_the_first(drains: Drains) -> None:
    """There is one operation, and no server is moved twice."""
    drains.servers(3)
    first = drains.begin()
    drains.work(3)
    assert drains.begin(reason="another one") == first
    assert drains.run(first)["state"] == "succeeded"
    assert len(drains.acts("live-migrate")) == 3


def test_a_duplicate_of_the_request_is_answered_as_the_first(drains: Drains) -> None:
    """The same event again, even after the drain's end, starts nothing."""
    drains.servers(2)
    data: dict[str, Any] = {"cloud": "lab", "host": "cmp01", "reason": "fan"}
    first = drains.send("drain.requested", id="e1", **data)
    drains.run(first.data["operation"])
    again = drains.send("drain.requested", id="e1", **data)
    assert again.data == first.data
    drains.work(60)
    assert len(drains.acts("live-migrate")) == 2
    assert len(drains.acts("disable")) == 1


def test_lost_ticks_cost_only_time(drains: Drains) -> None:
    """Between two slices an hour may pass: what ended meanwhile is found, and nothing is moved twice."""
    servers = drains.servers(4)
    operation = drains.begin()
    for _ in range(12):
        drains.engine.work(0)
        drains.clock.advance(3600)
    assert drains.document(operation)["state"] == "succeeded"
    assert Counter(act.server for act in drains.acts("live-migrate")) == Counter(servers)


def test_a_plan_that_cannot_empty_the_host_says_so_before_it_moves(drains: Drains) -> None:
    """The others are moved; the drain halts with the names and reasons of those that stay."""
    servers = drains.servers(3)
    drains.fake.set_status(servers[0], "RESCUE")
    big = drains.fake.add_server("cmp01", name="big", memory_mb=900_000)
    operation = drains.begin()
    drains.one_slice(operation)
    assert "the plan does not empty cmp01: 2 of 4 servers stay" in drains.document(operation)["note"]
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert {server.id for server in drains.fake.servers_on("cmp01")} == {servers[0], big}
    left = drains.left(document)
    assert left["vm-001"] == "in RESCUE"
    assert "memory" in left["big"]
    assert "cmp01 is not empty" in document["note"]
    assert "big" in document["note"]
    assert {entry["way_out"] for entry in document["summary"]["left"]} >= {"unrescue it first"}


STATES = [
    ("PAUSED", {}, "live-migrate", "PAUSED"),
    ("SHUTOFF", {}, "cold-migrate", "SHUTOFF"),
    ("ACTIVE", {"locked": True}, "live-migrate", "ACTIVE"),
]


@pytest.mark.parametrize(("status", "details", "verb", "after"), STATES)
def test_a_server_comes_out_as_it_went_in(
    drains: Drains, status: str, details: dict[str, Any], verb: str, after: str
) -> None:
    """Paused and locked servers move live, stopped ones cold and are confirmed; each has its status again."""
    server = drains.fake.add_server("cmp01", status=status, **details)
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert drains.step(document["id"], server)["action"] == verb
    assert drains.fake.server(server).status == after
    assert len(drains.acts("confirm")) == (1 if verb == "cold-migrate" else 0)


@pytest.mark.parametrize("status", ["ERROR", "RESCUE", "SUSPENDED", "VERIFY_RESIZE"])
def test_a_server_that_cannot_move_is_left_with_its_reason(drains: Drains, status: str) -> None:
    """It is not touched, the others move, and the drain halts with its name."""
    other, server = drains.servers(1)[0], drains.fake.add_server("cmp01", name="odd", status=status)
    document = drains.drain()
    assert document["state"] == "halted"
    assert drains.step(document["id"], server)["state"] == "left"
    assert status.split("_")[0] in drains.left(document)["odd"]
    assert drains.acts(server=server) == []
    assert drains.fake.server(other).host != "cmp01"


def test_downtime_needs_consent(drains: Drains) -> None:
    """A running server that cannot move live stays, unless the request allows downtime: then it moves cold."""
    server = drains.fake.add_server("cmp01", name="gpu", extra_specs={"pci_passthrough:alias": "gpu:1"})
    first = drains.drain()
    assert (first["state"], first["summary"]["left"][0]["way_out"]) == (
        "halted",
        "cold migration with --allow-downtime",
    )
    drains.control("cancel", first["id"])
    drains.work(5)
    second = drains.drain(allow_downtime=True)
    assert (second["state"], drains.step(second["id"], server)["action"]) == ("succeeded", "cold-migrate")
    assert drains.fake.server(server).status == "ACTIVE"


def test_a_cloud_that_is_not_configured_is_a_rejection(drains: Drains) -> None:
    """An error of the connection is told as it is, and nothing is stored."""
    from functions.migrate.drain import Drain, Links
    from shared.errors import Rejected
    from shared.operations import Engine

    def connect(name: str) -> Any:
        raise Rejected(f"no cloud {name!r}; found: lab")

    engine = Engine(drains.database, [Drain(Links(connect), drains.clock)], clock=drains.clock)
    reply = drains.send("drain.requested", engine=engine, cloud="moon", host="cmp01", reason="fan")
    assert (reply.type, reply.data["reason"]) == ("io.drover.drain.rejected", "no cloud 'moon'; found: lab")


def test_credentials_that_are_refused_in_the_middle_halt_the_drain(drains: Drains) -> None:
    """It waits for a person and does not fail: resumed, it goes on."""
    drains.servers(3)
    operation = drains.begin()
    drains.work(3)
    drains.fake.fail_next(403, of="GET /compute/v2.1/os-migrations")
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert "the cloud refuses what a drain needs" in document["note"]
    drains.control("resume", operation)
    assert drains.run(operation)["state"] == "succeeded"
    assert len(drains.acts("live-migrate")) == 3


def test_requests_of_a_slice_that_failed_are_counted(drains: Drains) -> None:
    """The number of requests is that of all that were sent, also of those that were answered 503."""
    drains.servers(3)
    operation = drains.begin()
    drains.work(3)
    drains.fake.fail_next(503, of="os-migrations", times=9)
    drains.work(1)
    document = drains.run(operation)
    assert document["summary"]["api_requests"] == drains.fake.requests["compute"]


def test_a_cloud_out_of_reach_only_delays(drains: Drains) -> None:
    """The drain says what it waits for, and goes on when the cloud is back."""
    drains.servers(3)
    operation = drains.begin()
    drains.work(4)
    drains.fake.unreachable = True
    drains.work(120)
    document = drains.document(operation)
    assert document["state"] == "running"
    assert "does not answer" in document["note"]
    drains.fake.unreachable = False
    assert drains.run(operation)["state"] == "succeeded"
    assert len(drains.acts("live-migrate")) == 3


def test_a_slice_that_takes_long_leaves_the_rest_to_the_next(make: Make) -> None:
    """When every request takes a second, a slice stays far below a minute, whatever there is to start."""
    drains = make(cap=100)
    drains.servers(60)
    send = drains.fake.wire.send

    def slow(*args: Any, **kwargs: Any) -> Any:
        drains.clock.advance(1)
        return send(*args, **kwargs)

    drains.fake.wire.send = slow  # type: ignore[method-assign]
    operation = drains.begin(concurrency=100, inbound=100, cloud_limit=100)
    longest = 0.0
    while drains.document(operation)["state"] in ("planned", "running"):
        before = drains.clock.monotonic()
        drains.engine.work(0, operation)
        longest = max(longest, drains.clock.monotonic() - before)
        drains.clock.advance(1)
    assert drains.document(operation)["state"] == "succeeded"
    assert longest < 40


def test_two_drains_never_move_servers_to_each_others_hosts(drains: Drains) -> None:
    """Both hosts are emptied at once; all servers go to the other two hosts."""
    drains.servers(6, "cmp01")
    drains.servers(6, "cmp02")
    first, second = drains.begin("cmp01"), drains.begin("cmp02")
    assert drains.run(first)["state"] == "succeeded"
    assert drains.run(second)["state"] == "succeeded"
    assert {act.target for act in drains.acts("live-migrate")} <= {"cmp03", "cmp04"}


def test_a_drain_that_begins_later_takes_its_host_from_the_plan(drains: Drains) -> None:
    """Moves that were planned to a host that is drained by now get another target before they start."""
    drains.servers(12, "cmp01")
    drains.servers(4, "cmp02")
    first = drains.begin("cmp01", inbound=1)
    drains.work(3)
    second = drains.begin("cmp02")
    begun = drains.clock.now()
    assert drains.run(first)["state"] == "succeeded"
    assert drains.run(second)["state"] == "succeeded"
    late = [act for act in drains.acts("live-migrate") if act.time >= begun + timedelta(seconds=1)]
    assert "cmp02" not in {act.target for act in late}
    assert drains.fake.servers_on("cmp02") == []


def test_two_drains_share_the_limit_of_the_cloud(make: Make) -> None:
    """Never more migrations in flight than one drain alone would be allowed."""
    drains = make(hosts=8, cap=5, seconds=10.0)
    drains.servers(8, "cmp01")
    drains.servers(8, "cmp02")
    options: dict[str, Any] = {"concurrency": 5, "inbound": 5, "cloud_limit": 3}
    first, second = drains.begin("cmp01", **options), drains.begin("cmp02", **options)
    assert drains.run(first)["state"] == "succeeded"
    assert drains.run(second)["state"] == "succeeded"
    assert drains.most_in_flight("cloud") == 3


def test_a_very_old_history_of_another_drain_does_not_confuse(drains: Drains) -> None:
    """A poll that reaches further back, for an older drain, does not make an old migration look like a new one."""
    server = drains.fake.add_server("cmp02", name="traveller")
    drains.migrate_by_hand(server, "cmp01")
    drains.clock.advance(4 * 3600)
    old = drains.fake.add_server("cmp03", name="slow")
    drains.fake.set_status(old, "ACTIVE", "image_uploading")
    first = drains.begin("cmp03")
    drains.clock.advance(1)
    drains.work(5)
    drains.clock.advance(1200)
    drains.fake.migrations[0].updated = drains.clock.now() - timedelta(hours=1, minutes=10)
    document = drains.drain("cmp01")
    assert document["state"] == "succeeded"
    assert drains.step(document["id"], server)["state"] == "done"
    assert drains.document(first)["state"] == "running"


def test_the_summary_counts_what_was_moved(drains: Drains) -> None:
    """Servers, memory, requests by service and seconds are those that the cloud saw."""
    drains.servers(2, memory_mb=2048)
    drains.fake.add_server("cmp01", name="odd", status="RESCUE", memory_mb=1024)
    operation = drains.begin()
    begun = drains.clock.now()
    document = drains.run(operation)
    summary = document["summary"]
    assert (summary["moved"], summary["total"], summary["in_flight"]) == (2, 3, 0)
    assert (summary["memory_mb_moved"], summary["memory_mb_total"]) == (4096, 5120)
    assert summary["api_requests_by_service"] == dict(drains.fake.requests)
    assert 0 < summary["seconds"] <= (drains.clock.now() - begun).total_seconds()
    assert [entry["name"] for entry in summary["left"]] == ["odd"]
