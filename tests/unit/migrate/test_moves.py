"""Moves as the store keeps them, and the summary that is made of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.migrate.model import Action, MoveState
from functions.migrate.moves import MoveRecord, ServerMove, arrival_step, status_at_rest
from functions.migrate.summary import summarise
from shared.store import Operation, OperationState, Step
from tests.unit.migrate.builders import NOW, server


@given(
    record=st.builds(
        MoveRecord,
        before=st.text(max_size=9),
        known=st.lists(st.uuids().map(str), max_size=3),
        submitted_at=st.none() | st.just(NOW),
        least_memory=st.none() | st.integers(0, 2**60),
        put_last=st.booleans(),
    )
)
def test_a_record_survives_the_store(record: MoveRecord) -> None:
    """What a move remembers is the same after it was written as JSON and read again."""
    move = ServerMove(Step(operation_id="o", subject="s", action=Action.WAIT, state=MoveState.HELD))
    move.record = record
    assert ServerMove(move.stored()).record == record


def test_a_record_of_a_later_version_is_read() -> None:
    """Unknown fields are left out, so that a rolled back Drover goes on."""
    step = Step(operation_id="o", subject="s", action=Action.WAIT, state=MoveState.HELD, details={"surprise": 1})
    assert ServerMove(step).record == MoveRecord()


@pytest.mark.parametrize(
    ("status", "rest"), [("ACTIVE", "ACTIVE"), ("PAUSED", "PAUSED"), ("MIGRATING", ""), ("REBOOT", ""), ("RESIZE", "")]
)
def test_a_status_that_passes_says_nothing(status: str, rest: str) -> None:
    """A server that is under way when it is first seen may come out with any status but ERROR."""
    assert status_at_rest(server("a", status=status)) == rest
    assert ServerMove(arrival_step(server("a", status=status))).record.before == rest


def test_forgetting_a_request_keeps_what_was_learned() -> None:
    """Failed targets, stalls and known migrations outlive the try."""
    move = ServerMove(Step(operation_id="o", subject="s", action=Action.WAIT, state=MoveState.HELD))
    move.record = MoveRecord(migration="m", aborting="why", known=["k"], failed_targets=["cmp02"], stalls=1)
    move.forget_request()
    assert move.record == MoveRecord(known=["k"], failed_targets=["cmp02"], stalls=1)


def _operation(state: OperationState, **columns: Any) -> Operation:
    columns = {"started_at": NOW, "memo": {"requests": {"compute": 7, "placement": 1}}, **columns}
    asked: dict[str, Any] = {"cloud": "c", "target": "cmp01", "reason": "r", "requester": "q"}
    return Operation(id="o", kind="drain", state=state, created_at=NOW, **asked, **columns)


def _step(state: MoveState, action: Action = Action.LIVE_MIGRATE, **record: Any) -> Step:
    move = ServerMove(Step(operation_id="o", subject=str(state), name=str(state), action=action, state=state))
    details: dict[str, Any] = {"memory_mb": 1024, "seconds": 10.0, **record}
    move.record = MoveRecord(**details)
    return move.stored()


def test_a_summary_counts_each_state_where_it_belongs() -> None:
    """Gone servers count nowhere; those that stay are named; those to come are in the total."""
    steps = [_step(state) for state in MoveState]
    summary = summarise(_operation(OperationState.RUNNING), steps, NOW + timedelta(seconds=30))
    assert (summary["moved"], summary["total"], summary["in_flight"]) == (1, len(MoveState) - 1, 3)
    assert {entry["server"] for entry in summary["left"]} == {"left", "failed"}
    assert (summary["seconds"], summary["api_requests"]) == (30.0, 7)
    assert summary["api_requests_by_service"] == {"compute": 7, "placement": 1}
    assert (summary["arrived"], summary["memory_mb_moved"]) == (1, 2 * 1024)
    assert summary["memory_mb_total"] == 1024 * (len(MoveState) - 1)


def test_an_ended_drain_names_whatever_did_not_move() -> None:
    """Held and in-flight servers are told apart; nothing is to come any more."""
    steps = [_step(MoveState.HELD), _step(MoveState.MOVING)]
    ended = _operation(OperationState.CANCELLED, finished_at=NOW + timedelta(seconds=5), note="enough")
    summary = summarise(ended, steps, NOW + timedelta(days=1))
    reasons = {entry["server"]: entry["reason"] for entry in summary["left"]}
    assert reasons["held"] == "not moved yet when the drain cancelled: enough"
    assert reasons["moving"].startswith("under way to")
    assert (summary["seconds"], summary["eta_seconds"]) == (5.0, 0.0)


def test_the_eta_learns_from_what_has_moved() -> None:
    """Moves that took twice their forecast make the rest take twice its forecast."""
    steps = [_step(MoveState.DONE, seconds_taken=20.0), _step(MoveState.HELD), _step(MoveState.MOVING)]
    assert summarise(_operation(OperationState.RUNNING), steps, NOW)["eta_seconds"] == 40.0
    assert summarise(_operation(OperationState.RUNNING), steps[1:], NOW)["eta_seconds"] == 20.0
    assert summarise(_operation(OperationState.RUNNING), steps[:1], NOW)["eta_seconds"] == 0.0


def test_a_drain_that_did_not_start_has_taken_no_time() -> None:
    """Neither is anything counted before the first slice."""
    summary = summarise(_operation(OperationState.PLANNED, started_at=None, memo={}), [], NOW)
    assert (summary["seconds"], summary["api_requests"], summary["total"]) == (0.0, 0, 0)
