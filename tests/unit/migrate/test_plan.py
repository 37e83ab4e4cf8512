"""The plan of one host: every server's line, what does not fit, and how long it takes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from functions.migrate import packing
from functions.migrate.forecast import Finished, Pace, learn, makespan
from functions.migrate.model import Action, DrainPlan, DrainPolicy, PlannedServer
from functions.migrate.plan import UnknownHost, document, plan_drain
from tests.unit.migrate.builders import GIB, fleet, group, host, migration, server

PLAIN = DrainPolicy()
SOURCE = host("cmp01")


def lines(plan: DrainPlan) -> dict[str, PlannedServer]:
    """The plan's lines by server id."""
    return {line.id: line for line in plan.servers}


def targets(plan: DrainPlan) -> dict[str, str | None]:
    """Where each server goes."""
    return {line.id: line.to for line in plan.servers}


def test_unknown_host_names_similar_ones() -> None:
    """A mistyped host is refused with the names that look like it; one like nothing gets examples."""
    snapshot = fleet([host(f"cmp0{number}") for number in range(1, 8)])
    with pytest.raises(UnknownHost, match=r"no compute host named 'cpm01'; did you mean .*cmp01") as typo:
        plan_drain(snapshot, "cpm01", PLAIN)
    assert typo.value.similar[0] == "cmp01"
    with pytest.raises(UnknownHost, match=r"there are 7 hosts: cmp01, .*cmp05, …"):
        plan_drain(snapshot, "zz", PLAIN)
    with pytest.raises(UnknownHost, match=r"there are 0 hosts"):
        plan_drain(fleet([]), "cmp01", PLAIN)


def test_empty_host() -> None:
    """A host without servers is empty at once."""
    plan = plan_drain(fleet([SOURCE]), "cmp01", PLAIN)
    assert (plan.feasible, plan.servers, plan.shortfall, plan.seconds) == (True, (), None, 0.0)


def test_every_kind_of_line_in_order() -> None:
    """Moves come first, the longest first; what does not move comes after, with its reason and without a target."""
    servers = [
        server("small", gib=1),
        server("large", gib=64),
        server("broken", status="ERROR"),
        server("off", status="SHUTOFF", disk=10),
        server("gone", task_state="deleting"),
        server("elsewhere", "cmp02"),
    ]
    plan = plan_drain(fleet([SOURCE, host("cmp02")], servers), "cmp01", PLAIN)
    assert [line.name for line in plan.servers] == ["large", "off", "small", "broken", "gone"]
    assert [line.to for line in plan.servers] == ["cmp02", "cmp02", "cmp02", None, None]
    assert [line.seconds for line in plan.servers] == pytest.approx([107.4, 16.0, 6.6, 0.0, 0.0])
    assert not plan.feasible
    assert plan.shortfall is None
    without = [one for one in servers if one.id != "broken"]
    assert plan_drain(fleet([SOURCE, host("cmp02")], without), "cmp01", PLAIN).feasible


def test_waiting_server_makes_no_promise() -> None:
    """As long as a server's task is under way, a plan does not promise that the host will be empty."""
    busy = server("busy", task_state="rebooting")
    plan = plan_drain(fleet([SOURCE, host("cmp02")], [busy]), "cmp01", PLAIN)
    assert lines(plan)["busy"].action is Action.WAIT
    assert not plan.feasible


