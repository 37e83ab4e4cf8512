"""A host's gateways are lowered, proven to be carried elsewhere and given back on a real OVN."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from functions.migrate.network.ovn import Ovn
from functions.migrate.network.ovn_model import Gateway, Look
from functions.migrate.network.ovn_plan import carried_elsewhere, obstacle
from functions.migrate.network.ovn_settings import databases
from functions.migrate.network.ovn_wire import Changed
from shared.clouds import AnswerLost
from shared.errors import Permanent, Rejected
from tests.support import ovn as real
from tests.support.ovn import grouped_router, router, until

DRAIN = "0123456789abcdef"


@pytest.fixture(scope="module")
def running() -> Iterator[real.Ovn]:
    """A northbound and a southbound database, ovn-northd, and three chassis that see each other by BFD."""
    try:
        ovn = real.Ovn()
    except real.OvnMissing as error:
        if shutil.which("apt-get"):
            pytest.fail(str(error), pytrace=False)
        pytest.skip(f"{error}; this system has no apt-get")
    yield ovn
    ovn.close()


def client(ovn: real.Ovn, north: str | None = None, later: float = 0) -> Ovn:
    """Drover's own side, as its settings make it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROVER_OVN_TEST_NB", north or ovn.northbound)
        patch.setenv("DROVER_OVN_TEST_SB", ovn.southbound)
        found = databases("test")
    assert found
    return Ovn(*found, now=lambda: time.time() + later)


def see(ovn: real.Ovn, host: str, name: str) -> tuple[Ovn, Look, Gateway]:
    """A look at one gateway."""
    it = client(ovn)
    look = it.gateways(host)
    gateway = look.gateway(name)
    assert gateway
    return it, look, gateway


def carried_by(ovn: real.Ovn, port: str, chassis: str) -> None:
    """Wait until the southbound database says that a chassis carries a port."""
    until(lambda: ovn.carrier(port) == chassis, f"{port} is carried by {chassis}")


def test_lowering_moves_the_gateway_and_restoring_moves_it_back(running: real.Ovn) -> None:
    """The binding moves to the next chassis, which two looks prove, and comes back; the rows are as before."""
    port = router(running, "move", 30, 20, 10)
    name, redirect = f"Logical_Router_Port:{port}", f"cr-{port}"
    carried_by(running, redirect, "chassis-1")
    it, look, gateway = see(running, "net1", name)
    assert obstacle(look, gateway) is None
    assert not carried_elsewhere(look, name).elsewhere
    assert it.lower(look, gateway, DRAIN)
    carried_by(running, redirect, "chassis-2")
    first, second = (carried_elsewhere(it.gateways("net1"), name) for _ in range(2))
    assert first.elsewhere
    assert first == second
    assert second.by == {redirect: "chassis-2"}

    it, look, gateway = see(running, "net1", name)
    assert gateway.priorities == {"chassis-1": 0, "chassis-2": 20, "chassis-3": 10}
    assert not it.lower(look, gateway, DRAIN)
    assert it.restore(look, gateway)
    carried_by(running, redirect, "chassis-1")
    it, look, gateway = see(running, "net1", name)
    assert gateway.priorities == {"chassis-1": 30, "chassis-2": 20, "chassis-3": 10}
    assert not any(candidate.ids for candidate in gateway.candidates)
    assert not it.restore(look, gateway)


def test_others_make_room_when_the_lowest_priority_is_taken(running: real.Ovn) -> None:
    """No priority is below 0: the others go up in their order, and come down again with the restore."""
    port = router(running, "room", 2, 1, 0)
    name = f"Logical_Router_Port:{port}"
    carried_by(running, f"cr-{port}", "chassis-1")
    it, look, gateway = see(running, "net1", name)
    assert it.lower(look, gateway, DRAIN)
    carried_by(running, f"cr-{port}", "chassis-2")
    it, look, gateway = see(running, "net1", name)
    assert gateway.priorities == {"chassis-1": 0, "chassis-2": 2, "chassis-3": 1}
    assert it.restore(look, gateway)
    assert see(running, "net1", name)[2].priorities == {"chassis-1": 2, "chassis-2": 1, "chassis-3": 0}


