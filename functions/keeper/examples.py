"""An example of each event's data, for the catalogue; each fits its model."""

from __future__ import annotations

from typing import Any

_OPERATION = {"operation": "894d445b-625c-4501-abc1-15d70146670c", "cloud": ""}


def _replay(state: str, note: str = "", replayed: int = 0, left: int = 0) -> dict[str, Any]:
    asked = {"target": "letters of io.drover.drain.requested", "reason": "the database is back", "requester": "ann"}
    summary = {"replayed": replayed, "left": left}
    return {**_OPERATION, **asked, "kind": "replay", "state": state, "note": note, "summary": summary}


def _cleanup(state: str, note: str = "", removed: dict[str, int] | None = None) -> dict[str, Any]:
    asked = {"target": "store", "reason": "daily cleaning of the store", "requester": "schedule"}
    summary = {"removed": removed or {}}
    return {**_OPERATION, **asked, "kind": "cleanup", "state": state, "note": note, "summary": summary}


EXAMPLES: dict[str, dict[str, Any]] = {
    "io.drover.replay.requested": {
        "letters": ["4f1c2a9be07d3c55", "90aa6e1f5b2c8d04"],
        "reason": "the database is back",
        "requester": "ann",
    },
    "io.drover.cleanup.requested": {},
    "io.drover.replay.planned": {
        "total": 2,
        "sendable": 1,
        "letters": [
            {"id": "4f1c2a9be07d3c55", "type": "io.drover.drain.requested", "source": "/tickets", "subject": "cmp07",
             "code": 503, "hindrance": ""},
            {"id": "90aa6e1f5b2c8d04", "type": "io.drover.drain.requested", "source": "/tickets", "subject": "cmp08",
             "code": None,
             "hindrance": "it is more than 7 days old, and nobody takes it any more: send it anew"},
        ],
    },
    "io.drover.replay.accepted": _replay("planned"),
    "io.drover.replay.progressed": _replay("running", replayed=1000),
    "io.drover.replay.paused": _replay("paused", replayed=1000),
    "io.drover.replay.resumed": _replay("running", replayed=1000),
    "io.drover.replay.halted": _replay("halted", "unexpected KeyError 5 times in a row: 'x'; see the log", 1000),
    "io.drover.replay.completed": _replay("succeeded", "1203 events are on the way", 1203),
    "io.drover.replay.failed": _replay("failed", "the store is read-only"),
    "io.drover.replay.cancelled": _replay("cancelled", "1000 events are on the way already", 1000),
    "io.drover.cleanup.accepted": _cleanup("planned"),
    "io.drover.cleanup.progressed": _cleanup("running", removed={"inbox": 10_000}),
    "io.drover.cleanup.paused": _cleanup("paused", removed={"inbox": 10_000}),
    "io.drover.cleanup.resumed": _cleanup("running", removed={"inbox": 10_000}),
    "io.drover.cleanup.halted": _cleanup("halted", "unexpected KeyError 5 times in a row: 'x'; see the log"),
    "io.drover.cleanup.completed": _cleanup(
        "succeeded", "removed: 12000 of inbox, 840 of outbox", {"inbox": 12_000, "outbox": 840, "dead letters": 0}
    ),
    "io.drover.cleanup.failed": _cleanup("failed", "the store is read-only"),
    "io.drover.cleanup.cancelled": _cleanup("cancelled", "removed: 10000 of inbox", {"inbox": 10_000}),
}  # fmt: skip
"""By event type."""
