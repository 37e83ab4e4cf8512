"""Network drains of OVN gateways: a real OVN with three chassis, the simulated Neutron, the real engine and store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from shared.store import Database
from tests.support import ovn as real
from tests.support.crashes import Died
from tests.support.ovn import grouped_router, router, until
from tests.support.ovn_nodes import OvnNodes


@pytest.fixture(scope="module")
def running() -> Iterator[real.Ovn]:
    """A northbound and a southbound database, ovn-northd, and three chassis: net1, net2 and net3."""
    try:
        ovn = real.Ovn()
    except real.OvnMissing as error:
        if shutil.which("apt-get"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(f"{error}; this system has no apt-get")
    yield ovn
    ovn.close()


@pytest.fixture
def ovn(running: real.Ovn, monkeypatch: pytest.MonkeyPatch) -> Iterator[real.Ovn]:
    """The same, known to Drover by its settings, and empty again after the test."""
    monkeypatch.setenv("DROVER_OVN_NB", running.northbound)
    monkeypatch.setenv("DROVER_OVN_SB", running.southbound)
    monkeypatch.setenv("DROVER_CLOUD", "lab")
    yield running
    for kind in ("lr", "ls"):
        for line in running.nbctl(f"{kind}-list").splitlines():
            running.nbctl(f"{kind}-del", line.split()[0])
    for group in running.nbctl("--bare", "--columns=name", "find", "HA_Chassis_Group").split():
        running.nbctl("ha-chassis-group-del", group)


@pytest.fixture
def nodes(database: Database, ovn: real.Ovn) -> OvnNodes:
    """A worker, and a Neutron without any agent."""
    return OvnNodes(database, nodes=0)


def carried_by(ovn: real.Ovn, port: str, chassis: str) -> None:
    """Wait until the southbound database says that a chassis carries a port."""
    until(lambda: ovn.carrier(port) == chassis, f"{port} is carried by {chassis}")


def priorities(ovn: real.Ovn, port: str) -> dict[str, int]:
    """What the northbound database says about a gateway port, by chassis."""
    lines = ovn.nbctl("lrp-get-gateway-chassis", port).splitlines()
    return {name.removeprefix(f"{port}-"): int(number) for name, number in map(str.split, lines)}


def marks(ovn: real.Ovn) -> int:
    """How many rows say that a drain has changed them."""
    return ovn.nbctl("--columns=external_ids", "list", "Gateway_Chassis").count("drover-lowered-by")


def test_a_node_with_agents_and_gateways_is_emptied_and_given_back(nodes: OvnNodes, ovn: real.Ovn) -> None:
    """The plan names each gateway; the bindings move; the agents are disabled; the undrain restores both."""
    nodes.node("net1"), nodes.node("net2")
    network, lan = nodes.network("tenants", "net1"), nodes.router("lan", "net1")
    carried, idle = router(ovn, "carried", 30, 20, 10), router(ovn, "idle", 20, 30, 10)
    group = grouped_router(ovn, "group", 3, 2, 1)
    for port, chassis in ((f"cr-{carried}", 1), (f"cr-{idle}", 2), ("cr-lrp-group", 1), ("bare-group", 1)):
        carried_by(ovn, port, f"chassis-{chassis}")

    plan = nodes.plan("net1")
    assert plan["feasible"]
    assert [(item["sort"], item["name"], item["action"], item["to"]) for item in plan["items"]] == [
        ("network", "tenants", "hand-over", "net2"),
        ("ovn-gateway", idle, "lower", "net2"),
        ("ovn-gateway", group, "lower", "net2"),
        ("ovn-gateway", carried, "lower", "net2"),
        ("router", "lan", "move", "net2"),
    ]
    assert marks(ovn) == 0

    document = nodes.empty("net1")
    assert (document["state"], document["note"]) == ("succeeded", "")
    assert document["summary"]["moved"] == document["summary"]["total"] == 5
    assert "OVN" in document["summary"]["unseen"]
    for port in (f"cr-{carried}", f"cr-{idle}", "cr-lrp-group", "bare-group"):
        assert ovn.carrier(port) == "chassis-2"
    assert priorities(ovn, carried) == {"chassis-1": 0, "chassis-2": 20, "chassis-3": 10}
    assert (nodes.hosts_of(network), nodes.carrier(lan), nodes.l3["net1"].admin_up) == (["net2"], "net2", False)
    rows = {row.subject: (row.before, row.after) for row in nodes.audit(document["id"]) if row.act == "lower gateway"}
    assert len(rows) == 3
    before, after = rows[f"Logical_Router_Port:{carried}"]
    assert (before["chassis-1"], after["chassis-1"]) == (30, 0)

    back = nodes.give_back("net1")
    assert back["state"] == "succeeded"
    assert "DHCP agent, L3 agent of net1" in back["note"]
    assert "restored: the priority of 3 OVN gateways" in back["note"]
    assert priorities(ovn, carried) == {"chassis-1": 30, "chassis-2": 20, "chassis-3": 10}
    assert (marks(ovn), nodes.l3["net1"].admin_up) == (0, True)
    for port, chassis in ((f"cr-{carried}", 1), (f"cr-{idle}", 2), ("bare-group", 1)):
        carried_by(ovn, port, f"chassis-{chassis}")


def test_a_pure_ovn_node_needs_no_agents(nodes: OvnNodes, ovn: real.Ovn) -> None:
    """A chassis is enough; a host that is none either is refused, and told of what OVN does when one is stopped."""
    port = router(ovn, "pure", 30, 20)
    carried_by(ovn, f"cr-{port}", "chassis-1")
    assert nodes.empty("net1")["state"] == "succeeded"
    assert ovn.carrier(f"cr-{port}") == "chassis-2"
    reply = nodes.ask("net7", "network-drain")
    assert reply.type == "io.drover.network-drain.rejected"
    assert "nor a chassis in OVN" in reply.data["reason"]
    assert nodes.give_back("net1")["note"] == "restored: the priority of 1 OVN gateway"
    carried_by(ovn, f"cr-{port}", "chassis-1")


def test_a_node_that_was_switched_off_is_given_back(nodes: OvnNodes, ovn: real.Ovn) -> None:
    """OVN forgets a chassis whose ovn-controller ends: the rows say whose they are."""
    port = router(ovn, "off", 10, 20, 30)
    carried_by(ovn, f"cr-{port}", "chassis-3")
    assert nodes.empty("net3")["state"] == "succeeded"
    ovn.chassis[2].leave()
    try:
        assert nodes.give_back("net3")["state"] == "succeeded"
        assert priorities(ovn, port)["chassis-3"] == 30
    finally:
        ovn.chassis[2].control()
    carried_by(ovn, f"cr-{port}", "chassis-3")


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_dies_around_the_transaction(nodes: OvnNodes, ovn: real.Ovn, when: str) -> None:
    """The next one reads OVN: what was not written is written, what was is not written twice; the audit has it."""
    port = router(ovn, "crash", 30, 20)
    carried_by(ovn, f"cr-{port}", "chassis-1")

    def die() -> None:
        raise Died

    getattr(nodes, when)("lower", die)
    operation = nodes.start("net1")
    with pytest.raises(Died):
        nodes.run(operation)
    assert priorities(ovn, port)["chassis-1"] == (30 if when == "before" else 0)
    assert nodes.step(operation, f"Logical_Router_Port:{port}")["state"] == "lowering"
    document = nodes.run(operation, engine=nodes.worker())
    assert (document["state"], ovn.carrier(f"cr-{port}")) == ("succeeded", "chassis-2")
    acts = [row.act for row in nodes.audit(operation) if row.act == "lower gateway"]
    assert len(acts) == (2 if when == "before" else 1)
    nodes.after("restore", die)
    back = nodes.begin("net1", "network-undrain")
    with pytest.raises(Died):
        nodes.run(back)
    assert nodes.run(back, engine=nodes.worker())["note"] == "restored: the priority of 1 OVN gateway"
    assert priorities(ovn, port) == {"chassis-1": 30, "chassis-2": 20}


def test_somebody_else_writes_between_look_and_transaction(nodes: OvnNodes, ovn: real.Ovn) -> None:
    """The transaction changes nothing; the next slice looks again, and keeps what it finds."""
    port = router(ovn, "race", 30, 20)
    carried_by(ovn, f"cr-{port}", "chassis-1")
    nodes.before("lower", lambda: ovn.nbctl("lrp-set-gateway-chassis", port, "chassis-3", "25"))
    assert nodes.empty("net1")["state"] == "succeeded"
    assert priorities(ovn, port) == {"chassis-1": 0, "chassis-2": 20, "chassis-3": 25}
    assert ovn.carrier(f"cr-{port}") == "chassis-3"
    nodes.give_back("net1")
    assert priorities(ovn, port) == {"chassis-1": 30, "chassis-2": 20, "chassis-3": 25}


def test_an_only_candidate_halts_the_drain_with_its_name(nodes: OvnNodes, ovn: real.Ovn) -> None:
    """Everything else leaves; after another chassis was made a candidate a resume brings this one away too."""
    alone, other = router(ovn, "alone", 30), router(ovn, "other", 30, 20)
    for port in (alone, other):
        carried_by(ovn, f"cr-{port}", "chassis-1")
    plan = nodes.plan("net1")
    assert not plan["feasible"]
    assert [(item["action"], item["reason"]) for item in plan["items"] if item["name"] == alone] == [
        ("cannot", "net1 is its only candidate")
    ]
    document = nodes.empty("net1")
    assert document["state"] == "halted"
    assert f"nobody else carries ovn-gateway {alone} (net1 is its only candidate)" in document["note"]
    assert (ovn.carrier(f"cr-{other}"), ovn.carrier(f"cr-{alone}")) == ("chassis-2", "chassis-1")
    (left,) = document["summary"]["left"]
    assert "make another chassis a candidate" in left["way_out"]
    ovn.nbctl("lrp-set-gateway-chassis", alone, "chassis-3", "5")
    nodes.control("resume", document["id"])
    assert nodes.run(document["id"])["state"] == "succeeded"
    assert ovn.carrier(f"cr-{alone}") == "chassis-3"


def test_a_cancel_with_undo_restores_what_this_drain_has_lowered(nodes: OvnNodes, ovn: real.Ovn) -> None:
    """The priorities are as before, and the host carries again."""
    alone, other = router(ovn, "alone", 30), router(ovn, "other", 30, 20)
    document = nodes.empty("net1")
    assert document["state"] == "halted"
    assert priorities(ovn, other) == {"chassis-1": 0, "chassis-2": 20}
    nodes.control("cancel", document["id"], undo=True)
    document = nodes.run(document["id"])
    assert (document["state"], document["note"]) == ("cancelled", "restored: the priority of 1 OVN gateway")
    assert (priorities(ovn, other), priorities(ovn, alone)) == ({"chassis-1": 30, "chassis-2": 20}, {"chassis-1": 30})
    assert marks(ovn) == 0
    carried_by(ovn, f"cr-{other}", "chassis-1")
