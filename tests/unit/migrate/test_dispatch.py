"""Which held moves start now, and why the others wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from functions.migrate.dispatch import dispatch
from functions.migrate.model import Action, Dispatch, DrainPolicy, Move, MoveState
from shared.fleet.snapshot import Migration
from tests.unit.migrate.builders import NOW, fleet, group, migration, move, server

WIDE = DrainPolicy(per_source=100, per_target=100, per_cloud=100)


def decide(
    moves: list[Move], in_flight: list[Migration] | None = None, policy: DrainPolicy = WIDE, **more: Any
) -> Dispatch:
    """The decision for a drain of cmp01 at `NOW`."""
    return dispatch(moves, in_flight or [], policy, "cmp01", NOW, **more)


def started(found: Dispatch) -> list[str]:
    """The servers that start."""
    return [one.server for one in found.start]


def test_only_held_moves_start() -> None:
    """A move in any other state neither starts nor waits."""
    moves = [move(state.value, state=state) for state in MoveState if state is not MoveState.HELD]
    assert decide([*moves, move("web")]) == Dispatch((move("web"),), {})


def test_longest_first() -> None:
    """The longest move starts first; equal ones go by name."""
    moves = [move("b", seconds=5), move("long", seconds=50), move("a", seconds=5)]
    assert started(decide(moves)) == ["long", "a", "b"]
    limited = decide(moves, policy=DrainPolicy(per_source=1))
    assert started(limited) == ["long"]
    assert set(limited.waiting) == {"a", "b"}


def test_per_source_counts_everything_from_the_source() -> None:
    """Our active moves and foreign migrations from the source all take its places; others do not."""
    policy = DrainPolicy(per_source=3, per_target=100, per_cloud=100)
    moves = [move("web"), move("web2"), move("ours", to="cmp03", state=MoveState.SUBMITTING)]
    foreign = [migration("x", target="cmp04"), migration("far", "cmp08", "cmp09")]
    assert started(decide(moves, foreign, policy)) == ["web"]
    assert "3 moves from cmp01 are in flight, 3 are allowed" in decide(moves, foreign, policy).waiting["web2"]
    assert started(decide(moves, [], policy)) == ["web", "web2"]


@pytest.mark.parametrize("state", [MoveState.SUBMITTING, MoveState.MOVING, MoveState.CONFIRMING])
def test_own_move_in_flight_counts_once(state: MoveState) -> None:
    """A move of ours takes one place, whether Nova shows its migration already or not yet."""
    policy = DrainPolicy(per_source=2, per_target=2, per_cloud=2)
    moves = [move("web"), move("ours", state=state)]
    assert started(decide(moves, [migration("ours")], policy)) == ["web"]
    assert started(decide(moves, [], policy)) == ["web"]
    assert started(decide([*moves, move("more", state=state)], [], policy)) == []


def test_ended_migrations_take_no_place() -> None:
    """Migrations that are through are ignored."""
    policy = DrainPolicy(per_source=1, per_target=1, per_cloud=1)
    ended = [migration(status, status=status) for status in ("completed", "error", "failed", "cancelled", "done")]
    assert started(decide([move("web")], ended, policy)) == ["web"]


def test_per_target_counts_all_arrivals() -> None:
    """Whatever arrives at a target takes its places, from wherever; another target is still free."""
    policy = DrainPolicy(per_source=100, per_target=2, per_cloud=100)
    moves = [move("a"), move("b", seconds=5), move("c", to="cmp03", seconds=1)]
    found = decide(moves, [migration("far", "cmp08", "cmp02")], policy)
    assert started(found) == ["a", "c"]
    assert found.waiting == {"b": "2 servers are in flight to cmp02, 2 are allowed"}


def test_target_of_a_migration_is_novas() -> None:
    """Nova's target counts when it differs from ours; ours counts as long as Nova has none."""
    policy = DrainPolicy(per_source=100, per_target=1, per_cloud=100)
    moves = [move("ours", to="cmp02", state=MoveState.MOVING), move("a", to="cmp02"), move("b", to="cmp03")]
    assert started(decide(moves, [migration("ours", target="cmp03")], policy)) == ["a"]
    assert started(decide(moves, [migration("ours", target=None)], policy)) == ["b"]
    assert started(decide(moves, [migration("foreign", "cmp08", None)], policy)) == ["b"]


