"""An analysis under way as JSON, so that the next slice goes on with it, in any process: nothing secret is in it."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import msgspec

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.call import Call, Cast
from functions.rpc_trace.message import MessageKind
from functions.rpc_trace.request import Node
from functions.rpc_trace.statistics import Publisher, ServerTally, Tally, Times
from functions.rpc_trace.verdict import Cause, Verdict

MOST_OPEN = 5_000
"""Open calls and casts that are saved; of a slice's end there are hardly more, and the store is not to be flooded."""

Document = dict[str, Any]
TIMES = ("queue_wait", "server_time", "total")
COUNTS = ("events", "deliveries", "redelivered", "failures", "unanswered", "bytes", "first", "last")


def dump(analysis: Analysis) -> Document:
    """Everything that `load` needs."""
    statistics, correlator, trace = analysis.statistics, analysis.correlator, analysis.trace
    calls, casts = correlator.open()
    return {
        "counts": {name: getattr(statistics, name) for name in COUNTS},
        "kinds": {str(kind): number for kind, number in statistics.kinds.items()},
        "methods": [[*key, _tally(tally)] for key, tally in statistics.methods.items()],
        "servers": [[*key, asdict(tally)] for key, tally in statistics.servers.items()],
        "publishers": {name: [row.messages, row.bytes] for name, row in statistics.publishers.items()},
        "missing": analysis.coverage.missing,
        "causes": {str(cause): number for cause, number in analysis.causes.items()},
        "verdicts": [_verdict(verdict) for verdict in analysis.verdicts],
        "in_flight": analysis.in_flight,
        "judging": analysis.judging,
        "gaps": analysis.gaps,
        "now": correlator.now,
        "evicted": correlator.evicted + max(0, len(calls) + len(casts) - MOST_OPEN),
        "strangers": correlator.strangers,
        "calls": msgspec.to_builtins(calls[-MOST_OPEN:]),
        "casts": msgspec.to_builtins(casts[-MOST_OPEN:]),
        "trace": trace and {
            "request_id": trace.request_id, "own": trace.own, "by_global": trace.by_global, "replies": trace.replies,
            "dropped": trace.dropped, "joined": trace.processes.joined(),
            "nodes": [{"call": isinstance(node.rpc, Call), "rpc": msgspec.to_builtins(node.rpc),
                       "verdict": node.verdict and _verdict(node.verdict)} for node in trace.nodes],
        },
    }  # fmt: skip


def load(saved: Document) -> Analysis:
    """The analysis as it was."""
    trace = saved["trace"]
    analysis = Analysis(trace["request_id"] if trace else None, judging=saved["judging"])
    analysis.gaps = [(begin, end) for begin, end in saved["gaps"]]
    statistics = analysis.statistics
    for name, value in saved["counts"].items():
        setattr(statistics, name, value)
    statistics.kinds.update({MessageKind(kind): number for kind, number in saved["kinds"].items()})
    for *key, tally in saved["methods"]:
        statistics.methods[key[0], key[1], key[2]] = _load_tally(tally)
    for *key, tally in saved["servers"]:
        statistics.servers[key[0], key[1]] = ServerTally(**tally)
    statistics.publishers.update({name: Publisher(*row) for name, row in saved["publishers"].items()})
    analysis.coverage.missing = saved["missing"]
    analysis.causes.update({Cause(cause): number for cause, number in saved["causes"].items()})
    analysis.verdicts = [_load_verdict(row) for row in saved["verdicts"]]
    analysis.in_flight = saved["in_flight"]
    correlator = analysis.correlator
    correlator.evicted, correlator.strangers = saved["evicted"], saved["strangers"]
    correlator.reopen(
        msgspec.convert(saved["calls"], list[Call]), msgspec.convert(saved["casts"], list[Cast]), saved["now"]
    )
    if trace and analysis.trace is not None:
        found = analysis.trace
        found.own, found.by_global, found.replies = trace["own"], trace["by_global"], trace["replies"]
        found.dropped = trace["dropped"]
        found.processes.rejoin(trace["joined"])
        found.restore([_load_node(row) for row in trace["nodes"]])
    return analysis


def _tally(tally: Tally) -> Document:
    plain = {field.name: getattr(tally, field.name) for field in fields(tally) if field.name not in TIMES}
    return plain | {"errors": dict(tally.errors)} | {name: getattr(tally, name).dump() for name in TIMES}


def _load_tally(saved: Document) -> Tally:
    tally = Tally(**{name: value for name, value in saved.items() if name not in (*TIMES, "errors")})
    tally.errors.update(saved["errors"])
    for name in TIMES:
        setattr(tally, name, Times.load(saved[name]))
    return tally


def _verdict(verdict: Verdict) -> Document:
    return {"call": msgspec.to_builtins(verdict.call), "cause": str(verdict.cause), "evidence": verdict.evidence,
            "certain": verdict.certain}  # fmt: skip


def _load_verdict(saved: Document) -> Verdict:
    call = msgspec.convert(saved["call"], Call)
    return Verdict(call, Cause(saved["cause"]), saved["evidence"], saved["certain"])


def _load_node(saved: Document) -> Node:
    rpc: Call | Cast = msgspec.convert(saved["rpc"], Call) if saved["call"] else msgspec.convert(saved["rpc"], Cast)
    return Node(rpc, _load_verdict(saved["verdict"]) if saved["verdict"] else None)
