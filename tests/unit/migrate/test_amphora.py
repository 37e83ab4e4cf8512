"""What is done with an amphora, by its role, its status, its load balancer's, and its host's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from functions.migrate.affinity import verdict_of
from functions.migrate.amphora import failover_ranks
from functions.migrate.model import Action, DrainPolicy, Verdict
from shared.fleet.snapshot import Amphora, Host
from tests.unit.migrate.builders import fleet, host, server

LIVING = host("cmp01")
DEAD = host("cmp01", state="down", forced_down=True)
PLAIN = DrainPolicy()
DOWNTIME = DrainPolicy(allow_downtime=True)
EVACUATE = DrainPolicy(evacuate=True)


def amphora(id: str = "amp", **other: Any) -> Amphora:
    """The active amphora of a load balancer that is well, whose server is called `vm`."""
    facts = {"server": "vm", "role": "MASTER", "balancer": "lb", "balancer_name": "web", "balancer_status": "ACTIVE"}
    return Amphora(id, **{**facts, **other})


def verdict(one: Amphora, at: Host = LIVING, policy: DrainPolicy = PLAIN, **details: Any) -> Verdict:
    """What is done with it."""
    seen = replace(fleet([at], [server("vm", **details)]), amphorae={"vm": one})
    return verdict_of(seen, seen.servers["vm"], policy)


@pytest.mark.parametrize("role", ["MASTER", "BACKUP", ""])
@pytest.mark.parametrize("status", ["ACTIVE", "SHUTOFF", "ERROR", "PAUSED"])
def test_a_pairs_amphora_is_failed_over(role: str, status: str) -> None:
    """In whatever status its server rests, since Octavia builds a new one; the line names the load balancer."""
    found = verdict(amphora(role=role), status=status)
    assert found.action is Action.FAIL_OVER
    assert f"{role} amphora of load balancer web".strip() in found.reason


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"status": "BOOTING"}, "Octavia is building it (BOOTING)"),
        ({"status": "PENDING_CREATE", "balancer": None}, "Octavia is building it"),
        ({"status": "PENDING_DELETE"}, "failing it over or deleting it"),
        ({"balancer_status": "PENDING_UPDATE"}, "which is PENDING_UPDATE"),
        ({"balancer_status": "PENDING_DELETE"}, "which is PENDING_DELETE"),
        ({"balancer_status": "", "role": "STANDALONE"}, "not listed by Octavia"),
    ],
)
def test_what_octavia_works_on_is_waited_for(facts: dict[str, Any], words: str) -> None:
    """It is neither failed over nor moved meanwhile, on a dead host either."""
    for found in (verdict(amphora(**facts)), verdict(amphora(**facts), DEAD, EVACUATE)):
        assert (found.action, words in found.reason, bool(found.way_out)) == (Action.WAIT, True, True)


def test_a_balancer_in_error() -> None:
    """Octavia would refuse: a person fails the whole load balancer over."""
    for one in (amphora(balancer_status="ERROR"), amphora(balancer_status="ERROR", role="STANDALONE")):
        for found in (verdict(one, policy=DOWNTIME), verdict(one, DEAD, EVACUATE)):
            assert found.action is Action.CANNOT
            assert found.way_out.startswith("openstack loadbalancer failover lb")


def test_an_amphora_in_error_is_replaced() -> None:
    """As long as its load balancer is ACTIVE."""
    assert verdict(amphora(status="ERROR")).action is Action.FAIL_OVER


def test_the_only_amphora() -> None:
    """Moved live without consent, also of a load balancer in ERROR; what cannot move says that consent would help."""
    single = amphora(role="STANDALONE")
    moved = verdict(single)
    assert (moved.action, "moved as a server" in moved.reason) == (Action.LIVE_MIGRATE, True)
    assert verdict(amphora(role="STANDALONE", balancer_status="ERROR")).action is Action.LIVE_MIGRATE
    stuck = verdict(single, status="ERROR")
    assert (stuck.action, stuck.way_out) == (Action.CANNOT, "failover with --allow-downtime")
    assert verdict(single, policy=DOWNTIME).action is Action.FAIL_OVER
    assert verdict(single, DEAD, EVACUATE).action is Action.FAIL_OVER


def test_what_is_so_for_every_server() -> None:
    """Being deleted, busy, or on a host that is down and not fenced: an amphora is no exception."""
    assert verdict(amphora(), task_state="deleting").action is Action.LEAVE
    assert verdict(amphora(), task_state="rebooting").action is Action.WAIT
    for found in (verdict(amphora(), DEAD), verdict(amphora(), host("cmp01", state="down"), EVACUATE)):
        assert found.action is Action.CANNOT
    assert "bare metal" in verdict(amphora(), host("cmp01", hypervisor="ironic")).reason


def test_the_order_of_failovers() -> None:
    """Load balancer by load balancer, of each the standby first, whatever the servers are called."""
    found = failover_ranks(
        [
            (amphora("1", server="a", balancer="two"), "z"),
            (amphora("2", server="b", balancer="one"), "y"),
            (amphora("3", server="c", balancer="one", role="BACKUP"), "x"),
            (amphora("4", server="d", balancer="two", role="BACKUP"), "w"),
        ]
    )
    assert sorted(found, key=lambda name: found[name]) == ["c", "b", "d", "a"]
