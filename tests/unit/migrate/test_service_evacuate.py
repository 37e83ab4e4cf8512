"""Hosts that are dead: evacuated only when that is stated or recorded, and never by mistake."""

from __future__ import annotations

import pytest

from lab.simulator.records import Fault
from tests.support.drains import Drains


def test_a_host_that_somebody_has_forced_down_is_evacuated(drains: Drains) -> None:
    """Also then on a statement, which goes on record; servers come back elsewhere in the status that they had."""
    running, stopped = drains.fake.add_server("cmp01"), drains.fake.add_server("cmp01", status="SHUTOFF")
    drains.fake.kill_host("cmp01")
    drains.fake.host("cmp01").forced_down = True
    operation = drains.begin(evacuate=True, fenced="Joe pulled the plug")
    document = drains.run(operation)
    assert (document["state"], document["note"]) == ("succeeded", "")
    (entry,) = [entry for entry in drains.audit(operation) if entry.act == "found service forced down"]
    assert entry.after["fenced"] == "Joe pulled the plug"
    assert [act.verb for act in drains.acts()] == ["disable", "evacuate", "evacuate"]
    assert (drains.fake.server(running).status, drains.fake.server(stopped).status) == ("ACTIVE", "SHUTOFF")
    assert {drains.fake.server(server).host for server in (running, stopped)}.isdisjoint({"cmp01"})


def test_a_statement_of_fencing_forces_the_host_down(drains: Drains) -> None:
    """First that, with the statement on record; then the service is disabled and the servers are evacuated."""
    drains.servers(2)
    drains.fake.kill_host("cmp01")
    operation = drains.begin(evacuate=True, fenced="Joe pulled the plug")
    assert drains.run(operation)["state"] == "succeeded"
    assert [act.verb for act in drains.acts()] == ["force-down", "disable", "evacuate", "evacuate"]
    (entry,) = [entry for entry in drains.audit(operation) if entry.act == "force service down"]
    assert entry.after["fenced"] == "Joe pulled the plug"


def test_a_dry_run_shows_what_fencing_would_allow(drains: Drains) -> None:
    """The plan is made as if the host was forced down already, and nothing is changed."""
    drains.servers(2)
    drains.fake.kill_host("cmp01")
    plan = drains.ask(evacuate=True, fenced="Joe pulled the plug", dry_run=True).data
    assert plan["feasible"]
    assert {line["action"] for line in plan["servers"]} == {"evacuate"}
    assert drains.acts() == []


@pytest.mark.parametrize("forced_down", [False, True])
def test_without_a_statement_nothing_is_evacuated(drains: Drains, forced_down: bool) -> None:
    """Neither down nor forced down says that a host is off: the request is refused, and says what is missing."""
    drains.servers(1)
    drains.fake.kill_host("cmp01")
    drains.fake.host("cmp01").forced_down = forced_down
    reply = drains.ask(evacuate=True)
    assert reply.type == "io.drover.drain.rejected"
    assert "--fenced" in reply.data["reason"]
    assert drains.acts() == []


def test_a_lost_answer_to_the_forcing_down_is_made_good(drains: Drains) -> None:
    """It is done once, and the servers are evacuated."""
    drains.servers(1)
    drains.fake.kill_host("cmp01")
    drains.fake.drop_answer_of_next("force-down")
    document = drains.drain(evacuate=True, fenced="Joe pulled the plug")
    assert document["state"] == "succeeded"
    assert len(drains.acts("force-down")) == len(drains.acts("evacuate")) == 1


def test_an_evacuation_that_is_refused_goes_elsewhere(drains: Drains) -> None:
    """The first target refuses and leaves the server in ERROR: the second try brings it back."""
    server = drains.servers(1)[0]
    drains.fake.faults[server] = Fault(precheck=True, times=1)
    drains.fake.kill_host("cmp01")
    document = drains.drain(evacuate=True, fenced="Joe pulled the plug")
    assert document["state"] == "succeeded"
    first, second = drains.acts("evacuate")
    assert first.target != second.target
    assert drains.fake.server(server).status == "ACTIVE"


def test_a_lost_answer_to_an_evacuation_is_looked_up(drains: Drains) -> None:
    """Nova has got it: it is followed, and not asked for again."""
    drains.servers(1)
    drains.fake.kill_host("cmp01")
    drains.fake.drop_answer_of_next("evacuate")
    assert drains.drain(evacuate=True, fenced="Joe pulled the plug")["state"] == "succeeded"
    assert len(drains.acts("evacuate")) == 1


def test_a_dead_host_has_no_queue(drains: Drains) -> None:
    """Evacuations are bounded by the targets and the cloud, not by what the source could do."""
    drains.servers(12)
    drains.fake.kill_host("cmp01")
    assert drains.drain(evacuate=True, fenced="Joe pulled the plug", cloud_limit=5)["state"] == "succeeded"
    assert drains.most_in_flight("cloud") == 5
    assert drains.most_in_flight("target") <= 2


def test_only_a_drains_reason_is_ours() -> None:
    """The mark at its begin tells it; the reason is never longer than Nova keeps."""
    from functions.migrate.nova import ComputeService
    from functions.migrate.service import is_ours, our_reason

    def disabled(reason: str | None, status: str = "disabled") -> ComputeService:
        return ComputeService("id", "cmp01", "nova", "up", status, reason, False)

    assert is_ours(disabled(our_reason("0123456789", "fan")))
    assert not is_ours(disabled("fan"))
    assert not is_ours(disabled(None))
    assert not is_ours(disabled(our_reason("0123456789", "fan"), status="enabled"))
    assert len(our_reason("0123456789", "x" * 200)) <= 255
