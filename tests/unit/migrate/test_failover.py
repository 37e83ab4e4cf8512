"""Amphorae are failed over by Octavia, one load balancer at a time, and followed to the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functions.migrate.failover import LIMIT
from lab.simulator.octavia import Amphora, Balancer
from tests.support.drains import Drains

FAILOVER = "amphora-failover"
LIST = "/load-balancer/v2/octavia/amphorae"


def amphora(drains: Drains, balancer: Balancer, role: str) -> Amphora:
    """The load balancer's amphora of a role."""
    return next(one for one in drains.fake.octavia.amphorae.values() if (one.balancer, one.role) == (balancer.id, role))


def failed_over(drains: Drains) -> list[str | None]:
    """The servers that Octavia was asked to fail over, in order."""
    return [act.server for act in drains.acts(FAILOVER)]


def test_a_pair_is_failed_over_standby_first(drains: Drains) -> None:
    """The standby first; the active one only when the load balancer is ACTIVE again; other servers migrate."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp01"})
    master, backup = amphora(drains, balancer, "MASTER"), amphora(drains, balancer, "BACKUP")
    (server,) = drains.servers(1)
    document = drains.drain()
    assert document["state"] == "succeeded", document["note"]
    assert failed_over(drains) == [backup.compute_id, master.compute_id]
    assert [act.server for act in drains.acts("live-migrate")] == [server]
    assert drains.fake.servers_on("cmp01") == []
    assert balancer.provisioning == "ACTIVE"
    assert {step["action"] for step in document["steps"]} == {"fail-over", "live-migrate"}
    assert document["summary"]["moved"] == 3


def test_the_host_is_disabled_before(drains: Drains) -> None:
    """Otherwise the new amphora could be built on the host that is being emptied."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.drain()
    assert [act.verb for act in drains.acts()] == ["disable", FAILOVER]
    words = [entry.act for entry in drains.audit() if entry.act in ("disable service", "fail-over", "verify failover")]
    assert words == ["disable service", "fail-over", "verify failover"]


def test_one_load_balancer_at_a_time(drains: Drains) -> None:
    """Also over several hosts that are drained together; the standby of a pair comes first wherever it is."""
    balancers = [
        drains.fake.octavia.add_balancer(f"lb-{number}", {"MASTER": "cmp01", "BACKUP": "cmp02"}) for number in range(2)
    ]
    busy: list[int] = []

    def over() -> bool:
        busy.append(sum(each.provisioning != "ACTIVE" for each in balancers))
        return all(drains.document(one)["finished_at"] for one in drains.operations())

    drains.begin("", hosts=["cmp01", "cmp02"])
    drains.until(over)
    assert {drains.document(one)["state"] for one in drains.operations()} == {"succeeded"}
    assert max(busy) == 1
    asked = failed_over(drains)
    servers = drains.fake.world.deleted
    hosts = [servers[name or ""].host for name in asked]
    assert hosts == ["cmp02", "cmp02", "cmp01", "cmp01"]


@pytest.mark.parametrize(("consent", "verb"), [(False, "live-migrate"), (True, FAILOVER)])
def test_a_single_amphora_is_failed_over_only_with_consent(drains: Drains, consent: bool, verb: str) -> None:
    """Its failover is an interruption: without --allow-downtime it moves as the server that it is; the plan says so."""
    balancer = drains.fake.octavia.add_balancer("web", {"STANDALONE": "cmp01"})
    (line,) = drains.ask(dry_run=True, allow_downtime=consent).data["servers"]
    assert "the only amphora of load balancer web" in line["reason"]
    assert line["action"] == ("fail-over" if consent else "live-migrate")
    assert drains.drain(allow_downtime=consent)["state"] == "succeeded"
    assert {act.verb for act in drains.acts()} == {"disable", verb}
    assert balancer.provisioning == "ACTIVE"


def test_a_lost_answer_is_found_out_by_reading(drains: Drains) -> None:
    """The failover goes on though its answer was lost: it is followed, and not asked for again."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.drop_answer_of_next(FAILOVER)
    assert drains.drain()["state"] == "succeeded"
    assert len(failed_over(drains)) == 1


def test_a_request_that_did_not_arrive_is_sent_again(drains: Drains) -> None:
    """When the load balancer stays as it was, nothing was carried out, and the try does not count."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.fail_next(502, of="/failover")
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert document["steps"][0]["attempts"] == 1


