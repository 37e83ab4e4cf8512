"""The consumers' side: servers that take calls and never answer, and queues from which nobody takes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.message import name_of
from functions.rpc_trace.verdict import Cause

OF_INTEREST = frozenset({Cause.NO_ROUTE, Cause.BACKLOG, Cause.SERVER_STUCK})
"""Causes that lie with the server."""
SERVICES = {
    "compute": "nova-compute",
    "compute-alt": "nova-compute",
    "conductor": "nova-conductor",
    "scheduler": "nova-scheduler",
}
"""Process behind a topic, where its name says it better."""


@dataclass
class _Lost:
    no_route: int = 0
    backlog: int = 0
    server_stuck: int = 0


def silent_servers(analysis: Analysis) -> list[dict[str, Any]]:
    """Servers that left calls without an answer, the worst first, with a sentence on each.

    Each has topic, server (empty: any of the topic), the number of calls lost by cause, and `deaf`: whether it answered
    none of the calls that were sent to it in the capture.
    """
    lost: defaultdict[tuple[str, str], _Lost] = defaultdict(_Lost)
    for verdict in analysis.verdicts:
        if verdict.cause in OF_INTEREST:
            call = verdict.call
            entry = lost[name_of(call.topic), name_of(call.key[len(call.topic) + 1 :])]
            setattr(entry, verdict.cause, getattr(entry, verdict.cause) + 1)
    rows = []
    for (topic, server), entry in lost.items():
        tally = analysis.statistics.servers.get((topic, server)) if server else None
        deaf = tally is not None and tally.answered == 0
        number = entry.no_route + entry.backlog + entry.server_stuck
        rows.append(
            {"topic": topic, "server": server, "no_route": entry.no_route, "backlog": entry.backlog,
             "server_stuck": entry.server_stuck, "deaf": deaf, "lost": number,
             "text": _text(topic, server, entry, deaf)}
        )  # fmt: skip
    return sorted(rows, key=lambda row: (-row["lost"], row["topic"], row["server"]))


def _text(topic: str, server: str, lost: _Lost, deaf: bool) -> str:
    name = SERVICES.get(topic, topic)
    who = f"{name} on {server}" if server else f"every {name}"
    if deaf and lost.server_stuck and not lost.no_route and not lost.backlog:
        return f"{who} is RPC-deaf: it took {lost.server_stuck} calls and answered none"
    parts = []
    if lost.no_route:
        parts.append(f"has no queue for {lost.no_route} calls: it is not running, or not connected")
    if lost.backlog:
        parts.append(f"left {lost.backlog} calls in its queue: nobody takes from it, or not fast enough")
    if lost.server_stuck:
        parts.append(f"took {lost.server_stuck} calls and did not answer them in time")
    return f"{who} {', '.join(parts)}"
