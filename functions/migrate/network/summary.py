"""The summary of a network drain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from functions.migrate.network.items import ItemStep
from functions.migrate.network.model import ItemState, Sort
from shared.store import ENDED, Operation, OperationState, Step

UNSEEN = (
    "Neutron does not show packets, DHCP leases, nor the VRRP of HA routers themselves: its agents' reports and ports "
    "were looked at"
)
"""What the proof does not say."""

UNSEEN_OF_OVN = "of OVN's gateways, which chassis they are bound to was looked at, and no packet"


def summarise(operation: Operation, steps: Sequence[Step], now: datetime) -> dict[str, Any]:
    """The JSON summary.

    `moved` and `total` count items; `left` lists those that stay, with the reason and the way out; `seconds` is a time;
    `api_requests` counts Neutron's, `api_requests_by_service` all; `unseen` says what the proof does not cover.
    """
    items = [ItemStep(step) for step in steps]
    requests: dict[str, int] = operation.memo.get("requests", {})
    ended = operation.finished_at or now
    over = operation.state in ENDED or operation.state == OperationState.HALTED
    stay = [item for item in items if item.state in (ItemState.LEFT, ItemState.FAILED) or (over and not item.ended)]
    return {
        "unit": "item",
        "moved": sum(item.state is ItemState.DONE for item in items),
        "total": sum(item.state is not ItemState.GONE for item in items),
        "left": [_left(item, operation) for item in stay],
        "seconds": round((ended - (operation.started_at or ended)).total_seconds(), 1),
        "api_requests": requests.get("network", 0),
        "api_requests_by_service": dict(requests),
        "in_flight": sum(item.in_flight for item in items),
        "unseen": f"{UNSEEN}; {UNSEEN_OF_OVN}" if any(item.sort is Sort.OVN_GATEWAY for item in items) else UNSEEN,
    }


def _left(item: ItemStep, operation: Operation) -> dict[str, str]:
    return {
        "item": item.id,
        "sort": item.sort,
        "name": item.title,
        "reason": item.step.error or f"{item.state} when the drain {operation.state}",
        "way_out": item.record.way_out,
    }
