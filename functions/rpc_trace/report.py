"""An analysis as one JSON document: what `--json` prints, an operation keeps as its summary, and is compared later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.consumers import silent_servers
from functions.rpc_trace.message import MessageKind, name_of
from functions.rpc_trace.statistics import Statistics, Tally, Times
from functions.rpc_trace.verdict import Verdict

MOST_SERVERS = 100
"""Servers and publishers in a document: those with most messages."""

Document = dict[str, Any]


def report(analysis: Analysis, most_verdicts: int | None = None, method: str | None = None) -> Document:
    """The document. Times are seconds, sizes bytes, `coverage` percent; requests count each time they are published.

    `casts` are all requests without a reply, `fanouts` those of them that go to all servers of a topic.

    Args:
        most_verdicts: how many verdicts it lists; None: all that were kept.
        method: list only methods of this name, and verdicts on them; `*` stands for anything.
    """
    meant = _meant(method)
    statistics = analysis.statistics
    kinds = statistics.kinds
    return {
        "events": statistics.events,
        "seconds": round(statistics.seconds, 3),
        "begin": statistics.first,
        "end": statistics.last if statistics.events else None,
        "coverage": analysis.percent_seen,
        "dropped": analysis.dropped,
        "calls": kinds[MessageKind.CALL],
        "casts": kinds[MessageKind.CAST],
        "fanouts": kinds[MessageKind.FANOUT],
        "replies": kinds[MessageKind.REPLY],
        "heartbeats": kinds[MessageKind.HEARTBEAT],
        "notifications": kinds[MessageKind.NOTIFICATION],
        "foreign": kinds[MessageKind.FOREIGN],
        "failures": statistics.failures,
        "unanswered": statistics.unanswered,
        "in_flight": analysis.in_flight,
        "deliveries": statistics.deliveries,
        "redelivered": statistics.redelivered,
        "strangers": analysis.correlator.strangers,
        "evicted": analysis.correlator.evicted,
        "bytes": statistics.bytes,
        "fanout_amplification": _amplification(statistics),
        "topics": _topics(statistics),
        "methods": [row for row in _methods(statistics) if meant(row["method"])],
        "servers": _servers(statistics),
        "publishers": _publishers(statistics, analysis.connections),
        "causes": {str(cause): number for cause, number in analysis.causes.most_common()},
        "verdicts": [verdict_row(verdict) for verdict in analysis.verdicts if meant(verdict.call.method or "")][
            :most_verdicts
        ],
        "silent_servers": silent_servers(analysis),
    }


def _meant(method: str | None) -> Callable[[str], bool]:
    return (lambda name: True) if method is None else (lambda name: fnmatchcase(name, method))


def verdict_row(verdict: Verdict) -> Document:
    """One verdict."""
    call = verdict.call
    return {
        "msg_id": name_of(call.msg_id),
        "method": name_of(call.method),
        "topic": name_of(call.topic),
        "server": name_of(call.queue or call.key),
        "verdict": str(verdict.cause),
        "evidence": verdict.evidence,
        "certain": verdict.certain,
        "at": call.published,
        "request_id": name_of(call.request_id) or None,
        "global_request_id": name_of(call.global_request_id) or None,
    }


def _amplification(statistics: Statistics) -> float | None:
    """Queues that one fanout reaches on average."""
    fanouts = statistics.kinds[MessageKind.FANOUT]
    copies = sum(tally.copies for tally in statistics.methods.values())
    return round(copies / fanouts, 2) if fanouts else None


def _methods(statistics: Statistics) -> list[Document]:
    """By number of requests, the most first."""
    rows = [
        {"service": service, "topic": topic, "method": method, **_tally(tally, statistics.seconds)}
        for (service, topic, method), tally in statistics.methods.items()
    ]
    return sorted(rows, key=lambda row: (-(row["calls"] + row["casts"]), row["topic"], row["method"]))


def _tally(tally: Tally, seconds: float) -> Document:
    requests = tally.calls + tally.casts
    return {
        "calls": tally.calls,
        "casts": tally.casts,
        "fanouts": tally.fanouts,
        "copies": tally.copies,
        "rate": round(requests / seconds, 3) if seconds else None,
        "bytes": tally.bytes,
        "failures": tally.failures,
        "unanswered": tally.unanswered,
        "timeouts": tally.timeouts,
        "errors": dict(tally.errors.most_common(10)),
        "p50": _rounded(tally.total.at(0.5)),
        "p90": _rounded(tally.total.at(0.9)),
        "p99": _rounded(tally.total.at(0.99)),
        "max": _rounded(tally.total.longest) if tally.total.count else None,
        "queue_wait": _times(tally.queue_wait),
        "server_time": _times(tally.server_time),
    }


def _times(times: Times) -> Document | None:
    if not times.count:
        return None
    quantiles = {f"p{percent}": _rounded(times.at(percent / 100)) for percent in (50, 90, 99)}
    return quantiles | {"max": _rounded(times.longest)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def _topics(statistics: Statistics) -> list[Document]:
    found: dict[tuple[str, str], Document] = {}
    for (service, topic, _), tally in statistics.methods.items():
        row = found.setdefault(
            (service, topic), {"service": service, "topic": topic, "calls": 0, "casts": 0, "bytes": 0, "failures": 0,
                               "timeouts": 0}
        )  # fmt: skip
        for name in ("calls", "casts", "bytes", "failures", "timeouts"):
            row[name] += getattr(tally, name)
    return sorted(found.values(), key=lambda row: (-(row["calls"] + row["casts"]), row["topic"]))


def _servers(statistics: Statistics) -> list[Document]:
    """What was sent to one server by its name, the busiest first. `server_time` is the mean and the longest."""
    busiest = sorted(statistics.servers.items(), key=lambda entry: (-entry[1].calls, entry[0]))[:MOST_SERVERS]
    return [
        {
            "topic": topic, "server": server, "calls": tally.calls, "answered": tally.answered,
            "failures": tally.failures, "timeouts": tally.timeouts,
            "server_time": {"mean": _rounded(tally.seconds / tally.answered), "max": _rounded(tally.longest)}
            if tally.answered else None,
        }
        for (topic, server), tally in busiest
    ]  # fmt: skip


def _publishers(statistics: Statistics, connections: Mapping[str, str]) -> list[Document]:
    """Connections that publish most: who floods."""
    busiest = sorted(statistics.publishers.items(), key=lambda entry: (-entry[1].messages, entry[0]))[:MOST_SERVERS]
    total = sum(publisher.messages for publisher in statistics.publishers.values()) or 1
    return [
        {"connection": connection, "name": name_of(connections.get(connection)) or None,
         "messages": publisher.messages, "bytes": publisher.bytes,
         "share": round(100 * publisher.messages / total, 1)}
        for connection, publisher in busiest
    ]  # fmt: skip
