"""Dead hosts that come back: nothing lives twice, and the host is given back when it has cleaned up."""

from __future__ import annotations

import pytest

from lab.simulator.records import Fault
from tests.support.drains import Drains

FENCED = "Joe pulled the plug"


@pytest.fixture
def evacuated(drains: Drains) -> Drains:
    """A dead host whose two servers live elsewhere now."""
    drains.servers(2)
    drains.fake.kill_host("cmp01")
    assert drains.drain(evacuate=True, fenced=FENCED)["state"] == "succeeded"
    return drains


def test_an_undrain_waits_until_the_host_has_cleaned_up(evacuated: Drains) -> None:
    """It says what it waits for, goes on by itself when nova-compute is back, and everything is on record."""
    operation = evacuated.begin(kind="undrain", reason="the plug is in again")
    evacuated.work(120, operation)
    document = evacuated.document(operation)
    assert document["state"] == "running"
    assert "has not cleaned up 2 servers" in document["note"]
    assert "start its nova-compute" in document["note"]
    assert evacuated.fake.host("cmp01").disabled
    evacuated.fake.revive_host("cmp01")
    document = evacuated.run(operation)
    assert (document["state"], document["note"]) == ("succeeded", "cmp01 is enabled")
    host = evacuated.fake.host("cmp01")
    assert (host.forced_down, host.disabled) == (False, False)
    acts = [entry.act for entry in evacuated.audit(operation)]
    assert acts.index("lift forced down") < acts.index("enable service")
    assert evacuated.fake.servers_on("cmp01") == []


def test_a_host_without_servers_is_given_back_when_it_reports(drains: Drains) -> None:
    """Nothing has to be cleaned up: forced_down is lifted at once, but the service is enabled only when it is up."""
    drains.fake.kill_host("cmp01")
    assert drains.drain(evacuate=True, fenced=FENCED)["state"] == "succeeded"
    operation = drains.begin(kind="undrain")
    drains.work(60, operation)
    assert "does not report" in drains.document(operation)["note"]
    assert (drains.fake.host("cmp01").forced_down, drains.fake.host("cmp01").disabled) == (False, True)
    drains.fake.revive_host("cmp01")
    assert drains.run(operation)["state"] == "succeeded"
    assert not drains.fake.host("cmp01").disabled


def test_what_somebody_else_forced_down_is_theirs_to_lift(drains: Drains) -> None:
    """The undrain names the command, waits, and goes on when they have done it."""
    drains.servers(1)
    drains.fake.kill_host("cmp01")
    drains.fake.host("cmp01").forced_down = True
    assert drains.drain(evacuate=True, fenced=FENCED)["state"] == "succeeded"
    drains.fake.revive_host("cmp01")
    operation = drains.begin(kind="undrain")
    drains.work(60, operation)
    assert "forced down by somebody else" in drains.document(operation)["note"]
    assert drains.fake.host("cmp01").forced_down
    drains.fake.host("cmp01").forced_down = False
    assert drains.run(operation)["state"] == "succeeded"


def test_novas_refusal_is_waited_out(evacuated: Drains) -> None:
    """Should Nova not take it back yet for a reason of its own, its words are the note."""
    evacuated.fake.revive_host("cmp01")
    operation = evacuated.begin(kind="undrain")
    evacuated.fake.fail_next(400, of="PUT /compute", times=1)
    evacuated.work(1, operation)
    assert "Nova does not take back yet" in evacuated.document(operation)["note"]
    assert evacuated.run(operation)["state"] == "succeeded"


def test_evacuations_under_way_are_waited_for(drains: Drains) -> None:
    """Somebody else evacuates the last server: the host is not given back before that is through."""
    drains.fake.kill_host("cmp01")
    assert drains.drain(evacuate=True, fenced=FENCED)["state"] == "succeeded"
    server = drains.fake.add_server("cmp01")
    drains.fake.faults[server] = Fault(spawn="hang")
    drains.act_by_hand(server, {"evacuate": {"host": "cmp02"}})
    operation = drains.begin(kind="undrain")
    drains.work(30, operation)
    assert "1 server still being evacuated" in drains.document(operation)["note"]
    assert drains.fake.host("cmp01").forced_down


def test_a_cancelled_undrain_says_what_it_has_changed(drains: Drains) -> None:
    """After forced_down was lifted that is said, and the service stays disabled."""
    drains.fake.kill_host("cmp01")
    assert drains.drain(evacuate=True, fenced=FENCED)["state"] == "succeeded"
    operation = drains.begin(kind="undrain")
    drains.work(5, operation)
    drains.control("cancel", operation)
    document = drains.run(operation)
    assert (document["state"], "stays disabled" in document["note"]) == ("cancelled", True)
    assert drains.fake.host("cmp01").disabled


def test_a_host_that_comes_back_too_early_halts_the_evacuation(drains: Drains) -> None:
    """Its servers may run again: those that are left are not touched, until somebody has fenced it again."""
    servers = drains.servers(6)
    drains.fake.kill_host("cmp01")
    operation = drains.begin(evacuate=True, fenced=FENCED, cloud_limit=2)
    drains.until(lambda: drains.acts("evacuate"))
    drains.fake.revive_host("cmp01")
    document = drains.run(operation)
    assert document["state"] == "halted"
    assert "is not dead: its nova-compute has reported" in document["note"]
    left = [server for server in servers if drains.fake.server(server).host == "cmp01"]
    assert left
    assert not [act for act in drains.acts("evacuate") if act.server in left]
    drains.fake.kill_host("cmp01")
    drains.control("resume", operation, reason="pulled it again")
    assert drains.run(operation)["state"] == "succeeded"
    assert drains.fake.servers_on("cmp01") == []
    assert max(len(drains.acts("evacuate", server)) for server in servers) == 1


def test_a_drains_own_reason_tells_the_fence(drains: Drains) -> None:
    """A live drain has disabled the host before it died: the next one's reason says that it has forced it down."""
    drains.servers(1)
    first = drains.begin()
    drains.one_slice(first)
    drains.control("cancel", first)
    drains.run(first)
    drains.fake.kill_host("cmp01")
    second = drains.begin(evacuate=True, fenced=FENCED)
    drains.run(second)
    assert drains.fake.host("cmp01").disabled_reason == f"drover drain {second[:8]} (fenced): a fan is broken"


def test_cancelling_an_evacuation_does_not_lift_the_fence(drains: Drains) -> None:
    """`--undo` says how the host is given back instead."""
    drains.servers(4)
    drains.fake.kill_host("cmp01")
    operation = drains.begin(evacuate=True, fenced=FENCED, cloud_limit=1)
    drains.until(lambda: drains.acts("evacuate"))
    drains.control("cancel", operation, undo=True)
    document = drains.run(operation)
    assert document["state"] == "cancelled"
    assert "drover undrain cmp01" in document["note"]
    assert drains.fake.host("cmp01").forced_down