def test_a_group_moves_with_all_its_ports(running: real.Ovn) -> None:
    """An HA_Chassis_Group is one gateway, whatever hangs on it: a router's port and an external port move together."""
    group = grouped_router(running, "group", 32767, 32766, 32765)
    name, ports = f"HA_Chassis_Group:{group}", ("cr-lrp-group", "bare-group")
    for port in ports:
        carried_by(running, port, "chassis-1")
    it, look, gateway = see(running, "net1", name)
    assert set(gateway.carriers) == set(ports)
    assert it.lower(look, gateway, DRAIN)
    for port in ports:
        carried_by(running, port, "chassis-2")
    assert carried_elsewhere(it.gateways("net1"), name).by == dict.fromkeys(ports, "chassis-2")
    _, look, gateway = see(running, "net1", name)
    assert it.restore(look, gateway)
    carried_by(running, "cr-lrp-group", "chassis-1")


def test_what_changes_after_the_look_is_not_written_over(running: real.Ovn) -> None:
    """A stranger's priority, mark or new candidate between look and transaction makes it change nothing."""
    port = router(running, "race", 30, 20)
    name = f"Logical_Router_Port:{port}"
    it, look, gateway = see(running, "net1", name)
    second = look.others(gateway)[0].row
    strangers = [
        ("set", "Gateway_Chassis", second, "priority=25"),
        ("set", "Gateway_Chassis", second, "external_ids:whose=theirs"),
        ("lrp-set-gateway-chassis", port, "chassis-3", "5"),
    ]
    for stranger in strangers:
        running.nbctl(*stranger)
        with pytest.raises(Changed, match="somebody else changed it"):
            it.lower(look, gateway, DRAIN)
        it, look, gateway = see(running, "net1", name)
        assert not any(candidate.mark for candidate in gateway.candidates)
    assert it.lower(look, gateway, DRAIN)
    _, _, gateway = see(running, "net1", name)
    assert gateway.priorities == {"chassis-1": 0, "chassis-2": 25, "chassis-3": 5}
    assert next(row.ids for row in gateway.candidates if row.chassis == "chassis-2") == {"whose": "theirs"}


def test_what_a_stranger_wrote_after_the_lowering_stays(running: real.Ovn) -> None:
    """A priority that somebody set meanwhile is neither lowered again by this drain nor restored; marks go."""
    port = router(running, "stranger", 30, 20, 10)
    name = f"Logical_Router_Port:{port}"
    carried_by(running, f"cr-{port}", "chassis-1")
    it, look, gateway = see(running, "net1", name)
    assert it.lower(look, gateway, DRAIN)
    running.nbctl("lrp-set-gateway-chassis", port, "chassis-1", "40")
    it, look, gateway = see(running, "net1", name)
    with pytest.raises(Permanent, match="at priority 40, expected the 0 that this drain has set"):
        it.lower(look, gateway, DRAIN)
    assert it.restore(look, gateway)
    _, look, gateway = see(running, "net1", name)
    assert gateway.priorities == {"chassis-1": 40, "chassis-2": 20, "chassis-3": 10}
    assert not any(candidate.mark for candidate in gateway.candidates)