def test_a_failover_that_fails_waits_for_a_person(drains: Drains) -> None:
    """The load balancer in ERROR is named with the way out; resumed after its repair, the drain ends well."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp01"})
    drains.fake.octavia.failing.add(balancer.id)
    operation = drains.begin()
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert len(failed_over(drains)) == 1
    left = {entry["reason"]: entry["way_out"] for entry in document["summary"]["left"]}
    assert all("in ERROR" in reason for reason in left)
    assert all(f"openstack loadbalancer failover {balancer.id}" in way_out for way_out in left.values())
    drains.fake.octavia.failing.clear()
    drains.fake.cloud().load_balancer.put(f"/v2/lbaas/loadbalancers/{balancer.id}/failover")  # type: ignore[union-attr]
    drains.clock.advance(60)
    drains.control("resume", operation)
    assert drains.run(operation)["state"] == "succeeded"
    assert drains.fake.servers_on("cmp01") == []


def test_a_balancer_that_breaks_at_the_end_is_told(drains: Drains) -> None:
    """The old amphora is gone and the host empty, but the load balancer is in ERROR: that is no success."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.octavia.misconfiguring.add(balancer.id)
    document = drains.drain()
    assert document["state"] == "halted"
    assert "cmp01 is empty, but" in document["note"]
    assert balancer.id in document["note"]


def test_a_busy_load_balancer_is_waited_for(drains: Drains) -> None:
    """PENDING_UPDATE by its owner's doing: the plan says so, and the failover comes when it is ACTIVE."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    balancer.provisioning = "PENDING_UPDATE"
    plan = drains.ask(dry_run=True).data
    assert (plan["servers"][0]["action"], plan["feasible"]) == ("wait", False)
    operation = drains.begin()
    drains.work(60)
    assert failed_over(drains) == []
    balancer.provisioning = "ACTIVE"
    assert drains.run(operation)["state"] == "succeeded"
    assert len(failed_over(drains)) == 1


def test_a_balancer_that_becomes_busy_just_before(drains: Drains) -> None:
    """Octavia's 409 costs no try: the load balancer is looked at again."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.when_requested("/failover", lambda: setattr(balancer, "provisioning", "PENDING_UPDATE"))
    operation = drains.begin()
    drains.work(30)
    assert failed_over(drains) == []
    balancer.provisioning = "ACTIVE"
    document = drains.run(operation)
    assert (document["state"], document["steps"][0]["attempts"]) == ("succeeded", 1)


def test_a_stuck_failover_is_told(drains: Drains) -> None:
    """A load balancer that stays PENDING_UPDATE for ever keeps the drain for half an hour."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.octavia._replace = lambda *_: None  # type: ignore[method-assign]
    document = drains.run(drains.begin(), seconds=2 * LIMIT.total_seconds())
    assert document["state"] == "halted"
    assert f"{balancer.id} has been PENDING_UPDATE for 30 minutes" in document["note"]


def test_a_dead_host_has_its_amphorae_failed_over(drains: Drains) -> None:
    """Never evacuated, also the only one of a load balancer, which is down already; a spare one is left."""
    pair = drains.fake.octavia.add_balancer("pair", {"MASTER": "cmp02", "BACKUP": "cmp01"})
    single = drains.fake.octavia.add_balancer("single", {"STANDALONE": "cmp01"})
    (server,) = drains.servers(1)
    drains.fake.kill_host("cmp01")
    document = drains.drain(evacuate=True, fenced="Joe pulled the plug")
    assert document["state"] == "succeeded", document["note"]
    assert [act.server for act in drains.acts("evacuate")] == [server]
    assert len(failed_over(drains)) == 2
    assert {pair.provisioning, single.provisioning} == {"ACTIVE"}


def test_what_octavia_heals_by_itself_is_left_to_it(drains: Drains) -> None:
    """Its health manager fails an amphora over that is silent: it is waited for, and never failed over twice."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.kill_host("cmp01")
    drains.fake.octavia.heal(amphora(drains, balancer, "MASTER").id)
    assert drains.drain(evacuate=True, fenced="Joe pulled the plug")["state"] == "succeeded"
    assert failed_over(drains) == []
    assert balancer.provisioning == "ACTIVE"


