"""The target of one server: what excludes a host, which of the others is best, and what is said when none is left."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from functions.migrate.targets import Choice, choose
from shared.fleet.snapshot import Fleet, Host, Server
from tests.unit.migrate.builders import GIB, fleet, group, host, migration, server

SOURCE = host("cmp01")


def chosen(hosts: list[Host], one: Server, *others: Server, **more: Any) -> str | None:
    """The target of `one` in a fleet of the source and `hosts`."""
    snapshot = fleet([SOURCE, *hosts], [one, *others], more.pop("groups", ()), more.pop("migrations", ()))
    return choose(snapshot, one, **more).host


def refused(hosts: list[Host], one: Server, *others: Server, **more: Any) -> Choice:
    """The choice where nothing is left."""
    snapshot = fleet([SOURCE, *hosts], [one, *others], more.pop("groups", ()), more.pop("migrations", ()))
    choice = choose(snapshot, one, **more)
    assert choice.host is None
    return choice


def used(share: float) -> dict[str, int]:
    """What a plain host has allocated when it is full by `share` in every class."""
    return {"VCPU": int(64 * share), "MEMORY_MB": int(256 * GIB * share), "DISK_GB": int(2000 * share)}


def test_the_source_is_never_a_target() -> None:
    """The host that the server leaves is no candidate, however empty it is."""
    assert chosen([host("cmp02", used=used(0.9))], server("web")) == "cmp02"
    assert refused([], server("web")).reason == "there is no other host"


@pytest.mark.parametrize(
    ("poor", "wishes", "reason"),
    [
        ({"accepts": False, "status": "disabled"}, {}, "1 disabled"),
        ({"accepts": False, "state": "down"}, {}, "1 down"),
        ({"zone": "az2"}, {"zone": "az1"}, "1 outside zone az1"),
        ({}, {"aggregates": {"ssd"}}, "1 outside aggregate ssd"),
        ({}, {"traits": {"HW_X"}}, "1 lacks trait HW_X"),
        ({"traits": {"HW_OLD"}}, {"forbidden_traits": {"HW_OLD"}}, "1 has the forbidden trait HW_OLD"),
        ({}, {"shunned_hosts": {"cmp02"}}, "1 closed to it by an aggregate"),
    ],
)
def test_demand_excludes_a_host(poor: dict[str, Any], wishes: dict[str, Any], reason: str) -> None:
    """A host that breaks one demand is not chosen although it is the emptiest, and the reason names that demand."""
    good = host("cmp03", used=used(0.9), aggregates={"ssd"}, traits={"HW_X"})
    assert chosen([host("cmp02", **poor), good], server("web", **wishes)) == "cmp03"
    assert reason in refused([host("cmp02", **poor)], server("web", **wishes)).reason


def test_all_aggregates_and_traits_are_needed() -> None:
    """Having one of two required aggregates or traits is not enough."""
    hosts = [host("cmp02", aggregates={"a"}, traits={"T", "U"}), host("cmp03", aggregates={"a", "b"}, traits={"T"})]
    assert chosen(hosts, server("web", aggregates={"a", "b"})) == "cmp03"
    assert chosen(hosts, server("web", traits={"T", "U"})) == "cmp02"


def test_hosts_to_avoid_and_failed_targets() -> None:
    """Hosts that other drains empty and targets that failed are left out, each with its own reason."""
    hosts = [host("cmp02"), host("cmp03"), host("cmp04", used=used(0.9))]
    assert chosen(hosts, server("web"), avoid=frozenset({"cmp02"}), failed=frozenset({"cmp03"})) == "cmp04"
    choice = refused(hosts[:2], server("web"), avoid=frozenset({"cmp02"}), failed=frozenset({"cmp03"}))
    assert choice.reason == "of 2 hosts: 1 is being drained, 1 has failed already"
    assert not choice.crowded


@pytest.mark.parametrize("kind", ["VCPU", "MEMORY_MB", "DISK_GB"])
def test_room_in_every_class(kind: str) -> None:
    """One unit too few in any resource class excludes the host; exactly enough does not."""
    web = server("web")
    full = {kind: host("cmp02").capacity[kind] - web.uses[kind]}
    assert chosen([host("cmp02", used=full)], web) == "cmp02"
    choice = refused([host("cmp02", used={kind: full[kind] + 1})], web)
    assert choice.missing == {kind: 1}
    assert choice.best == "cmp02"
    assert choice.crowded


def test_class_that_no_host_offers() -> None:
    """A server with a VGPU finds no host where none has any, and the missing class is named."""
    choice = refused([host("cmp02")], server("vdi", uses={"VCPU": 1, "VGPU": 1}))
    assert choice.missing == {"VGPU": 1}
    assert "1 lacks VGPU: 1 VGPU missing on the best, cmp02" in choice.reason
    assert choice.way_out.startswith("free 1 VGPU on cmp02")


def test_overfull_class_matters_only_to_those_who_use_it() -> None:
    """A volume-backed server goes to a host whose local disk is overcommitted."""
    hosts = [host("cmp02", used={"DISK_GB": 9999})]
    assert chosen(hosts, server("web", disk=0)) == "cmp02"
    assert refused(hosts, server("web", disk=1)).missing == {"DISK_GB": 8000}


def test_server_that_uses_nothing() -> None:
    """A server without any known use still gets a target."""
    assert chosen([host("cmp02"), host("cmp03")], server("web", uses={})) == "cmp02"


def test_planned_moves_take_room_unless_in_flight() -> None:
    """A decided move takes its room; once it is in flight Placement holds it, and it is not counted twice."""
    web, big = server("web", gib=100), server("big", "cmp09", gib=100)
    only = [host("cmp02", gib=200)]
    assert chosen(only, web, big) == "cmp02"
    assert chosen([host("cmp02", gib=200)], web, big, planned={"big": "cmp02"}) == "cmp02"
    tight = [host("cmp02", gib=199)]
    assert refused(tight, web, big, planned={"big": "cmp02"}).missing == {"MEMORY_MB": GIB}
    there = migration("big", "cmp09", "cmp02")
    assert chosen(tight, web, big, planned={"big": "cmp02"}, migrations=[there]) == "cmp02"
    arrived = server("big", "cmp02", gib=100)
    assert chosen(tight, web, arrived, planned={"big": "cmp02"}) == "cmp02"


def test_own_old_plan_takes_no_room() -> None:
    """The former target of the server itself, and plans for unknown servers or hosts, take no room."""
    plans = {"web": "cmp02", "gone": "cmp02", "big": "nowhere"}
    assert chosen([host("cmp02", gib=4)], server("web"), server("big", "cmp09"), planned=plans) == "cmp02"


def test_least_full_is_best() -> None:
    """The host whose fullest resource is least full wins, even when another has more of a single resource free."""
    hosts = [
        host("cmp02", used={"VCPU": 60, "MEMORY_MB": 0}),
        host("cmp03", used={"VCPU": 30, "MEMORY_MB": 100 * GIB}),
        host("cmp04", used={"VCPU": 30, "MEMORY_MB": 200 * GIB}),
    ]
    assert chosen(hosts, server("web")) == "cmp03"


def test_fullness_is_relative() -> None:
    """A large host that is half full is better than a small one that would be nearly full."""
    hosts = [host("cmp02", vcpu=8, gib=16), host("cmp03", vcpu=256, gib=1024, used={"VCPU": 100})]
    assert chosen(hosts, server("web", vcpu=7)) == "cmp03"


def test_arrivals_are_spread_among_equals() -> None:
    """Among hosts that are about equally full, the one with fewer arrivals in flight wins; then the name decides."""
    fuller = {"MEMORY_MB": 500}
    hosts = [host("cmp03", vcpu=256, used=fuller), host("cmp02", vcpu=256), host("cmp04", vcpu=256, used=fuller)]
    web, other = server("web"), server("other", "cmp09")
    assert chosen(hosts, web, other) == "cmp02"
    arriving = [migration("other", "cmp09", "cmp02"), migration("gone", "cmp09", "elsewhere")]
    assert chosen(hosts, web, other, migrations=arriving) == "cmp03"
    done = [migration("other", "cmp09", "cmp02", status="completed")]
    assert chosen(hosts, web, other, migrations=done) == "cmp02"
    planned = {"other": "cmp02"}
    assert chosen(hosts, web, server("other", "cmp09", uses={"VCPU": 1}), planned=planned) == "cmp03"


def test_clearly_emptier_host_wins_over_fewer_arrivals() -> None:
    """Arrivals decide only among equals: a host that is emptier by far is chosen in spite of one."""
    hosts = [host("cmp02", used=used(0.5)), host("cmp03", used=used(0.1))]
    arriving = [migration("other", "cmp09", "cmp03")]
    assert chosen(hosts, server("web"), server("other", "cmp09"), migrations=arriving) == "cmp03"


def test_slightly_emptier_host_wins_over_the_name() -> None:
    """Among equals with as many arrivals, the emptier one is chosen."""
    hosts = [host("cmp02", vcpu=256, used={"MEMORY_MB": 100}), host("cmp03", vcpu=256)]
    assert chosen(hosts, server("web")) == "cmp03"


def test_own_zone_first() -> None:
    """An unpinned server stays in its zone as long as anything there can take it, and leaves it otherwise."""
    assert chosen([host("cmp02", zone="az2"), host("cmp03", used=used(0.9))], server("web")) == "cmp03"
    assert chosen([host("cmp02", zone="az2"), host("cmp03", used=used(1.0))], server("web")) == "cmp02"


def test_anti_affinity() -> None:
    """A host with as many members as are allowed is excluded: on it, in flight to it, or planned for it."""
    web, twin = server("web"), server("twin", "cmp02")
    hosts = [host("cmp02"), host("cmp03", used=used(0.9))]
    apart = [group("ha", "anti-affinity", "web", "twin", "gone")]
    assert chosen(hosts, web, twin, groups=apart) == "cmp03"
    away = server("twin", "cmp09")
    assert chosen(hosts, web, away, groups=apart) == "cmp02"
    assert chosen(hosts, web, away, groups=apart, migrations=[migration("twin", "cmp09", "cmp02")]) == "cmp03"
    assert chosen(hosts, web, away, groups=apart, planned={"twin": "cmp02"}) == "cmp03"
    leaving = [migration("twin", "cmp02", "cmp09")]
    assert chosen(hosts, web, twin, groups=apart, migrations=leaving) == "cmp03"
    pair = [group("ha", "anti-affinity", "web", "twin", max_per_host=2)]
    assert chosen(hosts, web, twin, groups=pair) == "cmp02"
    choice = refused(hosts[:1], web, twin, groups=apart)
    assert choice.reason == "of 1 host: 1 full for anti-affinity group ha"
    assert choice.crowded


def test_offloaded_member_is_nowhere() -> None:
    """A group member that is shelved and offloaded does not count for the host that its record still names."""
    twin = server("twin", "cmp02", status="SHELVED_OFFLOADED")
    apart, together = group("ha", "anti-affinity", "web", "twin"), group("one", "affinity", "web", "twin")
    assert chosen([host("cmp02")], server("web"), twin, groups=[apart]) == "cmp02"
    assert chosen([host("cmp02"), host("cmp03")], server("web"), twin, groups=[together]) == "cmp02"
    nowhere = server("twin", None)
    assert chosen([host("cmp02")], server("web"), nowhere, groups=[apart, together]) == "cmp02"


def test_affinity() -> None:
    """A member goes where others are by now; those on the source, or only bound for a host, do not draw it there."""
    web = server("web")
    hosts = [host("cmp02"), host("cmp03", used=used(0.8)), host("cmp04", used=used(0.9))]
    together = [group("one", "affinity", "web", "twin", "deleted")]
    assert chosen(hosts, web, server("twin", "cmp03"), groups=together) == "cmp03"
    assert chosen(hosts, web, server("twin"), groups=together) == "cmp02"
    away = server("twin", "cmp03")
    assert chosen(hosts, web, away, groups=together, planned={"twin": "cmp04"}) == "cmp03"
    leaving = [migration("twin", "cmp03", "cmp04")]
    assert chosen(hosts, web, away, groups=together, migrations=leaving) == "cmp03"
    choice = refused(hosts[:2], web, server("twin", "cmp09"), groups=together)
    assert choice.reason == "of 2 hosts: 2 away from affinity group one"
    assert choice.crowded


def test_soft_groups_are_wishes() -> None:
    """Soft groups order the hosts of the own zone but exclude none."""
    web, twin = server("web"), server("twin", "cmp02")
    hosts = [host("cmp02"), host("cmp03", used=used(0.8)), host("cmp04", zone="az2")]
    assert chosen(hosts, web, twin, groups=[group("g", "soft-anti-affinity", "web", "twin")]) == "cmp03"
    assert chosen(hosts[:1], web, twin, groups=[group("g", "soft-anti-affinity", "web", "twin")]) == "cmp02"
    near = server("twin", "cmp03")
    assert chosen(hosts, web, near, groups=[group("g", "soft-affinity", "web", "twin")]) == "cmp03"
    lost = server("twin", "elsewhere")
    assert chosen(hosts, web, lost, groups=[group("g", "soft-affinity", "web", "twin")]) == "cmp02"


def test_reason_counts_every_host_once() -> None:
    """The reason tells what excluded how many of all hosts but the source, and what is missing on the best one."""
    hosts = [
        host("cmp02", accepts=False, status="disabled", used=used(1.0)),
        host("cmp03", accepts=False, status="disabled"),
        host("cmp04", traits={"HW_X"}, gib=12, used={"MEMORY_MB": 8 * GIB}),
        host("cmp05", traits={"HW_X"}, gib=12, used={"MEMORY_MB": 11 * GIB}),
        host("cmp06"),
    ]
    choice = refused(hosts, server("web", gib=8, traits={"HW_X"}))
    assert choice.reason == (
        "of 5 hosts: 2 disabled, 1 lacks trait HW_X, 2 lack memory: 4096 MB of memory missing on the best, cmp04"
    )
    assert choice.way_out == "free 4096 MB of memory on cmp04, or enable or add a host that it may use"
    assert choice.missing == {"MEMORY_MB": 4096}


def test_best_lacks_the_smallest_share() -> None:
    """The best of the full hosts is the one that lacks the smallest share of what is asked for, over all classes."""
    hosts = [
        host("cmp02", used={"VCPU": 63, "MEMORY_MB": 256 * GIB - 100}),
        host("cmp03", used={"VCPU": 63, "MEMORY_MB": 252 * GIB}),
    ]
    choice = refused(hosts, server("web", vcpu=2, gib=4))
    assert (choice.best, choice.missing) == ("cmp03", {"VCPU": 1})
    other = [host("cmp02", used={"VCPU": 63}), host("cmp03", used={"MEMORY_MB": 252 * GIB + 100})]
    assert refused(other, server("web", vcpu=4, gib=4)).missing == {"MEMORY_MB": 100}
    both = refused(hosts[:1], server("web", vcpu=2, gib=4))
    assert "lacks memory and vCPUs: 3996 MB of memory and 1 vCPU missing" in both.reason


def test_server_of_an_unknown_host() -> None:
    """A server whose host is not in the snapshot has no zone of its own, and every other host is looked at."""
    lost = server("web", "unheard")
    assert choose(fleet([SOURCE], [lost]), lost).host == "cmp01"
    homeless = server("web", None)
    assert choose(fleet([SOURCE], [homeless]), homeless).host == "cmp01"


def test_empty_fleet() -> None:
    """Without any host the reason says so."""
    web = server("web", None)
    assert choose(Fleet({}, {"web": web}), web).reason == "there is no other host"


def test_numpy_is_imported_late() -> None:
    """Importing the planner does not load numpy: a cold start should not pay for it."""
    program = "import sys, functions.migrate.plan, functions.migrate.dispatch; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
