"""What holds for every plan and every decision of the dispatcher, on random clouds."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.migrate.dispatch import dispatch
from functions.migrate.model import MOVES, Action, DrainPlan, DrainPolicy, Move, MoveState
from functions.migrate.plan import plan_drain, plan_drains
from functions.migrate.targets import choose
from shared.fleet.snapshot import Fleet, Group, Host, Migration, Server
from tests.unit.migrate.builders import NOW, fleet, group, host, migration, move, server

HOSTS = [f"cmp0{number}" for number in range(1, 7)]
GROUP_POLICIES = ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"]
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def hosts(draw: st.DrawFn) -> list[Host]:
    """Two to six hosts, the first of which is drained."""
    found = []
    for name in HOSTS[: draw(st.integers(2, 6))]:
        used = {"VCPU": draw(st.integers(0, 12)), "MEMORY_MB": draw(st.integers(0, 18)) * 1024}
        found.append(
            host(
                name,
                capacity={"VCPU": 16, "MEMORY_MB": 16 * 1024},
                used=used,
                zone=draw(st.sampled_from(["az1", "az1", "az2"])),
                accepts=draw(st.sampled_from([True, True, True, False])),
                aggregates=draw(st.sets(st.sampled_from(["ssd", "gold"]))),
                traits=draw(st.sets(st.sampled_from(["HW_X", "HW_OLD"]))),
            )
        )
    return found


@st.composite
def servers(draw: st.DrawFn, names: list[str]) -> list[Server]:
    """Servers, most of them on the drained host."""
    found = []
    rare = st.sampled_from([False, False, False, True])
    for number in range(draw(st.integers(0, 9))):
        found.append(
            server(
                f"s{number}",
                draw(st.sampled_from([HOSTS[0], HOSTS[0], *names])),
                uses={"VCPU": draw(st.integers(1, 8)), "MEMORY_MB": draw(st.integers(1, 8)) * 1024},
                status=draw(st.sampled_from(["ACTIVE"] * 6 + ["SHUTOFF", "ERROR", "REBOOT", "SHELVED_OFFLOADED"])),
                zone="az1" if draw(rare) else None,
                aggregates={"ssd"} if draw(rare) else set(),
                traits={"HW_X"} if draw(rare) else set(),
                forbidden_traits={"HW_OLD"} if draw(rare) else set(),
                shunned_hosts={"cmp03"} if draw(rare) else set(),
            )
        )
    return found


@st.composite
def clouds(draw: st.DrawFn) -> Fleet:
    """A small cloud with groups and migrations in flight."""
    some = draw(hosts())
    names = [one.name for one in some]
    those = draw(servers(names))
    ids = [one.id for one in those]
    draw(st.randoms(use_true_random=False)).shuffle(ids)
    groups = []
    for number in range(draw(st.integers(0, 3))):  # a server is in one group at most, as in Nova
        members, ids = ids[: (size := draw(st.integers(0, 4)))], ids[size:]
        policy = draw(st.sampled_from(GROUP_POLICIES))
        groups.append(group(f"g{number}", policy, *members, max_per_host=draw(st.integers(1, 2))))
    flying = draw(st.lists(st.sampled_from([one.id for one in those]), max_size=3, unique=True)) if those else []
    by_id = {one.id: one for one in those}
    migrations = [
        migration(one, by_id[one].host, draw(st.sampled_from([*names, None])), status=draw(st.sampled_from(STATUSES)))
        for one in flying
    ]
    return fleet(some, those, groups, migrations)


STATUSES = ["running", "queued", "completed", "error"]


def placed(cloud: Fleet, plan: DrainPlan) -> dict[str, str]:
    """The targets that the plan has chosen (not the adopted ones)."""
    flying = {one.server for one in cloud.migrations if one.in_flight}
    return {line.id: line.to for line in plan.servers if line.to and line.id not in flying}


def bound_for(cloud: Fleet, chosen: dict[str, str], one: Group, name: str) -> set[str]:
    """The members of a group that are on the host, or will be."""
    flying = {row.server: row.target for row in cloud.migrations if row.in_flight}
    return {
        member
        for member in one.members
        if cloud.servers[member].status != "SHELVED_OFFLOADED"
        and name in (cloud.servers[member].host, flying.get(member), chosen.get(member))
    }


def some_avoid(cloud: Fleet) -> st.SearchStrategy[frozenset[str]]:
    """Some of the hosts."""
    return st.frozensets(st.sampled_from(sorted(cloud.hosts)), max_size=2)


@QUICK
@given(cloud=clouds(), data=st.data())
def test_each_target_keeps_every_demand(cloud: Fleet, data: st.DataObject) -> None:
    """No target is the source, closed, avoided, or against the server's zone, aggregates, traits or isolation."""
    avoid = data.draw(some_avoid(cloud))
    plan = plan_drain(cloud, HOSTS[0], DrainPolicy(), avoid)
    for name, to in placed(cloud, plan).items():
        target, needs = cloud.hosts[to], cloud.servers[name].requires
        assert to != HOSTS[0]
        assert to not in avoid
        assert target.accepts
        assert needs.zone in (None, target.zone)
        assert needs.aggregates <= target.aggregates
        assert needs.traits <= target.traits
        assert not needs.forbidden_traits & target.traits
        assert to not in needs.shunned_hosts