def test_a_spare_amphora(drains: Drains) -> None:
    """It carries nothing: it moves as a server, and on a dead host it is not worth an evacuation."""
    drains.fake.octavia.add_spare("cmp01")
    (line,) = drains.ask(dry_run=True).data["servers"]
    assert line["action"] == "live-migrate"
    assert "without a load balancer" in line["reason"]
    drains.fake.kill_host("cmp01")
    (line,) = drains.ask(dry_run=True, evacuate=True, fenced="Joe pulled the plug").data["servers"]
    assert line["action"] == "cannot"
    assert "openstack loadbalancer amphora delete" in line["way_out"]


def test_without_amphorae_octavia_is_not_asked(drains: Drains) -> None:
    """Neither without a server that has a config drive, as every amphora has, nor without an endpoint."""
    drains.servers(2)
    assert drains.drain()["state"] == "succeeded"
    assert drains.fake.requests["load-balancer"] == 0
    del drains.fake.keystone.endpoints["load-balancer"]
    drains.fake.add_server("cmp02", config_drive=True)
    drains.engine = drains.worker()
    assert drains.drain("cmp02")["state"] == "succeeded"
    assert drains.fake.requests["load-balancer"] == 0


def test_few_requests(drains: Drains) -> None:
    """Two for a plan, however many amphorae there are; and one for every look at a failover."""
    for number in range(20):
        drains.fake.octavia.add_balancer(f"lb-{number}", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.ask(dry_run=True)
    assert drains.fake.requests["load-balancer"] == 2
    drains.drain()
    assert len(failed_over(drains)) == 20
    assert drains.fake.requests["load-balancer"] <= 4 + 20 * 6


def test_octavia_that_does_not_tell_is_no_reason_to_guess(drains: Drains) -> None:
    """Without the right to list amphorae a drain is refused, and the message says which role is missing."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.fail_next(403, of=f"GET {LIST}")
    reply = drains.ask()
    assert reply.type == "io.drover.drain.rejected"
    assert "load-balancer_admin" in str(reply.data)


def test_the_owner_deletes_the_load_balancer(drains: Drains) -> None:
    """In the middle of a failover: the amphora is gone, and nothing is left to do."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    master = amphora(drains, balancer, "MASTER")
    drains.fake.octavia._replace = lambda *_: None  # type: ignore[method-assign]
    operation = drains.begin()
    drains.until(lambda: failed_over(drains))
    del drains.fake.octavia.balancers[balancer.id], drains.fake.octavia.amphorae[master.id]
    drains.fake.delete_server(master.compute_id)
    assert drains.run(operation)["state"] == "succeeded"
    assert drains.step(operation, master.compute_id)["state"] == "gone"


def test_nova_keeps_the_server(drains: Drains, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replaced amphora whose server does not go away is told, and not counted as moved."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    monkeypatch.setattr(drains.fake.world, "remove", lambda server: None)
    document = drains.drain()
    assert document["state"] == "halted"
    assert "Nova still has the server" in document["note"]


def test_octavia_out_of_reach_holds_up_nobody_else(drains: Drains) -> None:
    """While it does not answer, the other servers are followed and moved."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    servers = drains.servers(3)
    operation = drains.begin()
    drains.until(lambda: failed_over(drains))
    drains.fake.fail_next(503, of="/load-balancer/", times=30)
    drains.work(40)
    assert all(drains.fake.server(each).host != "cmp01" for each in servers)
    drains.fake.front.trouble.failures.clear()
    assert drains.run(operation)["state"] == "succeeded"


def test_cancelled_in_the_middle(drains: Drains) -> None:
    """A failover cannot be aborted: it is followed to its end, and no other one starts."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp01"})
    operation = drains.begin()
    drains.until(lambda: failed_over(drains))
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert document["state"] == "cancelled"
    assert "could not be aborted" in document["note"]
    assert len(failed_over(drains)) == 1
    assert balancer.provisioning == "ACTIVE"


def test_the_plan_of_amphorae(make: Callable[..., Drains]) -> None:
    """The lines come in the order of the failovers, after the moves, with a forecast, and no target."""
    drains = make()
    for name in ("b", "a"):
        drains.fake.octavia.add_balancer(name, {"MASTER": "cmp01", "BACKUP": "cmp01"})
    drains.servers(1)
    plan = drains.ask(dry_run=True).data
    assert plan["feasible"]
    assert [line["action"] for line in plan["servers"]] == ["live-migrate"] + ["fail-over"] * 4
    reasons = [line["reason"] for line in plan["servers"][1:]]
    assert [reason.split()[0] for reason in reasons] == ["BACKUP", "MASTER"] * 2
    assert reasons[0].split()[-1] == reasons[1].split()[-1]
    assert all(line["to"] is None and line["seconds"] > 0 for line in plan["servers"][1:])
    assert plan["seconds"] == sum(line["seconds"] for line in plan["servers"][1:])


