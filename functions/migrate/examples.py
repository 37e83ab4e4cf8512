"""An example of each event's data, for the catalogue; each fits its model."""

from __future__ import annotations

from typing import Any

from functions.migrate.network import examples as network

_ID = "894d445b-625c-4501-abc1-15d70146670c"
_ASKED = {"cloud": "paris", "host": "cmp07", "reason": "new memory, ticket 4711", "requester": "ann"}
_OPERATION = {"operation": _ID, "cloud": "paris", "target": "cmp07", "reason": "new memory, ticket 4711",
              "requester": "ann"}  # fmt: skip
_LEFT = {
    "server": "5f0f7c0e-3b0a-4d6f-9a55-0d3a7e3d2b10",
    "name": "db-3",
    "reason": "in ERROR",
    "way_out": "openstack server set --state active db-3, when its guest is well",
}

_MOVE = {
    "operation": _ID, "cloud": "paris", "server": "0c2d6c1a-93a8-4b0e-8f5e-2f1f0a1f6e77", "name": "web-1",
    "project": "9c8a3a9e6c2f4d6e8f5b7a1d2c3e4f50", "source": "cmp07", "target": "cmp03", "action": "live-migrate",
    "attempt": 1, "reason": "new memory, ticket 4711",
}  # fmt: skip


def _summary(moved: int, left: list[dict[str, str]], in_flight: int = 0) -> dict[str, Any]:
    return {
        "moved": moved, "total": 20, "left": left, "seconds": 7.5 * moved, "api_requests": 8 + 2 * moved,
        "api_requests_by_service": {"compute": 8 + 2 * moved, "placement": 7}, "memory_mb_moved": 4096 * moved,
        "memory_mb_total": 81_920, "in_flight": in_flight, "eta_seconds": 7.5 * (20 - moved - len(left)),
    }  # fmt: skip


def _drain(state: str, moved: int = 0, note: str = "", in_flight: int = 0, left: int = 0) -> dict[str, Any]:
    summary = _summary(moved, [_LEFT] * left, in_flight)
    return {**_OPERATION, "kind": "drain", "state": state, "note": note, "summary": summary}


def _undrain(state: str, note: str = "") -> dict[str, Any]:
    return {**_OPERATION, "kind": "undrain", "reason": "memory is in", "state": state, "note": note}


EXAMPLES: dict[str, dict[str, Any]] = {
    "io.drover.drain.requested": {**_ASKED, "concurrency": 3, "deadline": "2026-05-01T06:00:00+02:00"},
    "io.drover.undrain.requested": {**_ASKED, "reason": "memory is in"},
    "io.drover.drain.planned": {
        "host": "cmp07",
        "feasible": False,
        "servers": [
            {"host": "cmp07", "id": "0c2d6c1a-93a8-4b0e-8f5e-2f1f0a1f6e77", "name": "web-1",
             "action": "live-migrate", "to": "cmp03", "reason": "", "way_out": "", "seconds": 12.0},
            {"host": "cmp07", "id": _LEFT["server"], "name": "db-3", "action": "cannot", "to": None,
             "reason": "in ERROR", "way_out": _LEFT["way_out"], "seconds": 0.0},
        ],
        "shortfall": None,
        "seconds": 12.0,
    },
    "io.drover.drain.accepted": _drain("planned"),
    "io.drover.drain.started": _drain("running"),
    "io.drover.drain.progressed": _drain("running", moved=8, in_flight=2),
    "io.drover.drain.due": {"kind": "drain"},
    "io.drover.drain.paused": _drain("paused", moved=8, in_flight=2),
    "io.drover.drain.resumed": _drain("running", moved=10),
    "io.drover.drain.halted": _drain("halted", moved=19, left=1, note="cmp07 is not empty: db-3 (in ERROR)"),
    "io.drover.drain.completed": _drain("succeeded", moved=20),
    "io.drover.drain.failed": _drain("failed", note="cloud paris refuses the credentials"),
    "io.drover.drain.cancelled": _drain("cancelled", moved=8, note="cmp07 stays disabled: undrain it to enable it"),
    "io.drover.server.migrating": _MOVE,
    "io.drover.server.migrated": {**_MOVE, "result": "moved"},
    "io.drover.undrain.accepted": _undrain("planned"),
    "io.drover.undrain.due": {"kind": "undrain"},
    "io.drover.undrain.completed": _undrain("succeeded"),
    "io.drover.undrain.failed": _undrain("failed", note="cmp07 is disabled for another reason: 'broken fan'"),
    **network.EXAMPLES,
}  # fmt: skip
"""By event type."""