def test_twenty_servers_are_balanced() -> None:
    """Twenty equal servers over five equal hosts become four on each."""
    hosts = [SOURCE, *(host(f"cmp0{number}") for number in range(2, 7))]
    plan = plan_drain(fleet(hosts, [server(f"web-{n:02}") for n in range(20)]), "cmp01", PLAIN)
    assert Counter(line.to for line in plan.servers) == {f"cmp0{number}": 4 for number in range(2, 7)}


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        ("live-migration", Action.LIVE_MIGRATE),
        ("migration", Action.COLD_MIGRATE),
        ("resize", Action.COLD_MIGRATE),
    ],
)
def test_migration_under_way_is_adopted(kind: str, action: Action) -> None:
    """A server that is on its way already keeps its target, comes first, and takes no room a second time."""
    leaving = server("leaving", status="MIGRATING", task_state="migrating", gib=4)
    hosts = [SOURCE, host("cmp02", gib=12, used={"MEMORY_MB": 4 * GIB})]
    under_way = [migration("leaving", kind=kind), migration("leaving", status="error", target="cmp09")]
    plan = plan_drain(fleet(hosts, [server("web", gib=8), leaving], migrations=under_way), "cmp01", PLAIN)
    assert [line.id for line in plan.servers] == ["leaving", "web"]
    assert plan.servers[0].action is action
    assert plan.servers[0].reason == "already migrating to cmp02: it is adopted"
    assert targets(plan) == {"leaving": "cmp02", "web": "cmp02"}
    assert plan.feasible


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (migration("web", target=None), "its migration has no target yet"),
        (migration("web", "cmp02", "cmp01"), "its migration to cmp01 is not through yet"),
        (migration("web", kind="unheard"), "its migration to cmp02 is not through yet"),
    ],
)
def test_migration_that_takes_nothing_away_is_waited_for(other: Any, reason: str) -> None:
    """A server whose migration has no target yet, or has just brought it here, waits until that is through."""
    plan = plan_drain(fleet([SOURCE, host("cmp02")], [server("web")], migrations=[other]), "cmp01", PLAIN)
    assert (lines(plan)["web"].action, lines(plan)["web"].reason) == (Action.WAIT, reason)


def test_ended_migration_is_not_adopted() -> None:
    """A migration that is through says nothing about where the server goes now."""
    ended = [migration("web", target="cmp09", status="completed")]
    plan = plan_drain(fleet([SOURCE, host("cmp02")], [server("web")], migrations=ended), "cmp01", PLAIN)
    assert (lines(plan)["web"].to, lines(plan)["web"].reason) == ("cmp02", "")


def test_arriving_and_foreign_migrations_are_not_adopted() -> None:
    """A migration of a server of another host, or of one that the snapshot lacks, adds no line."""
    far = [migration("far", "cmp02", "cmp03"), migration("unheard"), migration("arriving", "cmp02", "cmp01")]
    servers = [server("far", "cmp02"), server("arriving", "cmp02")]
    assert plan_drain(fleet([SOURCE, host("cmp02")], servers, migrations=far), "cmp01", PLAIN).servers == ()


def test_dead_host_adopts_only_evacuations() -> None:
    """A live migration from a dead host never ends: its server is not adopted, but one that is evacuated is."""
    dead = host("cmp01", state="down", forced_down=True)
    servers = [server("live"), server("evacuated", status="REBUILD", task_state="rebuilding")]
    under_way = [migration("live"), migration("evacuated", kind="evacuation")]
    snapshot = fleet([dead, host("cmp02")], servers, migrations=under_way)
    plan = lines(plan_drain(snapshot, "cmp01", DrainPolicy(evacuate=True)))
    assert plan["evacuated"].reason == "already migrating to cmp02: it is adopted"
    assert (plan["live"].action, plan["live"].to) == (Action.EVACUATE, "cmp02")
    assert "adopted" not in plan["live"].reason
    assert plan["live"].seconds == 35.0


def test_shortfall_says_by_how_much() -> None:
    """What fits nowhere is CANNOT with its reason, and the shortfall adds up what is missing for all of them."""
    hosts = [SOURCE, host("cmp02", gib=10), host("cmp03", gib=8, used={"MEMORY_MB": 2 * GIB})]
    servers = [server(name, gib=8) for name in ("a", "b", "c")]
    plan = plan_drain(fleet(hosts, servers), "cmp01", PLAIN)
    assert not plan.feasible
    assert plan.shortfall is not None
    assert plan.shortfall.servers == ("b", "c")
    # b takes the best host (2 GiB too small by then), so that c finds both taken: 2 + 6 GiB
    assert plan.shortfall.missing == {"MEMORY_MB": (2 + 6) * GIB}
    assert plan.shortfall.text == "2 servers fit on no host (b, c): 8192 MB of memory missing on the best"
    left = lines(plan)["b"]
    assert (left.action, left.to, left.seconds) == (Action.CANNOT, None, 0.0)
    assert left.reason.startswith("no host can take it: of 2 hosts: 2 lack memory: 2048 MB of memory missing")
    assert left.way_out.startswith("free 2048 MB of memory on cmp03")


