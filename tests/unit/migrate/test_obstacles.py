"""What can be done with a server as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.migrate.model import Action, DrainPolicy
from functions.migrate.obstacles import judge
from tests.unit.migrate.builders import host, server

LIVING = host("cmp01")
DOWN = host("cmp01", state="down")
DEAD = host("cmp01", state="down", forced_down=True)
PLAIN = DrainPolicy()
DOWNTIME = DrainPolicy(allow_downtime=True)
EVACUATE = DrainPolicy(evacuate=True)


@pytest.mark.parametrize(
    ("status", "action", "reason", "way_out"),
    [
        ("ACTIVE", Action.LIVE_MIGRATE, "", ""),
        ("PAUSED", Action.LIVE_MIGRATE, "", ""),
        ("SHUTOFF", Action.COLD_MIGRATE, "", ""),
        ("ERROR", Action.CANNOT, "in ERROR", "mend it"),
        ("RESCUE", Action.CANNOT, "in RESCUE", "unrescue it first"),
        ("SUSPENDED", Action.CANNOT, "SUSPENDED", "resume it first"),
        ("VERIFY_RESIZE", Action.CANNOT, "VERIFY_RESIZE", "confirm or revert"),
        ("SHELVED", Action.CANNOT, "SHELVED", "offload it"),
        ("SOFT_DELETED", Action.CANNOT, "SOFT_DELETED", "force-delete it"),
        ("SHELVED_OFFLOADED", Action.LEAVE, "on no host", ""),
        ("DELETED", Action.LEAVE, "deleted", ""),
        ("BUILD", Action.WAIT, "built", "wait"),
        ("REBUILD", Action.WAIT, "rebuilt", "wait"),
        ("REBOOT", Action.WAIT, "rebooting", "wait"),
        ("HARD_REBOOT", Action.WAIT, "rebooting", "wait"),
        ("PASSWORD", Action.WAIT, "password", "wait"),
        ("RESIZE", Action.WAIT, "resized", "wait"),
        ("REVERT_RESIZE", Action.WAIT, "reverted", "wait"),
        ("MIGRATING", Action.WAIT, "already migrating", "wait"),
        ("UNKNOWN", Action.WAIT, "UNKNOWN", "wait"),
        ("FROBNICATED", Action.CANNOT, "in FROBNICATED", "ACTIVE or SHUTOFF"),
    ],
)
def test_every_status_has_its_action(status: str, action: Action, reason: str, way_out: str) -> None:
    """Each status of Nova leads to the one right action on a living host, with reason and way out."""
    verdict = judge(server("web", status=status), LIVING, PLAIN)
    assert verdict.action is action
    assert reason in verdict.reason
    assert way_out in verdict.way_out
    assert bool(verdict.reason) == bool(reason)
    assert bool(verdict.way_out) == bool(way_out)


def test_stopped_server_needs_no_consent() -> None:
    """A SHUTOFF server is cold-migrated even without allow_downtime, since nothing goes down."""
    assert judge(server("db", status="SHUTOFF"), LIVING, PLAIN).action is Action.COLD_MIGRATE


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED", "SHUTOFF"])
def test_task_under_way_is_waited_for(status: str) -> None:
    """A server with a task under way is left alone for now, and the task is named."""
    verdict = judge(server("web", status=status, task_state="image_uploading"), LIVING, PLAIN)
    assert verdict.action is Action.WAIT
    assert "image_uploading" in verdict.reason


@pytest.mark.parametrize("source", [LIVING, DEAD])
def test_server_being_deleted_is_left(source: Any) -> None:
    """A server that is being deleted goes away by itself, from a dead host too."""
    assert judge(server("web", task_state="deleting"), source, EVACUATE).action is Action.LEAVE


def test_locked_server_moves_with_a_note() -> None:
    """A lock does not stop an admin: the server moves, and the note says so with the owner's words."""
    verdict = judge(server("web", locked=True), LIVING, PLAIN)
    assert verdict.action is Action.LIVE_MIGRATE
    assert verdict.reason == "locked by its owner: admins may still move it"
    web = server("web", locked=True, locked_reason="do not touch", extra_specs={"hw:pmem": "1G"})
    told = judge(web, LIVING, DOWNTIME)
    assert '(locked because: "do not touch"); persistent memory' in told.reason


def test_lock_is_no_note_on_what_does_not_move() -> None:
    """The note about the lock is not given where it is not what keeps the server."""
    assert "locked" not in judge(server("web", status="RESCUE", locked=True), LIVING, PLAIN).reason


