"""Several hosts at once: one request, one plan, an operation for each."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from functions.migrate.together import documents
from shared.operations import Prepared
from shared.store import Operation
from tests.support.drains import Drains

RACK = ["cmp01", "cmp02"]


def together(drains: Drains, **options: Any) -> dict[str, str]:
    """Ask for a drain of the rack; gives the operations by host."""
    reply = drains.ask("", **({"hosts": RACK} | options))
    assert reply.type == "io.drover.drain.accepted", reply.data
    return dict(reply.data["together"])


def test_each_host_gets_an_operation_of_its_own(drains: Drains) -> None:
    """The answer names all of them; each knows its own host and all, and none moves a server to another."""
    servers = [*drains.servers(3), *drains.servers(3, "cmp02")]
    operations = together(drains)
    assert list(operations) == RACK
    for host, operation in operations.items():
        document = drains.run(operation)
        assert (document["state"], document["target"], document["summary"]["moved"]) == ("succeeded", host, 3)
    assert {drains.fake.server(server).host for server in servers} <= {"cmp03", "cmp04"}
    assert all(len(drains.acts("live-migrate", server)) == 1 for server in servers)
    assert [drains.fake.host(host).disabled for host in RACK] == [True, True]


def test_all_are_accepted_or_none(drains: Drains) -> None:
    """One unknown host among them, and nothing is stored."""
    reply = drains.ask("", hosts=["cmp01", "cmp2"])
    assert reply.type == "io.drover.drain.rejected"
    assert "'cmp2'" in reply.data["reason"]
    assert drains.operations() == []


def test_a_failing_insert_stores_nothing(drains: Drains, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store refuses the second operation: the first one is not there either."""
    from shared.operations.receive import Receiver

    living = Receiver._living

    def second_fails(self: Receiver, session: Any, event: Any, kind: Any, prepared: Prepared) -> Any:
        if prepared.target == "cmp02":
            raise IntegrityError("insert", {}, Exception("twin"))
        return living(self, session, event, kind, prepared)

    monkeypatch.setattr(Receiver, "_living", second_fails)
    with pytest.raises(IntegrityError):
        drains.ask("", hosts=RACK)
    assert drains.operations() == []


def test_the_same_event_twice_is_one_rack(drains: Drains) -> None:
    """The second delivery is answered as the first, with the same operations."""
    options = {"reason": "r", "requester": "n", "cloud": "lab", "hosts": RACK}
    first = drains.send("drain.requested", id="once", **options)
    again = drains.send("drain.requested", id="once", **options)
    assert first.data["together"] == again.data["together"]
    assert len(drains.operations()) == 2


def test_a_host_that_is_drained_already_goes_on_with_its_drain(drains: Drains) -> None:
    """One living drain a host: the rack's answer names the earlier one."""
    earlier = drains.begin("cmp02")
    assert together(drains)["cmp02"] == earlier
    assert len(drains.operations()) == 2


def test_the_accepted_facts_are_sent_for_each(drains: Drains) -> None:
    """Every operation's own fact wakes whoever works on it."""
    for operation in together(drains).values():
        assert drains.facts(operation)[0] == "accepted"


def test_a_companion_is_no_target_though_nothing_lives_on_it(drains: Drains) -> None:
    """Also when its own drain has ended long before and it was given back."""
    drains.fake.host("cmp04").disabled = True
    servers = drains.servers(2)
    operations = together(drains)
    drains.control("pause", operations["cmp01"])
    drains.run(operations["cmp02"])
    drains.run(drains.begin("cmp02", kind="undrain"))
    drains.control("resume", operations["cmp01"])
    assert drains.run(operations["cmp01"])["state"] == "succeeded"
    assert {drains.fake.server(server).host for server in servers} == {"cmp03"}


def test_one_plan_shows_all_hosts(drains: Drains) -> None:
    """A dry run changes nothing and names the host that would not be empty; the lines say whose they are."""
    drains.servers(1)
    stuck = drains.fake.add_server("cmp02", status="RESCUE")
    plan = drains.ask("", hosts=["cmp02", "cmp01"], dry_run=True).data
    assert plan["host"] == "cmp01, cmp02"
    assert [(each["host"], each["feasible"]) for each in plan["hosts"]] == [("cmp01", True), ("cmp02", False)]
    assert plan["feasible"] is False
    assert {line["host"]: line["action"] for line in plan["servers"]} == {"cmp01": "live-migrate", "cmp02": "cannot"}
    assert [line["id"] for line in plan["servers"]][1] == stuck
    assert drains.acts() == []
    assert drains.operations() == []


