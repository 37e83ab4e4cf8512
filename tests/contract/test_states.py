"""Statuses of servers, and what may be done in each."""

from __future__ import annotations

import pytest

from tests.contract.stage import Stage

LIVE = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
COLD = {"migrate": None}

STATUSES = [
    ("pause", "PAUSED", "paused", 3, {"migrate"}),
    ("suspend", "SUSPENDED", "suspended", 7, {"os-migrateLive", "migrate", "evacuate"}),
    ("rescue", "RESCUE", "rescued", None, {"os-migrateLive", "migrate", "evacuate"}),
    ("os-stop", "SHUTOFF", "stopped", 4, {"os-migrateLive"}),
    ("shelve", "SHELVED_OFFLOADED", "shelved_offloaded", 4, {"os-migrateLive", "migrate"}),
]
"""Action, status, vm_state, power_state, and the moves that this status forbids."""


@pytest.mark.parametrize(("verb", "status", "vm_state", "power", "forbidden"), STATUSES, ids=lambda value: str(value))
def test_what_a_status_forbids(
    stage: Stage, verb: str, status: str, vm_state: str, power: int | None, forbidden: set[str]
) -> None:
    """409 with the vm_state in the sentence, and nothing happens."""
    vm = stage.boot(verb)
    assert stage.act(vm, {verb: None}).status_code == (200 if verb == "rescue" else 202)
    stage.rests(vm, status)
    found = stage.server(vm)
    assert found["OS-EXT-STS:vm_state"] == vm_state
    assert power is None or found["OS-EXT-STS:power_state"] == power
    assert (found["OS-EXT-SRV-ATTR:host"] is None) == (status == "SHELVED_OFFLOADED")
    for name, action in (("os-migrateLive", LIVE), ("migrate", COLD), ("evacuate", {"evacuate": {}})):
        if name in forbidden:
            code, message = stage.refusal(stage.act(vm, action))
            assert (code, message) == (409, f"Cannot '{name}' instance {vm} while it is in vm_state {vm_state}")
    assert stage.state(vm) == (status, None)


@pytest.mark.parametrize(
    ("there", "back", "between"),
    [("pause", "unpause", "PAUSED"), ("suspend", "resume", "SUSPENDED"), ("rescue", "unrescue", "RESCUE"),
     ("os-stop", "os-start", "SHUTOFF"), ("shelve", "unshelve", "SHELVED_OFFLOADED")],
)  # fmt: skip
def test_there_and_back(stage: Stage, there: str, back: str, between: str) -> None:
    """Each status has a way back to ACTIVE; the same action twice is refused."""
    vm = stage.boot(there)
    stage.act(vm, {there: None})
    stage.rests(vm, between)
    assert stage.refusal(stage.act(vm, {there: None}))[0] == 409
    assert stage.act(vm, {back: None}).status_code == 202
    stage.rests(vm, "ACTIVE")
    assert stage.refusal(stage.act(vm, {back: None}))[0] == 409


def test_a_lock_does_not_hold_administrators(stage: Stage) -> None:
    """A locked server shows its reason (2.73), and an administrator migrates it all the same."""
    vm = stage.boot("locked")
    assert stage.act(vm, {"lock": {"locked_reason": "mine"}}).status_code == 202
    assert (stage.server(vm)["locked"], stage.server(vm)["locked_reason"]) == (True, "mine")
    assert "locked_reason" not in stage.server(vm, "2.72")
    assert stage.live_migrate(vm, "cmp02").status_code == 202
    stage.ended(vm, "completed")
    assert stage.server(vm)["locked"]
    stage.act(vm, {"unlock": None})
    assert (stage.server(vm)["locked"], stage.server(vm)["locked_reason"]) == (False, None)


def test_what_has_no_host_cannot_be_evacuated(stage: Stage) -> None:
    """400 for a shelved and offloaded server: no target counts as the same host as none."""
    vm = stage.boot("hostless")
    stage.act(vm, {"shelve": None})
    stage.rests(vm, "SHELVED_OFFLOADED")
    assert stage.refusal(stage.act(vm, {"evacuate": {}})) == (400, "The target host can't be the same one.")
    assert stage.refusal(stage.act(vm, {"evacuate": {"host": "cmp02"}}))[0] == 409


def test_an_unknown_action(stage: Stage) -> None:
    """400, in words that name it."""
    vm = stage.boot("action")
    assert stage.refusal(stage.act(vm, {"nonsense": None})) == (400, "There is no such action: nonsense")