@QUICK
@given(cloud=clouds())
def test_no_host_is_overfilled(cloud: Fleet) -> None:
    """What Placement holds plus what the plan adds never exceeds any capacity of a target."""
    plan = plan_drain(cloud, HOSTS[0], DrainPolicy())
    added: dict[str, Counter[str]] = {}
    for name, to in placed(cloud, plan).items():
        added.setdefault(to, Counter()).update(cloud.servers[name].uses)
    for to, amounts in added.items():
        for kind, amount in amounts.items():
            assert cloud.hosts[to].used.get(kind, 0) + amount <= cloud.hosts[to].capacity[kind]


@QUICK
@given(cloud=clouds())
def test_anti_affinity_holds(cloud: Fleet) -> None:
    """No target gets more members of an anti-affinity group than allowed."""
    chosen = placed(cloud, plan_drain(cloud, HOSTS[0], DrainPolicy()))
    for one in cloud.groups.values():
        if one.policy == "anti-affinity":
            for name in {chosen[member] for member in one.members if member in chosen}:
                assert len(bound_for(cloud, chosen, one, name)) <= one.max_per_host


@QUICK
@given(cloud=clouds())
def test_affinity_holds(cloud: Fleet) -> None:
    """A member goes only to where others of its group are; without others it goes anywhere, live and forced."""
    plan = plan_drain(cloud, HOSTS[0], DrainPolicy())
    chosen, lines = placed(cloud, plan), {line.id: line for line in plan.servers}
    grouped = {member: one for one in cloud.groups.values() if one.policy == "affinity" for member in one.members}
    for name, to in chosen.items():
        others = [cloud.servers[other] for other in grouped[name].members - {name}] if name in grouped else []
        homes = {other.host for other in others if other.status != "SHELVED_OFFLOADED"}
        assert lines[name].force == (name in grouped and not homes)
        assert lines[name].action is Action.LIVE_MIGRATE or not lines[name].force
        assert not homes or to in homes


@QUICK
@given(cloud=clouds(), downtime=st.booleans())
def test_every_server_has_one_true_line(cloud: Fleet, downtime: bool) -> None:
    """Every server of the host appears once; only moves have targets; feasible says that nothing stays; it repeats."""
    policy = DrainPolicy(allow_downtime=downtime)
    plan = plan_drain(cloud, HOSTS[0], policy)
    assert Counter(line.id for line in plan.servers) == Counter(one.id for one in cloud.on(HOSTS[0]))
    for line in plan.servers:
        assert (line.to is not None) == (line.action in MOVES) == (line.seconds > 0)
        assert bool(line.reason) or line.action in MOVES
        assert bool(line.way_out) == (line.action in (Action.CANNOT, Action.WAIT))
    assert plan.feasible == all(line.action in MOVES | {Action.LEAVE} for line in plan.servers)
    assert (plan.shortfall is None) == all("no host can take it" not in line.reason for line in plan.servers)
    shuffled = Fleet(dict(reversed(list(cloud.hosts.items()))), cloud.servers, cloud.groups, cloud.migrations)
    assert plan_drain(shuffled, HOSTS[0], policy) == plan