def test_room_is_given_once(make: Any) -> None:
    """Two hosts that would each fit alone do not fit together; the plan says by how much, and so does the run."""
    drains = make(hosts=2)
    drains.fake.add_host("cmp09", memory_mb=8192)
    for host in RACK:
        drains.fake.add_server(host, memory_mb=6144)
        assert drains.ask(host, dry_run=True, cloud="lab").data["feasible"]
    plan = drains.ask("", hosts=RACK, dry_run=True).data
    assert plan["feasible"] is False
    assert plan["shortfall"]["missing"] == {"MEMORY_MB": 4096}
    states = [drains.run(operation)["state"] for operation in together(drains, max_attempts=1).values()]
    assert sorted(states) == ["halted", "succeeded"]
    assert sum(server.host == "cmp09" for server in drains.fake.world.servers.values()) == 1


def test_the_run_takes_the_plans_targets(drains: Drains) -> None:
    """What the dry run shows is what is done, though each host is planned by an operation of its own."""
    group = drains.fake.add_group()
    for host in RACK:
        drains.fake.add_server(host, group=group)
        drains.servers(2, host)
    plan = {line["id"]: line["to"] for line in drains.ask("", hosts=RACK, dry_run=True).data["servers"]}
    operations = together(drains)
    for operation in operations.values():
        assert drains.run(operation)["state"] == "succeeded"
    with drains.database.reading() as session:
        memos = [session.get_one(Operation, operation).memo for operation in operations.values()]
    assert not any("shares" in memo for memo in memos)
    assert {act.server: act.target for act in drains.acts("live-migrate")} == plan


def test_an_aggregate_is_a_rack(drains: Drains) -> None:
    """All its hosts are meant; of a single one the answer is as ever."""
    drains.fake.add_aggregate("rack-7", RACK)
    drains.fake.add_aggregate("rack-8", ["cmp03"])
    drains.fake.add_aggregate("rack-9", [])
    assert list(together(drains, hosts=[], aggregate="rack-7")) == RACK
    reply = drains.ask("", aggregate="rack-8")
    assert (reply.data["target"], "together" in reply.data) == ("cmp03", False)
    assert "no host in aggregate 'rack-9'" in drains.ask("", aggregate="rack-9").data["reason"]
    unknown = drains.ask("", aggregate="rack7").data["reason"]
    assert "no aggregate named 'rack7'" in unknown
    assert "rack-7" in unknown


def test_a_cloud_without_aggregates_says_so(drains: Drains) -> None:
    """There is nothing to choose from."""
    assert "the cloud has none" in drains.ask("", aggregate="rack").data["reason"]


def test_too_large_an_aggregate_is_refused(drains: Drains) -> None:
    """A whole cloud is not drained by mistake."""
    drains.fake.add_aggregate("all", [f"cmp{number}" for number in range(51)])
    assert "51 hosts" in drains.ask("", aggregate="all").data["reason"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"host": "cmp01", "aggregate": "rack"},
        {"host": "cmp03", "hosts": RACK},
        {"hosts": RACK, "aggregate": "rack"},
        {"hosts": [""]},
        {"hosts": [f"h{number}" for number in range(51)]},
    ],
)
def test_the_hosts_are_named_in_one_way(drains: Drains, options: dict[str, Any]) -> None:
    """None or several ways at once are refused, and so are names that are none, and too many."""
    assert drains.ask(**{"host": "", **options}).type == "io.drover.drain.rejected"
    assert drains.operations() == []


def test_dead_hosts_are_evacuated_together(drains: Drains) -> None:
    """A rack without power: one statement, every host forced down, no server on another dead host."""
    servers = [*drains.servers(2), *drains.servers(2, "cmp02")]
    for host in RACK:
        drains.fake.kill_host(host)
    for operation in together(drains, evacuate=True, fenced="Joe: no power in rack 7").values():
        assert drains.run(operation)["state"] == "succeeded"
    assert {drains.fake.server(server).host for server in servers} == {"cmp03", "cmp04"}
    assert len(drains.acts("force-down")) == 2


def test_a_rack_reads_the_fleet_once(drains: Drains) -> None:
    """The companions of a process share what was read."""
    drains.servers(2)
    drains.servers(2, "cmp02")
    operations = together(drains)
    drains.fake.log.clear()
    for operation in operations.values():
        drains.one_slice(operation)
    assert sum("os-hypervisors" in line for line in drains.fake.log) <= 1


def test_a_document_of_nothing_missing_has_no_shortfall() -> None:
    """And the document of a single plan is that plan's own."""
    from functions.migrate.model import DrainPlan

    plans = tuple(DrainPlan(host, True, (), None, 0.0) for host in RACK)
    assert documents(plans)["shortfall"] is None
    assert "hosts" not in documents(plans[:1])
