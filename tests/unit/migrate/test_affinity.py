"""What a hard affinity group lets its members do."""

from __future__ import annotations

from typing import Any

import pytest

from functions.migrate.affinity import FREE_ALL, SHELVE, SHELVE_ALL, verdict_of
from functions.migrate.model import Action, DrainPolicy, Verdict
from lab.simulator.records import Fault
from shared.fleet.snapshot import Server
from tests.support.drains import Drains
from tests.unit.migrate.builders import fleet, group, host, server

PLAIN = DrainPolicy()
DOWNTIME = DrainPolicy(allow_downtime=True)
EVACUATE = DrainPolicy(evacuate=True)
DEAD = {"state": "down", "forced_down": True}


def found(one: Server, *others: Server, policy: DrainPolicy = PLAIN, kind: str = "affinity", **source: Any) -> Verdict:
    """The verdict on a server of cmp01 that is in the group `web` with the others and with one that is deleted."""
    together = group("web", kind, one.id, *(other.id for other in others), "deleted")
    return verdict_of(fleet([host("cmp01", **source), host("cmp02")], [one, *others], [together]), one, policy)


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED", "SHUTOFF"])
def test_member_with_others_here_cannot(status: str) -> None:
    """Running or stopped, a member whose group is wholly on the host stays, and is told why and with how many."""
    verdict = found(server("a", status=status), server("b"))
    assert verdict.action is Action.CANNOT
    assert verdict.reason == (
        "in affinity group web with 1 other: Nova moves none of them, its scheduler allows only the host where the "
        "others are"
    )
    assert verdict.way_out == f"{SHELVE_ALL}; or {FREE_ALL}"
    assert "with 2 others:" in found(server("a"), server("b"), server("c", status="ERROR")).reason


def test_lone_member_is_forced() -> None:
    """A lone member moves live, asked for past the scheduler; members that are on no host do not count."""
    alone = Verdict(Action.LIVE_MIGRATE, "alone in affinity group web: forced past Nova's scheduler", force=True)
    assert found(server("a")) == alone
    assert found(server("a"), server("b", None)) == alone
    assert found(server("a"), server("b", status="SHELVED_OFFLOADED")) == alone
    locked = found(server("a", locked=True))
    assert locked.force
    assert locked.reason == f"locked by its owner: admins may still move it; {alone.reason}"


def test_on_a_dead_host() -> None:
    """A lone member is evacuated by force; several are not, and none can be shelved: the group has to give way."""
    for status in ("ACTIVE", "SHUTOFF", "ERROR"):
        alone = found(server("a", status=status, volume_backed=True), policy=EVACUATE, **DEAD)
        assert alone == Verdict(
            Action.EVACUATE, "alone in affinity group web: forced past Nova's scheduler", force=True
        )
    verdict = found(server("a"), server("b"), policy=EVACUATE, **DEAD)
    assert (verdict.action, verdict.way_out) == (Action.CANNOT, FREE_ALL)


def test_lone_member_without_a_name_for_its_group() -> None:
    """A group without a name is called by its id."""
    nameless = group("g-1", "affinity", "a")
    nameless = type(nameless)(nameless.id, nameless.policy, nameless.members)
    one = server("a")
    assert "affinity group g-1" in verdict_of(fleet([host("cmp01")], [one], [nameless]), one, PLAIN).reason


def test_lone_stopped_member_cannot() -> None:
    """Nothing forces a cold migration: a stopped member is started or shelved, one that needs downtime is shelved."""
    verdict = found(server("a", status="SHUTOFF"))
    assert verdict.action is Action.CANNOT
    assert "alone in affinity group web" in verdict.reason
    assert verdict.way_out == f"start it, then it moves live; or {SHELVE}"
    bound = found(server("a", extra_specs={"pci_passthrough:alias": "gpu:1"}), policy=DOWNTIME)
    assert (bound.action, bound.way_out) == (Action.CANNOT, SHELVE)


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF"])
def test_member_with_others_elsewhere_follows(status: str) -> None:
    """Where other members are on another host the scheduler lets it go there, so that its own verdict stands."""
    verdict = found(server("a", status=status), server("b"), server("c", "cmp02"))
    assert verdict.action is (Action.LIVE_MIGRATE if status == "ACTIVE" else Action.COLD_MIGRATE)
    assert (verdict.reason, verdict.force) == ("", False)


def test_members_that_are_being_deleted_are_waited_for() -> None:
    """Nova counts a member until it is gone: when the others all go, the last one waits for that."""
    going = server("b", task_state="deleting")
    verdict = found(server("a"), going)
    assert verdict.action is Action.WAIT
    assert "until b is deleted" in verdict.reason
    assert found(server("a"), going, server("c")).action is Action.CANNOT


@pytest.mark.parametrize("kind", ["anti-affinity", "soft-affinity", "soft-anti-affinity"])
def test_other_groups_bind_nobody(kind: str) -> None:
    """Only a hard affinity group changes a verdict."""
    assert found(server("a"), server("b"), kind=kind) == Verdict(Action.LIVE_MIGRATE)


@pytest.mark.parametrize(("status", "action"), [("ERROR", Action.CANNOT), ("REBOOT", Action.WAIT)])
def test_own_obstacle_comes_first(status: str, action: Action) -> None:
    """What keeps the server itself is told, not its group."""
    verdict = found(server("a", status=status), server("b"))
    assert verdict.action is action
    assert "affinity" not in verdict.reason


def test_drain_of_affinity_groups(drains: Drains) -> None:
    """A drain forces the lone member away, leaves the pair alone, says why, and the audit shows the force."""
    alone = drains.fake.add_server("cmp01", name="alone", group=drains.fake.add_group("affinity", name="g1"))
    pair = drains.fake.add_group("affinity", name="g2")
    together = [drains.fake.add_server("cmp01", name=name, group=pair) for name in ("p1", "p2")]
    (other,) = drains.servers(1)
    document = drains.drain()
    left = drains.left(document)
    assert left.keys() == {"p1", "p2"}
    assert "in affinity group g2 with 1 other" in left["p1"]
    assert [drains.fake.server(name).status for name in (alone, *together)] == ["ACTIVE"] * 3
    assert {act.server for act in drains.acts("live-migrate")} == {alone, other}
    assert drains.fake.server(alone).host != "cmp01"
    forced = {row.subject for row in drains.audit() if (row.after or {}).get("force")}
    assert forced == {alone}


def test_evacuation_of_a_lone_member(drains: Drains) -> None:
    """From a dead host a lone member is evacuated by force, at the first try."""
    alone = drains.fake.add_server("cmp01", group=drains.fake.add_group("affinity"))
    drains.fake.kill_host("cmp01")
    assert drains.drain(evacuate=True, fenced="nina pulled the plug")["state"] == "succeeded"
    assert [act.server for act in drains.acts("evacuate")] == [alone]
    assert drains.fake.server(alone).status == "ACTIVE"


def test_a_member_that_arrives_is_decided_by_its_group(drains: Drains) -> None:
    """A lone member that comes during the drain, or is tried again, is forced as well."""
    operation = drains.begin()
    alone = drains.fake.add_server("cmp01", group=drains.fake.add_group("affinity"))
    drains.fake.faults[alone] = Fault(prepare=True, times=1)
    drains.servers(3)
    assert drains.run(operation)["state"] == "succeeded"
    assert len(drains.acts("live-migrate", alone)) == 2
    assert drains.fake.server(alone).host != "cmp01"
