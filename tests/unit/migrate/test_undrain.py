"""Giving a host back."""

from __future__ import annotations

import pytest

from tests.support.drains import Drains


def test_what_a_drain_disabled_is_enabled(drains: Drains) -> None:
    """The service is enabled, on record, and the operation succeeds with a sentence."""
    drains.drain()
    operation = drains.begin(kind="undrain", reason="the fan is new")
    document = drains.run(operation)
    assert (document["state"], document["note"]) == ("succeeded", "cmp01 is enabled")
    assert not drains.fake.host("cmp01").disabled
    (entry,) = [entry for entry in drains.audit(operation) if entry.act == "enable service"]
    assert (entry.who, entry.why) == ("nina", "the fan is new")
    assert str(entry.before["reason"]).startswith("drover drain ")


@pytest.mark.parametrize("reason", ["bad RAM", None, ""])
def test_what_somebody_else_disabled_stays_so(drains: Drains, reason: str | None) -> None:
    """The answer names the reason and the command for whoever disabled it."""
    drains.fake.host("cmp01").disabled = True
    drains.fake.host("cmp01").disabled_reason = reason
    document = drains.run(drains.begin(kind="undrain"))
    assert document["state"] == "failed"
    assert f"its reason is {reason!r}" in document["note"]
    assert "openstack compute service set --enable cmp01" in document["note"]
    assert drains.acts() == []


def test_an_enabled_host_is_left_as_it_is(drains: Drains) -> None:
    """There is nothing to do, and that is no failure."""
    document = drains.run(drains.begin(kind="undrain"))
    assert (document["state"], document["note"]) == ("succeeded", "cmp01 is enabled already")
    assert drains.acts() == []


def test_a_host_under_a_living_drain_is_not_given_back(drains: Drains) -> None:
    """The drain must be ended first; the answer names it."""
    drains.servers(4)
    drain = drains.begin()
    drains.work(3)
    document = drains.run(drains.begin(kind="undrain"))
    assert document["state"] == "failed"
    assert drain in document["note"]
    assert drains.fake.host("cmp01").disabled
    assert drains.run(drain)["state"] == "succeeded"


def test_an_unknown_host_is_rejected(drains: Drains) -> None:
    """The answer names similar hosts."""
    reply = drains.ask("cmp1", kind="undrain")
    assert reply.type == "io.drover.undrain.rejected"
    assert "cmp01" in reply.data["reason"]


def test_a_lost_answer_is_looked_up(drains: Drains) -> None:
    """The service is enabled once, and the operation succeeds."""
    drains.drain()
    drains.fake.drop_answer_of_next("enable")
    document = drains.run(drains.begin(kind="undrain"))
    assert document["state"] == "succeeded"
    assert len(drains.acts("enable")) == 1


def test_a_host_that_was_removed_since_is_a_failure(drains: Drains) -> None:
    """It is said, and not taken for a bug."""
    operation = drains.begin(kind="undrain")
    del drains.fake.world.hosts["cmp01"]
    document = drains.run(operation)
    assert document["state"] == "failed"
    assert "cmp01" in document["note"]


def test_a_cancelled_and_a_paused_undrain_change_nothing(drains: Drains) -> None:
    """Requests that come before the first slice are heeded."""
    drains.drain()
    paused = drains.begin(kind="undrain")
    drains.control("pause", paused)
    drains.work(30)
    assert drains.acts("enable") == []
    drains.control("cancel", paused)
    assert drains.run(paused)["state"] == "cancelled"
    assert drains.document(paused)["summary"] == {}
    assert drains.acts("enable") == []
