"""Devices that bind a server, or travel with it, as the plan names them; and Nova's refusals of what shows nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from functions.migrate.features import REFUSALS, refused
from functions.migrate.model import Action, DrainPolicy
from functions.migrate.obstacles import judge
from tests.support.drains import Drains
from tests.unit.migrate.builders import host, server

LIVING = host("cmp01")
PLAIN = DrainPolicy()
DOWNTIME = DrainPolicy(allow_downtime=True)


@pytest.mark.parametrize("kind", ["direct", "direct-physical", "vdpa", "remote-managed"])
def test_a_passed_through_port_costs_packets(kind: str) -> None:
    """It moves live, unplugged meanwhile, and the plan says so; stopped, nobody notices."""
    verdict = judge(server("web", vnic_types=frozenset({kind})), LIVING, PLAIN)
    assert verdict.action is Action.LIVE_MIGRATE
    assert f"port of type {kind}: unplugged during the move" in verdict.reason
    stopped = judge(server("web", status="SHUTOFF", vnic_types=frozenset({kind})), LIVING, PLAIN)
    assert (stopped.action, stopped.reason) == (Action.COLD_MIGRATE, "")


@pytest.mark.parametrize("kind", ["macvtap", "virtio-forwarder"])
def test_an_indirect_port_travels(kind: str) -> None:
    """The guest keeps a port that is not passed through to it."""
    assert judge(server("web", vnic_types=frozenset({kind})), LIVING, PLAIN).reason == ""


@pytest.mark.parametrize("kind", ["accelerator-direct", "accelerator-direct-physical"])
def test_a_port_with_an_accelerator_moves_in_no_way(kind: str) -> None:
    """Nova refuses live and cold migration, evacuation and shelving: the port has to go first."""
    bound = {"vnic_types": frozenset({kind})}
    dead = host("cmp01", state="down", forced_down=True)
    for verdict in (
        judge(server("ai", **bound), LIVING, DOWNTIME),
        judge(server("ai", status="SHUTOFF", **bound), LIVING, DOWNTIME),
        judge(server("ai", **bound), dead, DrainPolicy(evacuate=True)),
    ):
        assert verdict.action is Action.CANNOT
        assert "port with an accelerator" in verdict.reason
    assert "detach the port" in judge(server("ai", **bound), LIVING, DOWNTIME).way_out


@pytest.mark.parametrize(
    ("specs", "version", "name"),
    [({"resources:VGPU": "1"}, (2, 95), "vGPU"), ({"hw:pmem": "6GB"}, (2, 87), "persistent memory")],
)
def test_what_an_older_nova_does_not_move_live(specs: dict[str, str], version: tuple[int, int], name: str) -> None:
    """It needs consent to downtime there; one microversion later it moves live."""
    one = server("vdi", extra_specs=specs)
    verdict = judge(one, LIVING, PLAIN, version)
    assert (verdict.action, verdict.way_out) == (Action.CANNOT, "cold migration with --allow-downtime")
    assert name in verdict.reason
    assert judge(one, LIVING, DOWNTIME, version).action is Action.COLD_MIGRATE
    assert judge(one, LIVING, PLAIN, (version[0], version[1] + 1)).action is Action.LIVE_MIGRATE
    assert name in judge(one, LIVING, PLAIN).reason


def test_custom_resources_are_named() -> None:
    """What a class of the operator's own is, Nova does not tell: the plan says that it may be a vGPU."""
    verdict = judge(server("vdi", extra_specs={"resources1:CUSTOM_NVIDIA_11": "1"}), LIVING, PLAIN)
    assert verdict.action is Action.LIVE_MIGRATE
    assert "custom resources" in verdict.reason


@pytest.mark.parametrize("part", [part for part, _ in REFUSALS])
def test_a_refusal_that_no_second_try_helps(part: str) -> None:
    """Each one leads to a reason that quotes Nova, and to a way out."""
    verdict = refused(f"Something about {part}.")
    assert verdict is not None
    assert (verdict.action, bool(verdict.way_out)) == (Action.CANNOT, True)
    assert part in verdict.reason
    assert refused("Cannot 'migrate' instance while it is in task_state rebooting") is None


def test_a_share_is_found_out_by_asking(drains: Drains, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shares show in no list: Nova's refusal is understood at once, and costs no more tries."""
    (server,) = drains.servers(1)
    told = "Feature not supported with instances that have shares."
    nova: Any = drains.fake.nova

    def refuse(*_: Any) -> None:
        from lab.simulator.protocol import HttpError

        raise HttpError(409, told)

    monkeypatch.setitem(nova._verbs, "os-migrateLive", refuse)
    document = drains.drain()
    assert document["state"] == "halted"
    (left,) = document["summary"]["left"]
    assert told in left["reason"]
    assert "openstack server remove share" in left["way_out"]
    assert sum(f"POST /compute/v2.1/servers/{server}/action" in line for line in drains.fake.log) == 1


def test_bare_metal_is_refused_as_a_whole(drains: Drains) -> None:
    """A drain of an Ironic host changes nothing and says why; the dry run lists its servers."""
    drains.fake.world.hosts["cmp01"].hypervisor = "ironic"
    drains.servers(1)
    reply = drains.ask()
    assert reply.type == "io.drover.drain.rejected"
    assert "bare metal" in str(reply.data)
    assert drains.ask("", hosts=["cmp02", "cmp01"]).type == "io.drover.drain.rejected"
    assert (drains.acts(), drains.operations()) == ([], [])
    (line,) = drains.ask(dry_run=True).data["servers"]
    assert (line["action"], "bare metal" in line["reason"]) == ("cannot", True)


def test_agents_that_stay_are_named(drains: Drains) -> None:
    """A host that also carries routers: the plan says so, and so does the note when it is empty of servers."""
    drains.servers(1)
    assert drains.ask(dry_run=True).data["notes"] == []
    drains.fake.network.add_agent("l3", "cmp01")
    (note,) = drains.ask(dry_run=True).data["notes"]
    assert "L3 agent on cmp01 stays as it is: drover drain-network cmp01" in note
    document = drains.drain()
    assert document["state"] == "succeeded"
    assert note in document["note"]


def test_neutron_that_does_not_tell_is_no_obstacle(drains: Drains) -> None:
    """Ports and agents are then not known; the drain goes on."""
    drains.servers(1)
    drains.fake.fail_next(403, of="GET /network/", times=99)
    plan = drains.ask(dry_run=True).data
    assert (plan["feasible"], plan["notes"]) == (True, [])