def test_two_hosts_are_lowered_and_restored_in_any_order(running: real.Ovn) -> None:
    """The third carries meanwhile, can't be lowered itself, and each gets its own priority back."""
    port = router(running, "two", 30, 20, 1)
    name, redirect = f"Logical_Router_Port:{port}", f"cr-{port}"
    for host in ("net1", "net2"):
        it, look, gateway = see(running, host, name)
        assert it.lower(look, gateway, f"drain of {host}")
    carried_by(running, redirect, "chassis-3")
    it, look, gateway = see(running, "net3", name)
    with pytest.raises(Permanent, match=r"all other living candidates are drained \(net1, net2\)"):
        it.lower(look, gateway, DRAIN)
    for host in ("net1", "net2"):
        it, look, gateway = see(running, host, name)
        assert it.restore(look, gateway)
    carried_by(running, redirect, "chassis-1")
    assert see(running, "net1", name)[2].priorities == {"chassis-1": 30, "chassis-2": 20, "chassis-3": 1}


@contextmanager
def cut_off(ovn: real.Ovn, held: threading.Event | None = None) -> Iterator[str]:
    """A way to the northbound database on which the answer to a second request is lost.

    Args:
        held: set when that answer has come from the database; then the line stays open. None: the line is cut.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    done = threading.Event()

    def relay() -> None:
        near, _ = listener.accept()
        with near, socket.create_connection(("127.0.0.1", ovn.ports["nb"]), 20) as far:
            near.settimeout(20)
            far.sendall(near.recv(1 << 16))
            near.sendall(far.recv(1 << 16))
            far.sendall(near.recv(1 << 16))
            assert b"result" in far.recv(1 << 16)
            if held:
                held.set()
                done.wait(20)

    thread = threading.Thread(target=relay, daemon=True)
    thread.start()
    try:
        yield f"tcp:127.0.0.1:{listener.getsockname()[1]}"
    finally:
        done.set()
        thread.join(20)
        listener.close()


def test_a_lost_answer_leads_to_a_new_look(running: real.Ovn) -> None:
    """The change was made, nobody was told: the next look sees it, and lowering again changes nothing."""
    port = router(running, "lost", 30, 20)
    name = f"Logical_Router_Port:{port}"
    _, look, gateway = see(running, "net1", name)
    with cut_off(running) as north, pytest.raises(AnswerLost, match="after a change was sent to OVN_Northbound"):
        client(running, north).lower(look, gateway, DRAIN)
    it, look, gateway = see(running, "net1", name)
    assert look.mine(gateway)[0].lowered
    assert not it.lower(look, gateway, DRAIN)
    assert it.restore(look, gateway)


def test_a_killed_worker_leaves_what_the_next_one_needs(running: real.Ovn) -> None:
    """Killed with -9 between the transaction and its answer: a new process finds the old priority and restores it."""
    port = router(running, "killed", 30, 20)
    name = f"Logical_Router_Port:{port}"
    held = threading.Event()
    script = (
        "import sys\n"
        "from functions.migrate.network.ovn import Ovn\n"
        "there, cut = Ovn.of('there'), Ovn.of('cut')\n"
        f"look = there.gateways('net1')\n"
        f"cut.lower(look, look.gateway({name!r}), {DRAIN!r})\n"
    )
    with cut_off(running, held) as north:
        environment = {
            **os.environ,
            "DROVER_OVN_THERE_NB": running.northbound, "DROVER_OVN_THERE_SB": running.southbound,
            "DROVER_OVN_CUT_NB": north, "DROVER_OVN_CUT_SB": running.southbound,
        }  # fmt: skip
        worker = subprocess.Popen([sys.executable, "-c", script], env=environment)
        assert held.wait(20)
        assert worker.poll() is None
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    it, look, gateway = see(running, "net1", name)
    mark = look.mine(gateway)[0].mark
    assert mark
    assert (mark.before, mark.written, mark.lowered_by) == (30, 0, DRAIN)
    assert not it.lower(look, gateway, DRAIN)
    assert it.restore(look, gateway)
    assert see(running, "net1", name)[2].priorities == {"chassis-1": 30, "chassis-2": 20}


def answered(ovn: real.Ovn, chassis: str) -> int:
    """What a chassis has answered last."""
    return int(ovn.sbctl("get", "Chassis_Private", chassis, "nb_cfg"))


def asked(ovn: real.Ovn, number: int) -> None:
    """Ask all chassis to answer, as Neutron does, and wait until they have."""
    ovn.nbctl("set", "NB_Global", ".", f"nb_cfg={number}")
    for chassis in ovn.chassis:
        until(lambda name=chassis.name: answered(ovn, name) == number, f"{chassis.name} answers")  # type: ignore[misc]


def test_a_gateway_stays_when_no_other_candidate_lives(running: real.Ovn) -> None:
    """A chassis that no longer answers does not count, as Neutron judges it; nor does one that has gone."""
    port = router(running, "dead", 30, 20)
    alone = router(running, "alone", 30)
    asked(running, 1)
    running.chassis[1].stop("controller", signal.SIGKILL)
    try:
        running.nbctl("set", "NB_Global", ".", "nb_cfg=5")
        until(lambda: answered(running, "chassis-1") == 5, "chassis-1 answers")
        assert "chassis-2" in client(running).gateways("net1").alive, "its last answer is not old enough"
        it = client(running, later=100)
        look = it.gateways("net1")
        assert "chassis-2" not in look.alive
        for name, why in ((port, "no other candidate lives"), (alone, "its only candidate")):
            gateway = look.gateway(f"Logical_Router_Port:{name}")
            assert gateway
            with pytest.raises(Permanent, match=why):
                it.lower(look, gateway, DRAIN)
    finally:
        running.chassis[1].control()
    until(lambda: answered(running, "chassis-2") == 5, "chassis-2 answers again")
    look = it.gateways("net1")
    gateway = look.gateway(f"Logical_Router_Port:{port}")
    assert gateway
    assert it.lower(look, gateway, DRAIN)


def test_a_host_that_was_switched_off_is_restored_by_its_old_chassis(running: real.Ovn) -> None:
    """ovn-controller takes its chassis away when it ends; a drain's mark, or what was remembered, finds the rows."""
    port = router(running, "off", 10, 20, 30)
    name, redirect = f"Logical_Router_Port:{port}", f"cr-{port}"
    carried_by(running, redirect, "chassis-3")
    it, look, gateway = see(running, "net3", name)
    assert it.lower(look, gateway, DRAIN)
    carried_by(running, redirect, "chassis-2")
    running.chassis[2].leave()
    try:
        later = it.gateways("net3")
        assert carried_elsewhere(later, name).by == {redirect: "chassis-2"}
        left = later.gateway(name)
        assert left
        assert it.restore(later, left)
        assert not it.gateways("net3").chassis
        assert not carried_elsewhere(it.gateways("net3"), name).elsewhere
        assert carried_elsewhere(it.gateways("net3", look.chassis), name).by == {redirect: "chassis-2"}
    finally:
        running.chassis[2].control()
    carried_by(running, redirect, "chassis-3")


def test_pinned_ports_are_named_and_hosts_that_differ_are_refused(running: real.Ovn) -> None:
    """A router that is bound to one chassis by its option is shown; `net1.example` is not silently taken for `net1`."""
    running.nbctl(
        *("lr-add", "pinned", "--", "set", "Logical_Router", "pinned", "options:chassis=chassis-1", "--"),
        *("lrp-add", "pinned", "pinned-port", "02:00:00:00:00:03", "172.16.3.1/24", "--"),
        *("ls-add", "pinned-net", "--", "lsp-add", "pinned-net", "to-pinned", "--"),
        *("lsp-set-type", "to-pinned", "router", "--", "lsp-set-options", "to-pinned", "router-port=pinned-port"),
    )
    it = client(running)
    until(lambda: "pinned-port" in it.gateways("net1").pinned, "the router is bound")
    assert "pinned-port" not in it.gateways("net2").pinned
    with pytest.raises(Rejected, match=r"no chassis of the host 'net1.example', but of 'net1'"):
        it.gateways("net1.example")
    assert it.gateways("elsewhere").chassis == frozenset()