def test_fault_is_named() -> None:
    """A server in ERROR shows Nova's fault."""
    assert "no disk" in judge(server("web", status="ERROR", fault="no disk"), LIVING, PLAIN).reason


BOUND: list[tuple[str, dict[str, Any]]] = [
    ("SEV", {"extra_specs": {"hw:mem_encryption": "True"}}),
    ("SEV", {"image_properties": {"hw_mem_encryption": "true"}}),
    ("vTPM", {"extra_specs": {"hw:tpm_version": "2.0"}}),
    ("vTPM", {"image_properties": {"hw_tpm_version": "2.0"}}),
    ("vTPM", {"extra_specs": {"hw:tpm_version": "2.0", "hw:tpm_secret_security": "deployment"}}),
    ("PCI device", {"extra_specs": {"pci_passthrough:alias": "gpu:1"}}),
]


@pytest.mark.parametrize(("name", "features"), BOUND)
def test_feature_that_cannot_move_live(name: str, features: dict[str, Any]) -> None:
    """What binds a running server to its host needs consent to downtime, and the way out names the option."""
    without = judge(server("web", **features), LIVING, PLAIN)
    assert without.action is Action.CANNOT
    assert name in without.reason
    assert without.way_out == "cold migration with --allow-downtime"
    consented = judge(server("web", **features), LIVING, DOWNTIME)
    assert consented.action is Action.COLD_MIGRATE
    assert "stopped for the move" in consented.reason


@pytest.mark.parametrize(("name", "features"), BOUND)
def test_bound_feature_when_paused_or_stopped(name: str, features: dict[str, Any]) -> None:
    """A paused one must be unpaused first (Nova cold-migrates only ACTIVE and SHUTOFF); a stopped one just moves."""
    paused = judge(server("web", status="PAUSED", **features), LIVING, DOWNTIME)
    assert paused.action is Action.CANNOT
    assert name in paused.reason
    assert "unpause it" in paused.way_out
    assert judge(server("web", status="SHUTOFF", **features), LIVING, PLAIN).action is Action.COLD_MIGRATE


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF"])
def test_accelerator_moves_neither_way(status: str) -> None:
    """Nova refuses live and cold migration of a server with a Cyborg accelerator: shelving is the way out."""
    verdict = judge(server("ai", status=status, extra_specs={"accel:device_profile": "fpga"}), LIVING, DOWNTIME)
    assert verdict.action is Action.CANNOT
    assert "accelerator" in verdict.reason
    assert "shelve" in verdict.way_out


@pytest.mark.parametrize(
    "features",
    [
        {"extra_specs": {"hw:tpm_version": "2.0", "hw:tpm_secret_security": "host"}},
        {"extra_specs": {"hw:mem_encryption": "false"}, "image_properties": {"hw_mem_encryption": "no"}},
        {"extra_specs": {"hw:cpu_policy": "shared", "hw:mem_page_size": "any"}},
    ],
)
def test_features_that_travel(features: dict[str, Any]) -> None:
    """A vTPM whose secret the hosts hold, switched-off encryption and plain pages migrate live without a word."""
    verdict = judge(server("web", **features), LIVING, PLAIN)
    assert (verdict.action, verdict.reason) == (Action.LIVE_MIGRATE, "")


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"extra_specs": {"hw:cpu_policy": "dedicated"}}, "pinned CPUs"),
        ({"image_properties": {"hw_cpu_policy": "dedicated"}}, "pinned CPUs"),
        ({"extra_specs": {"hw:cpu_policy": "mixed"}}, "pinned CPUs"),
        ({"extra_specs": {"hw:mem_page_size": "large"}}, "huge pages"),
        ({"extra_specs": {"hw:mem_page_size": "1048576"}}, "huge pages"),
        ({"extra_specs": {"hw:numa_nodes": "2"}}, "NUMA topology"),
    ],
)
def test_what_a_plan_cannot_see_is_named(features: dict[str, Any], words: str) -> None:
    """What Nova places by NUMA cells is moved, and the line of the plan says who looks whether it fits."""
    verdict = judge(server("web", **features), LIVING, PLAIN)
    assert verdict.action is Action.LIVE_MIGRATE
    assert words in verdict.reason


def test_a_pci_device_is_named_where_it_goes_along() -> None:
    """A stopped server with a PCI device is cold-migrated, and the line says that the target needs one."""
    verdict = judge(server("ai", status="SHUTOFF", extra_specs={"pci_passthrough:alias": "gpu:1"}), LIVING, PLAIN)
    assert verdict.action is Action.COLD_MIGRATE
    assert "PCI device" in verdict.reason


