"""Several hosts in one request: which they are, and what they know of each other."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from functions.migrate.events import MOST_HOSTS, DrainRequested
from functions.migrate.model import DrainPlan
from functions.migrate.plan import document
from shared.clouds import Cloud
from shared.errors import Rejected


def hosts_meant(request: DrainRequested, cloud: Cloud) -> tuple[str, ...]:
    """The hosts that a request means, each once, sorted; one request to Nova if it names an aggregate.

    Raises:
        Rejected: there is no such aggregate, nothing is in it, or too much.
    """
    if request.aggregate is None:
        return tuple(sorted(set(request.hosts or [request.host])))
    hosts = _aggregate(request.aggregate, cloud)
    if not hosts:
        raise Rejected(f"there is no host in aggregate {request.aggregate!r}: there is nothing to drain")
    if len(hosts) > MOST_HOSTS:
        raise Rejected(
            f"there are {len(hosts)} hosts in aggregate {request.aggregate!r}, at most {MOST_HOSTS} are drained at "
            "once: name them in several requests"
        )
    return tuple(sorted(hosts))


def of_one(request: DrainRequested, host: str, hosts: tuple[str, ...]) -> dict[str, Any]:
    """What the operation for one of the hosts keeps of the request: its own host, and all if there are several."""
    own = {"host": host, "hosts": list(hosts) if len(hosts) > 1 else [], "aggregate": None}
    return request.model_copy(update=own).model_dump(mode="json")


def documents(plans: tuple[DrainPlan, ...]) -> dict[str, Any]:
    """The plan of several hosts as one document; that of a single host is as it always was.

    The hosts are drained at the same time: the longest forecast is that of all.
    """
    each = [document(plan) for plan in plans]
    if len(each) == 1:
        return each[0]
    shortfalls = [one["shortfall"] for one in each if one["shortfall"]]
    return {
        "host": ", ".join(plan.host for plan in plans),
        "feasible": all(plan.feasible for plan in plans),
        "servers": [server for one in each for server in one["servers"]],
        "shortfall": _sum(shortfalls) if shortfalls else None,
        "seconds": max(one["seconds"] for one in each),
        "notes": [note for one in each for note in one["notes"]],
        "hosts": [{key: one[key] for key in ("host", "feasible", "shortfall", "seconds")} for one in each],
    }


def _sum(shortfalls: list[dict[str, Any]]) -> dict[str, Any]:
    missing: dict[str, int] = {}
    for shortfall in shortfalls:
        for kind, amount in shortfall["missing"].items():
            missing[kind] = missing.get(kind, 0) + amount
    return {
        "servers": [server for shortfall in shortfalls for server in shortfall["servers"]],
        "missing": missing,
        "text": "; ".join(str(shortfall["text"]) for shortfall in shortfalls),
    }


def _aggregate(name: str, cloud: Cloud) -> set[str]:
    """The hosts of the aggregate of this name."""
    found: Mapping[str, Any] = {each["name"]: each for each in cloud.compute.get("/os-aggregates")["aggregates"]}
    if name not in found:
        similar = get_close_matches(name, found, n=5, cutoff=0.5) or sorted(found)[:5]
        known = f"there are {len(found)}, such as {', '.join(similar)}" if found else "the cloud has none"
        raise Rejected(f"found no aggregate named {name!r}; {known} (openstack aggregate list shows them)")
    return set(found[name]["hosts"])
