"""Evacuations: who is first, and that they spread."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.migrate.model import Action, DrainPolicy
from functions.migrate.plan import plan_drain
from functions.migrate.targets import choose
from functions.migrate.urgency import note, ranks
from lab.simulator.records import Fault
from shared.fleet.snapshot import Fleet
from tests.support.drains import Drains
from tests.unit.migrate.builders import fleet, group, host, server

DEAD = host("cmp01", state="down", forced_down=True, accepts=False)
EVACUATE = DrainPolicy(evacuate=True)


def wish(priority: str) -> dict[str, str]:
    """Metadata."""
    return {"drover:priority": priority}


def test_priority_comes_first_then_one_of_each_group() -> None:
    """High before normal before low; within each, a group's first member before its second and before the ungrouped."""
    servers = [
        server("low-first", metadata=wish("low")),
        server("a1"), server("a2"), server("plain"),
        server("urgent", metadata=wish("High ")),
        server("b1", metadata=wish("high")), server("b2", metadata=wish("high")),
    ]  # fmt: skip
    groups = [group("a", "anti-affinity", "a1", "a2"), group("b", "soft-affinity", "b1", "b2")]
    found = ranks(fleet([DEAD, host("cmp02")], servers, groups), servers)
    assert sorted(found, key=lambda name: (found[name], name)) == [
        "b1", "b2", "urgent", "a1", "a2", "plain", "low-first"
    ]  # fmt: skip
    assert found["b1"] < found["b2"] == found["urgent"]
    assert found["a1"] < found["a2"] == found["plain"] < found["low-first"]


def test_a_group_that_lives_elsewhere_is_not_in_a_hurry() -> None:
    """It has a member that runs; one whose other member is not running, or dead too, is."""
    servers = [server("a1"), server("b1"), server("c1")]
    others = [server("a2", "cmp02"), server("b2", "cmp02", status="SHUTOFF"), server("c2", "cmp03")]
    groups = [group(name, "anti-affinity", f"{name}1", f"{name}2") for name in "abc"]
    cloud = fleet([DEAD, host("cmp02"), replace(DEAD, name="cmp03")], servers + others, groups)
    found = ranks(cloud, servers)
    assert found["b1"] == found["c1"] < found["a1"]


@pytest.mark.parametrize(("value", "said"), [("high", "priority high"), ("hihg", "expected high, normal, low")])
def test_the_plan_says_what_it_takes_a_priority_for(value: str, said: str) -> None:
    """A known one is named, another one is said to be none; without one there is nothing to say."""
    line = plan_drain(fleet([DEAD, host("cmp02")], [server("web", metadata=wish(value))]), "cmp01", EVACUATE).servers[0]
    assert said in line.reason
    assert note(server("web")) == ""


def test_priorities_do_not_matter_to_a_living_host() -> None:
    """There all servers live on, and the longest goes first."""
    servers = [server("small", metadata=wish("high"), gib=1), server("large", gib=8)]
    plan = plan_drain(fleet([host("cmp01"), host("cmp02")], servers), "cmp01", DrainPolicy())
    assert [line.id for line in plan.servers] == ["large", "small"]
    assert all(line.reason == "" for line in plan.servers)


def test_the_run_keeps_the_order(drains: Drains) -> None:
    """Nova is asked for the urgent ones first, whatever their size."""
    drains.fake.add_server("cmp01", name="low", metadata=wish("low"), memory_mb=4096)
    drains.fake.add_server("cmp01", name="normal", memory_mb=2048)
    drains.fake.add_server("cmp01", name="high", metadata=wish("high"))
    drains.fake.kill_host("cmp01")
    document = drains.drain(evacuate=True, fenced="Joe pulled the plug", cloud_limit=1)
    assert document["state"] == "succeeded"
    assert [drains.fake.server(str(act.server)).name for act in drains.acts("evacuate")] == ["high", "normal", "low"]


def test_the_last_one_does_not_follow_all_the_others(drains: Drains) -> None:
    """A server that has to be decided anew is not put where all others went, as long as another host fits."""
    servers = drains.servers(2)
    drains.fake.host("cmp04").disabled = True
    drains.fake.faults[servers[1]] = Fault(precheck=True, times=2)
    drains.fake.kill_host("cmp01")
    assert drains.drain(evacuate=True, fenced="Joe pulled the plug", max_attempts=4)["state"] == "succeeded"
    assert len({drains.fake.server(each).host for each in servers}) == 2


def test_one_large_host_does_not_get_all() -> None:
    """The emptiest by far gets no more than half, as long as the others have room."""
    hosts = [DEAD, host("cmp02", vcpu=512, gib=4096), host("cmp03", vcpu=16, gib=64), host("cmp04", vcpu=16, gib=64)]
    plan = plan_drain(fleet(hosts, [server(f"s{number}") for number in range(8)]), "cmp01", EVACUATE)
    targets = [line.to for line in plan.servers]
    assert targets.count("cmp02") == 4
    living = replace(DEAD, state="up", forced_down=False)
    plan = plan_drain(
        fleet([living, *hosts[1:]], [server(f"s{number}") for number in range(8)]), "cmp01", DrainPolicy()
    )
    assert [line.to for line in plan.servers].count("cmp02") == 8


@st.composite
def disasters(draw: st.DrawFn) -> Fleet:
    """A dead host and some others, some of which are nearly full."""
    hosts = [DEAD] + [
        host(
            f"cmp{number}",
            capacity={"VCPU": 16, "MEMORY_MB": 16 * 1024},
            used={"MEMORY_MB": draw(st.integers(0, 16)) * 1024},
            zone=draw(st.sampled_from(["az1", "az2"])),
        )
        for number in range(2, 2 + draw(st.integers(1, 4)))
    ]
    servers = [
        server(
            f"s{number}",
            uses={"VCPU": draw(st.integers(1, 8)), "MEMORY_MB": draw(st.integers(1, 8)) * 1024},
            zone=draw(st.sampled_from([None, None, "az1"])),
        )
        for number in range(draw(st.integers(2, 7)))
    ]
    groups = [group("g", draw(st.sampled_from(["soft-affinity", "anti-affinity"])), "s0", "s1")]
    return fleet(hosts, servers, groups)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cloud=disasters())
def test_never_all_on_one_target(cloud: Fleet) -> None:
    """If all that are evacuated go to one host, then none of them fits on another one."""
    plan = plan_drain(cloud, "cmp01", EVACUATE)
    chosen = {line.id: line.to for line in plan.servers if line.to}
    assert all(line.action is Action.EVACUATE for line in plan.servers if line.to)
    if len(chosen) < 2 or len(set(chosen.values())) > 1:
        return
    (only,) = set(chosen.values())
    for name in chosen:
        others = {other: to for other, to in chosen.items() if other != name and to}
        assert choose(cloud, cloud.servers[name], failed=frozenset({str(only)}), planned=others).host is None