def test_drains_of_others_take_their_turn(drains: Drains) -> None:
    """Two drains that nobody has asked for together fail over one load balancer at a time as well."""
    one = drains.fake.octavia.add_balancer("one", {"MASTER": "cmp01", "BACKUP": "cmp03"})
    two = drains.fake.octavia.add_balancer("two", {"MASTER": "cmp02", "BACKUP": "cmp03"})
    first, second = drains.begin("cmp01"), drains.begin("cmp02")
    busy: list[int] = []

    def over() -> bool:
        busy.append(sum(each.provisioning != "ACTIVE" for each in (one, two)))
        return all(drains.document(each)["finished_at"] for each in (first, second))

    drains.until(over)
    assert max(busy) == 1
    assert len(failed_over(drains)) == 2


def test_two_workers_at_the_same_moment(drains: Drains) -> None:
    """Whose intent meets another one's yields, and its try does not count."""
    drains.fake.octavia.add_balancer("one", {"MASTER": "cmp01", "BACKUP": "cmp03"})
    drains.fake.octavia.add_balancer("two", {"MASTER": "cmp02", "BACKUP": "cmp03"})
    first, second = drains.begin("cmp01"), drains.begin("cmp02")
    (theirs,) = (server.id for server in drains.fake.servers_on("cmp02"))
    drains.when_requested("/loadbalancers/", lambda: drains.one_slice(second, drains.worker()))
    drains.one_slice(first)
    assert failed_over(drains) == [theirs]
    documents = [drains.run(each) for each in (first, second)]
    assert [document["state"] for document in documents] == ["succeeded"] * 2
    assert [document["steps"][0]["attempts"] for document in documents] == [1, 1]
    assert len(failed_over(drains)) == 2


def test_a_pause_between_intent_and_request_is_heeded(drains: Drains) -> None:
    """Nothing is asked of Octavia after the person's word has come."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    operation = drains.begin()
    drains.when_requested("/loadbalancers/", lambda: drains.control("pause", operation))
    assert drains.run(operation)["state"] == "paused"
    assert failed_over(drains) == []
    drains.control("resume", operation)
    assert drains.run(operation)["state"] == "succeeded"


@pytest.mark.parametrize("of", ["GET /load-balancer/v2/lbaas/loadbalancers/", "/failover"])
def test_octavia_that_is_busy_is_asked_again(drains: Drains, of: str) -> None:
    """A 503 before a failover costs no try."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    operation = drains.begin()
    drains.fake.fail_next(503, of=of, times=3 if of.startswith("GET") else 1)
    document = drains.run(operation)
    assert (document["state"], document["steps"][0]["attempts"]) == ("succeeded", 1)
    assert len(failed_over(drains)) == 1


def test_a_refusal_is_told(drains: Drains) -> None:
    """Octavia that forbids failovers sets the server aside after its tries, with its own words."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.fail_next(403, of="/failover", times=99)
    document = drains.drain()
    assert document["state"] == "halted"
    assert "load-balancer refused it (403)" in document["note"]
    assert document["steps"][0]["attempts"] == 3


def test_a_conflict_that_does_not_end_is_told(drains: Drains) -> None:
    """A load balancer that reads ACTIVE and refuses all the same is not asked for ever."""
    drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})
    drains.fake.fail_next(409, of="/failover", times=99)
    document = drains.drain()
    assert document["state"] == "halted"
    assert sum("/failover" in line for line in drains.fake.log) < 10


def test_a_failover_of_which_nothing_comes(drains: Drains) -> None:
    """Accepted, and the load balancer ACTIVE again with the same amphora: that is a failed try."""
    balancer = drains.fake.octavia.add_balancer("web", {"MASTER": "cmp01", "BACKUP": "cmp02"})

    def forget(*_: object) -> None:
        balancer.provisioning = "ACTIVE"

    drains.fake.octavia._replace = forget  # type: ignore[method-assign, assignment]
    document = drains.drain()
    assert document["state"] == "halted"
    assert "Octavia accepted the failover, and its amphora" in document["note"]
    assert len(failed_over(drains)) == 3