def test_per_cloud_counts_everything() -> None:
    """The cloud-wide limit counts every migration in flight, whoever started it."""
    policy = DrainPolicy(per_source=100, per_target=100, per_cloud=3)
    foreign = [migration(f"far{number}", "cmp08", "cmp09") for number in range(2)]
    found = decide([move("a"), move("b")], foreign, policy)
    assert started(found) == ["a"]
    assert found.waiting["b"] == "3 migrations are in flight in the cloud, 3 are allowed"


def test_server_in_flight_is_not_started_again() -> None:
    """A held move whose server somebody else has started is not submitted a second time."""
    found = decide([move("web")], [migration("web")])
    assert started(found) == []
    assert "somebody else" in found.waiting["web"]


@pytest.mark.parametrize("policy", ["affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"])
def test_one_of_a_group_at_a_time(policy: str) -> None:
    """Only one member of a server group is in flight, whatever its policy and whoever moves it."""
    moves = [move("a", groups={"g"}), move("b", to="cmp03", seconds=5, groups={"g"}), move("c", groups={"h"})]
    found = decide(moves)
    assert started(found) == ["a", "c"]
    assert "server group" in found.waiting["b"]
    groups_of = fleet([], [server("far", "cmp08")], [group("g", policy, "a", "b", "far")]).groups_of
    foreign = [migration("far", "cmp08", "cmp09")]
    assert started(decide(moves, foreign, groups_of=groups_of)) == ["c"]
    assert started(decide([move("a"), move("b")], groups_of=groups_of)) == ["a"]
    active = move("mine", state=MoveState.MOVING, groups={"g"})
    assert started(decide([active, *moves])) == ["c"]
    adopted = move("mine", state=MoveState.MOVING, groups={"g"})
    assert started(decide([adopted, *moves], [migration("mine")])) == ["c"]


def test_back_off_is_respected() -> None:
    """A move does not start before its back-off is over, and starts at that moment."""
    found = decide([move("web", not_before=NOW + timedelta(seconds=30))])
    assert found.waiting["web"] == "tried again at 2026-03-01T12:00:30+00:00"
    assert started(decide([move("web", not_before=NOW)])) == ["web"]


def test_nothing_starts_past_the_deadline() -> None:
    """From the deadline on nothing starts."""
    over = DrainPolicy(deadline=NOW)
    assert "deadline" in decide([move("web")], policy=over).waiting["web"]
    assert started(decide([move("web")], policy=DrainPolicy(deadline=NOW + timedelta(seconds=1)))) == ["web"]


def test_last_ones_wait_for_the_others() -> None:
    """A move that stalled waits while any other is held (also in back-off) or active, and then starts."""
    last, later = move("stalled", put_last=True, seconds=99), NOW + timedelta(hours=1)
    for other in (move("web"), move("web", not_before=later), move("web", state=MoveState.MOVING)):
        assert "put last" in decide([last, other]).waiting["stalled"]
    settled = [move(state.value, state=state) for state in (MoveState.DONE, MoveState.LEFT, MoveState.FAILED)]
    assert started(decide([last, move("twin", put_last=True), *settled])) == ["stalled", "twin"]
    assert "put last" in decide([last, move("retried", to=None)]).waiting["stalled"]
    assert started(decide([last, move("busy", to=None, action=Action.WAIT)])) == ["stalled"]
    assert started(decide([last, move("first", action=Action.WAIT)])) == ["stalled"]


@pytest.mark.parametrize("changes", [{"to": None}, {"action": Action.WAIT}, {"action": Action.CANNOT}])
def test_no_target_no_start(changes: dict[str, Any]) -> None:
    """What has no target, or is no move, never starts."""
    assert decide([move("web", **changes)]).waiting == {"web": "it has no target yet"}