@pytest.mark.parametrize("state", ["up", "down"])
def test_bare_metal_is_never_touched(state: str) -> None:
    """What Ironic runs is the machine itself: neither moved nor evacuated, with the reason and the way out."""
    metal = replace(LIVING, hypervisor="ironic", state=state, forced_down=state == "down")
    for status in ("ACTIVE", "SHUTOFF", "ERROR"):
        verdict = judge(server("node", status=status), metal, replace(PLAIN, evacuate=True, allow_downtime=True))
        assert verdict.action is Action.CANNOT
        assert "bare metal" in verdict.reason
        assert "another node" in verdict.way_out
    assert judge(server("node", task_state="deleting"), metal, PLAIN).action is Action.LEAVE


@pytest.mark.parametrize("key", ["resources:VGPU", "resources1:VGPU"])
def test_vgpu_is_tried_live(key: str) -> None:
    """A vGPU migrates live on newer clouds: it is tried, and the reason names the version."""
    verdict = judge(server("vdi", extra_specs={key: "1"}), LIVING, PLAIN)
    assert verdict.action is Action.LIVE_MIGRATE
    assert "2024.1" in verdict.reason


@pytest.mark.parametrize("power_state", [4, 6, 7])
def test_guest_that_is_off(power_state: int) -> None:
    """Nova refuses to live-migrate an ACTIVE server whose guest is off: stop it, or consent to downtime."""
    verdict = judge(server("web", power_state=power_state), LIVING, PLAIN)
    assert verdict.action is Action.CANNOT
    assert "stop it" in verdict.way_out
    assert judge(server("web", power_state=power_state), LIVING, DOWNTIME).action is Action.COLD_MIGRATE


@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "PAUSED", "ERROR"])
def test_down_host_lets_nothing_go(status: str) -> None:
    """From a host that is down nothing migrates; the way out names --evacuate."""
    verdict = judge(server("web", status=status), DOWN, PLAIN)
    assert verdict.action is Action.CANNOT
    assert "cmp01 is down" in verdict.reason
    assert "--evacuate" in verdict.way_out


def test_evacuation_needs_forced_down() -> None:
    """Without forced_down no server is evacuated, or it could run twice; the way out is the command."""
    verdict = judge(server("web"), DOWN, EVACUATE)
    assert verdict.action is Action.CANNOT
    assert "written twice" in verdict.reason
    assert "openstack compute service set --down cmp01" in verdict.way_out


@pytest.mark.parametrize("source", [DEAD, host("cmp01", state="up", forced_down=True)])
@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "ERROR", "REBOOT", "HARD_REBOOT", "PASSWORD"])
def test_dead_host_is_evacuated(status: str, source: Any) -> None:
    """With the option and forced_down every vm_state that Nova takes is evacuated, whatever task was under way."""
    verdict = judge(server("web", status=status, task_state="powering-off"), source, EVACUATE)
    assert verdict.action is Action.EVACUATE
    assert "local disk is lost" in verdict.reason
    assert judge(server("web", status=status, volume_backed=True), source, EVACUATE).reason == ""


@pytest.mark.parametrize("status", ["PAUSED", "SUSPENDED", "RESCUE", "MIGRATING", "BUILD"])
def test_other_states_on_a_dead_host(status: str) -> None:
    """What Nova does not evacuate says so, and how it becomes possible."""
    verdict = judge(server("web", status=status), DEAD, EVACUATE)
    assert verdict.action is Action.CANNOT
    assert status in verdict.reason
    assert "--state error" in verdict.way_out


def test_evacuation_under_way_is_waited_for() -> None:
    """A server in REBUILD on a dead host is being evacuated already."""
    assert judge(server("web", status="REBUILD"), DEAD, EVACUATE).action is Action.WAIT


def test_what_a_dead_host_keeps_and_gives() -> None:
    """A vTPM is never evacuated, whoever holds its secret; an accelerator is."""
    tpm = {"hw:tpm_version": "2.0", "hw:tpm_secret_security": "host"}
    assert judge(server("web", extra_specs=tpm), DEAD, EVACUATE).action is Action.CANNOT
    accelerator = {"accel:device_profile": "fpga"}
    assert judge(server("web", extra_specs=accelerator), DEAD, EVACUATE).action is Action.EVACUATE
