"""An example of each event's data, for the catalogue; each fits its model."""

from __future__ import annotations

from typing import Any

_ID = "5b1c7d52-5c5e-4a3c-9f1d-6b6f0d0f8a11"
_REQUEST_ID = "req-c5ba1d21-6f7a-43fc-84cf-32779c1ac02e"
_ASKED = {"cloud": "paris", "reason": "boots are slow, ticket 4712", "requester": "ann"}
_OPERATION = {"operation": _ID, "kind": "trace", "cloud": "paris", "target": "/", **_ASKED}
_REPORT = {
    "events": 2120, "seconds": 29.8, "coverage": 100.0, "calls": 530, "casts": 12, "fanouts": 7, "replies": 529,
    "failures": 0, "unanswered": 1, "causes": {"server_stuck": 1},
    "verdicts": [
        {"msg_id": "55f5ffde216b497ba3afca75952f15e5", "method": "check_can_live_migrate_source", "topic": "compute",
         "server": "compute.cmp07", "verdict": "server_stuck", "certain": True, "at": 1795266036.1,
         "evidence": "delivered to compute.cmp07 after 2 ms, no reply until its deadline of 60.0 s",
         "request_id": _REQUEST_ID, "global_request_id": None}
    ],
    "silent_servers": [{"topic": "compute", "server": "cmp07", "deaf": True, "lost": 1, "server_stuck": 1,
                        "text": "nova-compute on cmp07 is RPC-deaf: it took 1 calls and answered none"}],
}  # fmt: skip


def _trace(state: str, events: int = 0, note: str = "", **more: Any) -> dict[str, Any]:
    summary = {"mode": "full", "seconds_wanted": 30.0, "events": events, **more}
    return {**_OPERATION, "state": state, "note": note, "summary": summary}


_WATCH = {
    "operation": _ID, "kind": "trace-watch", "cloud": "paris", "target": "paris/", "requester": "schedule",
    "reason": "continuous watch of RPC",
}  # fmt: skip
_SIGNS = ["7 calls went to compute.cmp07, and there is no such queue"]


def _watch(state: str, note: str = "") -> dict[str, Any]:
    totals = {"rounds": 60, "watched": 600.0, "timeouts": 0, "signs": 1, "full": 1, "causes": {"no_route": 7},
              "methods": {"nova|compute|build_and_run_instance": [0, 118]}}  # fmt: skip
    last = {"at": "2026-11-21T08:00:00+00:00", "seconds": 10.0, "calls": 530, "casts": 12, "signs": _SIGNS}
    return {**_WATCH, "state": state, "note": note, "summary": {"totals": totals, "rounds": [last]}}


EXAMPLES: dict[str, dict[str, Any]] = {
    "io.drover.trace.requested": {**_ASKED, "mode": "full", "seconds": 30.0, "request_id": _REQUEST_ID},
    "io.drover.trace.planned": {
        "cloud": "paris", "vhost": "/", "mode": "full", "seconds": 30.0, "feasible": True, "refusal": "",
        "price": "the broker copies each message twice while the firehose is armed", "rate": 310.0,
        "nodes": [{"name": "rabbit@mq1", "running": True, "memory": 0.12, "alarm": False}],
    },
    "io.drover.trace.accepted": _trace("planned"),
    "io.drover.trace.started": _trace("running"),
    "io.drover.trace.progressed": _trace("running", 1204, seconds=15.2),
    "io.drover.trace.due": {"kind": "trace"},
    "io.drover.trace.paused": _trace("paused", 1204),
    "io.drover.trace.resumed": _trace("running", 1204),
    "io.drover.trace.halted": _trace("halted", 0, "unexpected error 5 times in a row; see the log"),
    "io.drover.trace.completed": _trace("succeeded", 2120, report=_REPORT),
    "io.drover.trace.failed": _trace("failed", 0, "RabbitMQ refuses 'drover' (401)"),
    "io.drover.trace.cancelled": _trace("cancelled", 1204, report=_REPORT),
    "io.drover.trace-watch.requested": {},
    "io.drover.trace-watch.accepted": _watch("planned"),
    "io.drover.trace-watch.idle": {"text": "no broker is configured: set DROVER_RABBIT_URL, or write brokers.yaml"},
    "io.drover.trace-watch.found": {
        "operation": _ID, "cloud": "paris", "vhost": "/", "signs": _SIGNS, "coverage": 100.0, "calls": 1602,
        "causes": {"no_route": 7}, "verdicts": _REPORT["verdicts"], "silent_servers": _REPORT["silent_servers"],
    },
    "io.drover.trace-watch.progressed": _watch("running"),
    "io.drover.trace-watch.due": {"kind": "trace-watch"},
    "io.drover.trace-watch.paused": _watch("paused"),
    "io.drover.trace-watch.resumed": _watch("running"),
    "io.drover.trace-watch.halted": _watch("halted", "unexpected error 5 times in a row; see the log"),
    "io.drover.trace-watch.completed": _watch("succeeded"),
    "io.drover.trace-watch.failed": _watch("failed", "RabbitMQ has no vhost 'openstack'"),
    "io.drover.trace-watch.cancelled": _watch("cancelled"),
}  # fmt: skip