@QUICK
@given(cloud=clouds())
def test_refused_server_fits_nowhere(cloud: Fleet) -> None:
    """A server that the plan refuses finds no target either when all that was placed is counted."""
    plan = plan_drain(cloud, HOSTS[0], DrainPolicy())
    chosen = placed(cloud, plan)
    for line in plan.servers:
        if line.reason.startswith("no host can take it"):
            assert choose(cloud, cloud.servers[line.id], planned=chosen).host is None
            assert choose(cloud, cloud.servers[line.id], planned=chosen).reason in line.reason


@QUICK
@given(cloud=clouds(), data=st.data())
def test_companions_are_never_targets(cloud: Fleet, data: st.DataObject) -> None:
    """Of hosts that are drained together none is a target, room is given once, and anti-affinity holds over all."""
    hosts = data.draw(st.lists(st.sampled_from(sorted(cloud.hosts)), min_size=1, max_size=4, unique=True))
    plans = plan_drains(cloud, hosts, DrainPolicy())
    assert [plan.host for plan in plans] == hosts
    chosen: dict[str, str] = {}
    for plan in plans:
        assert {line.id for line in plan.servers} == {one.id for one in cloud.on(plan.host)}
        chosen |= placed(cloud, plan)
    assert not set(chosen.values()) & set(hosts)
    added: dict[str, Counter[str]] = {}
    for name, to in chosen.items():
        added.setdefault(to, Counter()).update(cloud.servers[name].uses)
    for to, amounts in added.items():
        for kind, amount in amounts.items():
            assert cloud.hosts[to].used.get(kind, 0) + amount <= cloud.hosts[to].capacity[kind]
    for one in cloud.groups.values():
        if one.policy == "anti-affinity":
            for name in {chosen[member] for member in one.members if member in chosen}:
                assert len(bound_for(cloud, chosen, one, name)) <= one.max_per_host


@QUICK
@given(cloud=clouds(), data=st.data())
def test_one_after_the_other_keeps_to_the_plan(cloud: Fleet, data: st.DataObject) -> None:
    """Who plans after another, with that one's targets promised, gives no room twice and takes no companion."""
    hosts = data.draw(st.lists(st.sampled_from(sorted(cloud.hosts)), min_size=2, max_size=3, unique=True))
    promised: dict[str, str] = {}
    for number, name in enumerate(hosts):
        plan = plan_drains(cloud, hosts[number:], DrainPolicy(), frozenset(hosts), planned=promised)[0]
        assert plan.host == name
        promised |= placed(cloud, plan)
    assert not set(promised.values()) & set(hosts)
    added: dict[str, Counter[str]] = {}
    for server_id, to in promised.items():
        added.setdefault(to, Counter()).update(cloud.servers[server_id].uses)
    for to, amounts in added.items():
        for kind, amount in amounts.items():
            assert cloud.hosts[to].used.get(kind, 0) + amount <= cloud.hosts[to].capacity[kind]


@st.composite
def moves(draw: st.DrawFn) -> list[Move]:
    """Moves in all states, to few targets and in few groups."""
    return [
        move(
            f"s{number}",
            draw(st.sampled_from(["cmp02", "cmp03", "cmp04", None])),
            draw(st.integers(1, 3)),
            state=draw(st.sampled_from([MoveState.HELD] * 4 + list(MoveState))),
            groups=draw(st.sets(st.sampled_from(["g", "h"]), max_size=1)),
            not_before=draw(st.sampled_from([None, None, NOW, NOW + timedelta(seconds=1)])),
            put_last=draw(st.sampled_from([False, False, True])),
        )
        for number in range(draw(st.integers(0, 10)))
    ]