def test_shortfall_without_a_missing_resource() -> None:
    """When a trait is what no host has, nothing is missing in numbers and the text gives the reason."""
    servers = [server(f"web-{number}", traits={"HW_X"}) for number in range(6)]
    plan = plan_drain(fleet([SOURCE, host("cmp02")], servers), "cmp01", PLAIN)
    assert plan.shortfall is not None
    assert plan.shortfall.missing == {}
    assert plan.shortfall.text.startswith(
        "6 servers fit on no host (web-0, web-1, web-2, web-3, web-4, …): of 1 host: 1"
    )
    one = plan_drain(fleet([SOURCE, host("cmp02")], servers[:1]), "cmp01", PLAIN)
    assert one.shortfall is not None
    assert one.shortfall.text == "1 server fits on no host (web-0): of 1 host: 1 lacks trait HW_X"


def test_hosts_to_avoid_and_planned_moves_of_others() -> None:
    """A host that another drain empties is no target, and what that drain has decided takes its room."""
    hosts = [SOURCE, host("cmp02"), host("cmp03", gib=8), host("cmp04", gib=8, used={"MEMORY_MB": GIB})]
    snapshot = fleet(hosts, [server("web", gib=6), server("foreign", "cmp02", gib=6)])
    assert targets(plan_drain(snapshot, "cmp01", PLAIN))["web"] == "cmp02"
    assert targets(plan_drain(snapshot, "cmp01", PLAIN, frozenset({"cmp02"})))["web"] == "cmp03"
    reserved = plan_drain(snapshot, "cmp01", PLAIN, frozenset({"cmp02"}), planned={"foreign": "cmp03"})
    assert targets(reserved)["web"] == "cmp04"


def test_the_choosy_server_is_placed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small server with one possible host is placed before a large one that could go anywhere."""
    monkeypatch.setattr(packing, "REPAIRS", 0)
    hosts = [SOURCE, host("cmp02", gib=10, traits={"HW_X"}), host("cmp03", gib=10)]
    plan = plan_drain(fleet(hosts, [server("large", gib=9), server("picky", gib=2, traits={"HW_X"})]), "cmp01", PLAIN)
    assert targets(plan) == {"large": "cmp03", "picky": "cmp02"}


def test_the_largest_is_placed_first() -> None:
    """Large servers are placed before small ones, which still fit into the gaps."""
    hosts = [SOURCE, host("cmp02", gib=8), host("cmp03", gib=8)]
    servers = [server("a-small", gib=2), server("b-small", gib=2), server("z-large", gib=8), server("c", gib=4)]
    assert plan_drain(fleet(hosts, servers), "cmp01", PLAIN).feasible


def test_repair_gives_way_to_the_one_that_needs_it() -> None:
    """A server that finds its hosts taken gets the place of one that fits elsewhere."""
    hosts = [
        SOURCE,
        host("cmp02", gib=10, traits={"A", "B"}, used={"MEMORY_MB": GIB}),
        host("cmp03", gib=10, traits={"A"}),
        host("cmp04", gib=10, traits={"B"}, used={"MEMORY_MB": 3 * GIB}),
    ]
    servers = [server("q", gib=8, traits={"A"}), server("p", gib=6, traits={"B"}), server("late", gib=5, traits={"A"})]
    plan = plan_drain(fleet(hosts, servers), "cmp01", PLAIN)
    # without the exchange: q on cmp03, p on cmp02 (the emptier one), and late nowhere
    assert targets(plan) == {"q": "cmp03", "p": "cmp04", "late": "cmp02"}


def test_perfect_fit_is_found() -> None:
    """Servers that fill the hosts to the last unit, in a way that balancing does not find, are packed tightly."""
    hosts = [SOURCE, *(host(f"cmp0{number}", gib=9) for number in (2, 3, 4))]
    servers = [server(f"s{number}", gib=gib) for number, gib in enumerate((5, 5, 4, 4, 3, 3, 3))]
    plan = plan_drain(fleet(hosts, servers), "cmp01", PLAIN)
    assert plan.feasible
    assert plan.shortfall is None


def test_repair_that_cannot_help_changes_nothing() -> None:
    """When giving up one placed server makes no room, all of them keep their places and the reason is told."""
    hosts = [SOURCE, host("cmp02", vcpu=8, gib=10), host("cmp03", vcpu=8, gib=10)]
    servers = [*(server(f"s{number}", vcpu=1, gib=5) for number in range(4)), server("wide", vcpu=8, gib=4)]
    plan = plan_drain(fleet(hosts, servers), "cmp01", PLAIN)
    assert Counter(line.to for line in plan.servers) == {"cmp02": 2, "cmp03": 2, None: 1}
    assert plan.shortfall is not None
    assert plan.shortfall.missing == {"MEMORY_MB": 4 * GIB, "VCPU": 2}


def test_repairs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hopeless plan stops exchanging servers after a fixed number of tries and still tells what is missing."""
    monkeypatch.setattr(packing, "REPAIRS", 1)
    hosts = [SOURCE, host("cmp02", gib=12), host("cmp03", gib=12)]
    plan = plan_drain(fleet(hosts, [server(f"s{number}", gib=7) for number in range(5)]), "cmp01", PLAIN)
    assert plan.shortfall is not None
    assert len(plan.shortfall.servers) == 3


