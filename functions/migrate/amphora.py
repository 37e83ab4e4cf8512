"""Servers that are Octavia's amphorae: what is done with them, and in which order. Pure.

Sources: `octavia/api/v2/controllers/amphora.py` (a single amphora is failed over only when its load balancer is ACTIVE;
a whole load balancer from ERROR too) and `AmphoraFlows.get_failover_amphora_flow` (the new amphora is built before the
old one is deleted), both of 2026.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from functions.migrate.model import MOVES, Action, DrainPolicy, Verdict
from functions.migrate.obstacles import BARE_METAL, is_dead
from shared.fleet.snapshot import Amphora, Host

ROLES = {"BACKUP": 0, "STANDALONE": 1, "MASTER": 2}
"""The order of a load balancer's amphorae: the standby first, so that the one that serves stays until it has a fresh
one beside it."""

MAKING = frozenset({"PENDING_CREATE", "BOOTING"})

LATER = "wait: it is looked at again"


def judge_amphora(amphora: Amphora, host: Host, policy: DrainPolicy, verdict: Verdict) -> Verdict:
    """What can be done with an amphora.

    Args:
        verdict: what could be done with it as an ordinary server, which it is when it carries nothing.
    """
    dead = is_dead(host)
    if verdict.action in (Action.WAIT, Action.LEAVE) or verdict is BARE_METAL:
        return verdict
    if dead and not (policy.evacuate and host.forced_down):
        return verdict
    if amphora.status == "PENDING_DELETE" or amphora.status in MAKING:
        doing = "building it" if amphora.status in MAKING else "failing it over or deleting it"
        return Verdict(Action.WAIT, f"amphora{_of(amphora)}: Octavia is {doing} ({amphora.status})", LATER)
    if amphora.balancer is None:
        return _spare(amphora, dead, verdict)
    if amphora.balancer_status not in ("ACTIVE", "ERROR"):
        return Verdict(Action.WAIT, f"amphora{_of(amphora)}, which is {_shown(amphora)}", LATER)
    if amphora.role == "STANDALONE" and not dead and not policy.allow_downtime:
        return _as_server(amphora, verdict)
    if amphora.balancer_status == "ERROR":
        return Verdict(
            Action.CANNOT,
            f"amphora{_of(amphora)}, which is in ERROR: Octavia fails a single amphora over only when it is ACTIVE",
            f"openstack loadbalancer failover {amphora.balancer}, which replaces all its amphorae; then drain again",
        )
    return Verdict(Action.FAIL_OVER, _reason(amphora))


def failover_key(balancer: str, role: str, name: str) -> tuple[str, int, str]:
    """The order of failovers: load balancer by load balancer, of each the standby first."""
    return balancer, ROLES.get(role, max(ROLES.values())), name


def failover_ranks(amphorae: Iterable[tuple[Amphora, str]]) -> dict[str, int]:
    """The place of each amphora in the order of failovers, by server id; given with the servers' names."""
    ordered = sorted(amphorae, key=lambda pair: failover_key(pair[0].balancer or "", pair[0].role, pair[1]))
    return {amphora.server: place for place, (amphora, _) in enumerate(ordered)}


def _spare(amphora: Amphora, dead: bool, verdict: Verdict) -> Verdict:
    told = f"amphora without a load balancer ({amphora.status})"
    if dead:
        way_out = f"openstack loadbalancer amphora delete {amphora.id}: it carries nothing"
        return Verdict(Action.CANNOT, f"{told}: it is not evacuated", way_out)
    return replace(verdict, reason=_join(told, verdict.reason))


def _as_server(amphora: Amphora, verdict: Verdict) -> Verdict:
    """It moves without an interruption if it can; else the operator's consent makes a failover of it."""
    told = f"the only amphora{_of(amphora)}: a failover would interrupt it"
    if verdict.action in MOVES:
        return replace(verdict, reason=_join(f"{told}, so it is moved as a server", verdict.reason))
    way_out = "failover with --allow-downtime" if amphora.balancer_status == "ACTIVE" else verdict.way_out
    return replace(verdict, reason=_join(told, verdict.reason), way_out=way_out)


def _reason(amphora: Amphora) -> str:
    if amphora.role == "STANDALONE":
        return f"the only amphora{_of(amphora)}, which is interrupted until the new one has its address"
    return f"{amphora.role or 'an'} amphora{_of(amphora)}"


def _of(amphora: Amphora) -> str:
    return f" of load balancer {amphora.balancer_name}" if amphora.balancer else ""


def _shown(amphora: Amphora) -> str:
    return amphora.balancer_status or "not listed by Octavia"


def _join(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
