"""An example of the data of each event about network drains; each fits its model."""

from __future__ import annotations

from typing import Any

from functions.migrate.network.summary import UNSEEN

_ID = "3f7a1c52-8d0e-4b66-9a3f-1c2b7e5d9f10"
_ASKED = {"cloud": "paris", "host": "net01", "reason": "kernel update, ticket 4712", "requester": "ann"}
_OPERATION = {"operation": _ID, "cloud": "paris", "target": "net01", "reason": "kernel update, ticket 4712",
              "requester": "ann"}  # fmt: skip
_LEFT = {
    "item": "b0a86a3c-6a0d-4f1e-8c53-0d6f5e1d7c21",
    "sort": "router",
    "name": "router lan",
    "reason": "no other L3 agent is alive and enabled",
    "way_out": "start or enable the L3 agent of another host",
}


def _drain(state: str, moved: int = 0, note: str = "", in_flight: int = 0, left: int = 0) -> dict[str, Any]:
    summary = {
        "unit": "item", "moved": moved, "total": 12, "left": [_LEFT] * left, "seconds": 6.0 * moved,
        "api_requests": 20 + 8 * moved, "api_requests_by_service": {"network": 20 + 8 * moved}, "in_flight": in_flight,
        "unseen": UNSEEN,
    }  # fmt: skip
    return {**_OPERATION, "kind": "network-drain", "state": state, "note": note, "summary": summary}


def _undrain(state: str, note: str = "") -> dict[str, Any]:
    return {**_OPERATION, "kind": "network-undrain", "reason": "kernel updated", "state": state, "note": note}


EXAMPLES: dict[str, dict[str, Any]] = {
    "io.drover.network-drain.requested": {**_ASKED, "concurrency": 10},
    "io.drover.network-undrain.requested": {**_ASKED, "reason": "kernel updated"},
    "io.drover.network-drain.planned": {
        "host": "net01",
        "feasible": False,
        "items": [
            {"sort": "network", "id": "0c2d6c1a-93a8-4b0e-8f5e-2f1f0a1f6e77", "name": "tenants", "action": "hand-over",
             "to": "net02", "reason": "net02 serves it already", "way_out": ""},
            {"sort": "router", "id": _LEFT["item"], "name": "lan", "action": "cannot", "to": None,
             "reason": _LEFT["reason"], "way_out": _LEFT["way_out"]},
        ],
        "agents": [
            {"id": "5d1f0a2b-0c3d-4e5f-8a9b-1c2d3e4f5a6b", "kind": "DHCP agent", "action": "disable", "reason": "",
             "way_out": ""},
            {"id": "6e2f1b3c-1d4e-4f6a-9b0c-2d3e4f5a6b7c", "kind": "L3 agent", "action": "disable", "reason": "",
             "way_out": ""},
        ],
    },
    "io.drover.network-drain.accepted": _drain("planned"),
    "io.drover.network-drain.started": _drain("running"),
    "io.drover.network-drain.progressed": _drain("running", moved=5, in_flight=1),
    "io.drover.network-drain.due": {"kind": "network-drain"},
    "io.drover.network-drain.paused": _drain("paused", moved=5, in_flight=1),
    "io.drover.network-drain.resumed": _drain("running", moved=6),
    "io.drover.network-drain.halted": _drain(
        "halted", moved=11, left=1, note="net01 is not empty; its L3 agent stays enabled: router lan (…)"
    ),
    "io.drover.network-drain.completed": _drain("succeeded", moved=12),
    "io.drover.network-drain.failed": _drain("failed", note="cloud paris refuses the credentials"),
    "io.drover.network-drain.cancelled": _drain(
        "cancelled", moved=5, note="the agents of net01 stay disabled: `drover undrain-network net01` enables them"
    ),
    "io.drover.network-undrain.accepted": _undrain("planned"),
    "io.drover.network-undrain.due": {"kind": "network-undrain"},
    "io.drover.network-undrain.completed": _undrain("succeeded", note="enabled: DHCP agent, L3 agent of net01"),
    "io.drover.network-undrain.failed": _undrain("failed", note="L3 agent 6e2f1b3c-… of net01 is disabled by others"),
    "io.drover.network-undrain.cancelled": _undrain("cancelled", note="nothing had been changed"),
}  # fmt: skip
"""By event type."""