@st.composite
def flights(draw: st.DrawFn) -> list[Migration]:
    """Migrations of servers that may be ours, of which each has one."""
    names = draw(st.lists(st.integers(0, 14), max_size=6, unique=True))
    return [
        migration(
            f"s{number}",
            draw(st.sampled_from(["cmp01", "cmp08"])),
            draw(st.sampled_from(["cmp02", "cmp03", None])),
            status=draw(st.sampled_from(STATUSES)),
        )
        for number in names
    ]


POLICIES = st.builds(
    DrainPolicy, per_source=st.integers(1, 4), per_target=st.integers(1, 3), per_cloud=st.integers(1, 6)
)


def active_after(started: list[Move], given: list[Move], flying: list[Migration]) -> dict[str, tuple[str, str | None]]:
    """Source and target of every server in flight once `started` are submitted."""
    active = [one for one in given if one.state in (MoveState.SUBMITTING, MoveState.MOVING, MoveState.CONFIRMING)]
    seen: dict[str, tuple[str, str | None]] = {
        one.server: (one.source or "", one.target) for one in flying if one.in_flight
    }
    for one in [*active, *started]:
        seen[one.server] = ("cmp01", seen.get(one.server, ("", None))[1] or one.to)
    return seen


@QUICK
@given(given_moves=moves(), flying=flights(), policy=POLICIES)
def test_dispatch_keeps_every_limit(given_moves: list[Move], flying: list[Migration], policy: DrainPolicy) -> None:
    """What starts never exceeds a limit, never starts a server twice, and every other held move has its reason."""
    found = dispatch(given_moves, flying, policy, "cmp01", NOW)
    before, after = active_after([], given_moves, flying), active_after(list(found.start), given_moves, flying)
    assert {one.server for one in found.start} | found.waiting.keys() == {
        one.server for one in given_moves if one.state is MoveState.HELD
    }
    assert len(after) == len(before) + len(found.start)
    if not found.start:
        return
    assert len(after) <= policy.per_cloud
    assert sum(source == "cmp01" for source, _ in after.values()) <= policy.per_source
    arrivals = Counter(to for _, to in after.values())
    groups = {one.server: one.groups for one in given_moves}
    flying_groups = Counter(name for server_id in after for name in groups.get(server_id, ()))
    for one in found.start:
        assert one.state is MoveState.HELD
        assert one.not_before is None or one.not_before <= NOW
        assert arrivals[one.to] <= policy.per_target
        assert all(flying_groups[name] == 1 for name in one.groups)
        assert not one.put_last or all(other.put_last for other in found.start)


@QUICK
@given(given_moves=moves(), flying=flights(), policy=POLICIES)
def test_dispatch_makes_progress(given_moves: list[Move], flying: list[Migration], policy: DrainPolicy) -> None:
    """Nothing that waits could still start: asked again with the started ones active, nothing more starts."""
    found = dispatch(given_moves, flying, policy, "cmp01", NOW)
    started = {one.server for one in found.start}
    again = [
        move(one.server, one.to, one.seconds, state=MoveState.SUBMITTING, groups=one.groups, put_last=one.put_last)
        if one.server in started
        else one
        for one in given_moves
    ]
    assert dispatch(again, flying, policy, "cmp01", NOW).start == ()
    free = [one for one in given_moves if one.state is MoveState.HELD and one.to and not one.put_last]
    ready = [one for one in free if one.not_before is None or one.not_before <= NOW]
    if not flying and all(one.state not in ACTIVE for one in given_moves) and ready:
        assert found.start


ACTIVE = (MoveState.SUBMITTING, MoveState.MOVING, MoveState.CONFIRMING)


@given(seconds=st.lists(st.integers(1, 9), min_size=1, max_size=8, unique=True))
def test_all_moves_get_their_turn(seconds: list[int]) -> None:
    """Slice after slice, with one place only, every move is started once, the longest first, the last ones last."""
    left = [move(f"s{number}", seconds=number, put_last=number == max(seconds)) for number in seconds]
    order = []
    policy = DrainPolicy(per_source=1, per_target=1, per_cloud=1)
    while left:
        (one,) = dispatch(left, [], policy, "cmp01", NOW).start
        order.append(int(one.seconds))
        left.remove(one)
    assert order == [*sorted(seconds, reverse=True)[1:], max(seconds)]