def test_anti_affinity_over_nearly_all_hosts() -> None:
    """Members spread over the hosts without one; a member too many is told so, and the others still move."""
    hosts = [SOURCE, host("cmp02"), host("cmp03"), host("cmp04")]
    servers = [server("m1"), server("m2"), server("m3", "cmp03"), server("free")]
    apart = [group("ha", "anti-affinity", "m1", "m2", "m3")]
    plan = plan_drain(fleet(hosts, servers, apart), "cmp01", PLAIN)
    assert {targets(plan)["m1"], targets(plan)["m2"]} == {"cmp02", "cmp04"}
    full = plan_drain(fleet(hosts[:3], servers, apart), "cmp01", PLAIN)
    assert full.shortfall is not None
    assert full.shortfall.servers == ("m2",)
    assert "full for anti-affinity group ha" in lines(full)["m2"].reason
    assert targets(full)["free"] is not None


def test_affinity_group_stays_as_a_whole() -> None:
    """Members of an affinity group on one host stay there, whatever room there is, and the others still move."""
    servers = [server("a"), server("b", status="SHUTOFF"), server("free")]
    plan = plan_drain(fleet([SOURCE, host("cmp02")], servers, [group("one", "affinity", "a", "b")]), "cmp01", PLAIN)
    assert targets(plan) == {"a": None, "b": None, "free": "cmp02"}
    assert not plan.feasible
    assert plan.shortfall is None
    assert "in affinity group one with 1 other" in lines(plan)["a"].reason
    assert lines(plan)["b"].way_out.startswith("shelve all its members")


def test_lone_affinity_member_is_forced() -> None:
    """A lone member is asked for past the scheduler, to the target that the plan chooses; nobody else is."""
    hosts = [SOURCE, host("cmp02", used={"VCPU": 60}), host("cmp03")]
    plan = plan_drain(
        fleet(hosts, [server("a", gib=64), server("free")], [group("one", "affinity", "a")]), "cmp01", PLAIN
    )
    assert {line.name: line.force for line in plan.servers} == {"a": True, "free": False}
    assert targets(plan)["a"] == "cmp03"
    assert plan.feasible


def test_divided_affinity_group_is_reunited() -> None:
    """Members go where the others are, with the scheduler's consent; when that host is full they stay."""
    servers = [server("a"), server("b"), server("there", "cmp03")]
    together = [group("one", "affinity", "a", "b", "there")]
    plan = plan_drain(fleet([SOURCE, host("cmp02"), host("cmp03")], servers, together), "cmp01", PLAIN)
    assert targets(plan) == {"a": "cmp03", "b": "cmp03"}
    assert not any(line.force for line in plan.servers)
    full = plan_drain(fleet([SOURCE, host("cmp02"), host("cmp03", gib=7)], servers, together), "cmp01", PLAIN)
    assert sorted(str(to) for to in targets(full).values()) == ["None", "cmp03"]
    assert full.shortfall is not None
    assert "1 away from affinity group one" in full.shortfall.text or full.shortfall.missing == {"MEMORY_MB": GIB}


def test_document_is_the_published_one() -> None:
    """The document has the published keys, is JSON, and shows a shortfall only when there is one."""
    hosts = [SOURCE, host("cmp02", gib=8)]
    plan = plan_drain(fleet(hosts, [server("a", gib=8), server("b", gib=8)]), "cmp01", PLAIN)
    found = json.loads(json.dumps(document(plan)))
    assert list(found) == ["host", "feasible", "servers", "shortfall", "seconds", "notes"]
    assert found["servers"][0] == {
        "host": "cmp01",
        "id": "a",
        "name": "a",
        "action": "live-migrate",
        "to": "cmp02",
        "reason": "",
        "way_out": "",
        "seconds": 17.8,
    }
    assert set(found["shortfall"]) == {"servers", "missing", "text"}
    assert found["shortfall"]["servers"] == ["b"]
    assert document(plan_drain(fleet(hosts, [server("a")]), "cmp01", PLAIN))["shortfall"] is None


def test_a_volume_that_others_write_to_is_named() -> None:
    """A multiattach volume binds no server, but whoever reads the plan should know who else has it."""
    servers = [
        server("a", volumes=frozenset({"v"})),
        server("b", "cmp02", volumes=frozenset({"v", "w"})),
        server("c", volumes=frozenset({"x"})),
    ]
    found = lines(plan_drain(fleet([SOURCE, host("cmp02")], servers), "cmp01", PLAIN))
    assert found["a"].action is Action.LIVE_MIGRATE
    assert found["a"].reason == "shares a volume with b: the target must reach it too"
    assert found["c"].reason == ""


def test_seconds_of_a_move() -> None:
    """Live migration goes by memory, cold by local disk, evacuation takes its fixed time, all with the overhead."""
    pace = Pace(overhead=4, seconds_per_gib=2, seconds_per_disk_gib=3, rebuild=20)
    web = server("web", gib=8, disk=10)
    assert pace.seconds(web, Action.LIVE_MIGRATE) == 4 + 8 * 2
    assert pace.seconds(web, Action.COLD_MIGRATE) == 4 + 10 * 3
    assert pace.seconds(server("web", disk=10, volume_backed=True), Action.COLD_MIGRATE) == 4
    assert pace.seconds(web, Action.EVACUATE) == 24
    assert pace.seconds(web, Action.WAIT) == 0


def test_the_whole_drain_by_list_scheduling() -> None:
    """One move fewer than per_source runs at a time, the longest first; at least one does."""
    assert makespan([3, 3, 2, 2, 2], 2) == 7
    assert makespan([2, 2, 2, 3, 3], 1) == 12
    assert makespan([1, 1, 2], 2) == 2
    assert makespan([5, 1], 0) == 6
    assert makespan([], 3) == 0
    snapshot = fleet([SOURCE, host("cmp02")], [server(f"s{number}", gib=10) for number in range(4)])
    for per_source, seconds in ((1, 4 * 21.0), (2, 4 * 21.0), (3, 2 * 21.0), (5, 21.0)):
        assert plan_drain(snapshot, "cmp01", DrainPolicy(per_source=per_source)).seconds == seconds


def test_pace_is_learnt() -> None:
    """The median rate beyond the overhead replaces the assumed one; unusable moves are ignored."""
    seen = [Finished(10 * GIB, 25.0), Finished(10 * GIB, 35.0), Finished(20 * GIB, 1005.0)]
    assert learn(seen) == Pace(seconds_per_gib=3.0)
    assert learn([Finished(0, 3.0), Finished(GIB, 0.0)]) == Pace()
    quick = learn([Finished(GIB, 2.0), Finished(GIB, 3.0)])
    assert (quick.overhead, quick.seconds_per_gib) == (2.0, 0.5)
    snapshot = fleet([SOURCE, host("cmp02")], [server("web", gib=10)])
    assert plan_drain(snapshot, "cmp01", PLAIN, pace=learn(seen)).seconds == 35.0


def test_volumes_that_nova_does_not_place_are_noted() -> None:
    """Where Cinder keeps a volume Nova does not show: the plan says so once, however many servers have any."""
    hosts = [SOURCE, host("cmp02")]
    servers = [server("a", volumes=frozenset({"v"})), server("b", volumes=frozenset({"w"})), server("c")]
    (note,) = plan_drain(fleet(hosts, servers), "cmp01", PLAIN).notes
    assert note.startswith("2 servers have volumes: whether Cinder keeps any of them on cmp01 itself")
    assert plan_drain(fleet(hosts, [server("c")]), "cmp01", PLAIN).notes == ()
