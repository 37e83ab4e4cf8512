"""The tree of one request as a JSON document, for machines, for the terminal and for the page."""

from __future__ import annotations

from typing import Any

from functions.rpc_trace.call import Call
from functions.rpc_trace.message import name_of
from functions.rpc_trace.processes import Processes
from functions.rpc_trace.request import Node, RequestTrace

Document = dict[str, Any]


def tree_document(trace: RequestTrace) -> Document:
    """All RPCs of a request. Times are seconds; `start` counts from the first of them.

    `requests` counts each time a request was published: `own` with the id as its own, `by_global_id` with the id as
    global id only, by other services that worked for it.
    """
    nodes = trace.nodes
    begin = nodes[0].begin if nodes else None
    kinds = [node.kind for node in nodes]
    return {
        "request_id": trace.request_id,
        "requests": trace.own + trace.by_global,
        "own": trace.own,
        "by_global_id": trace.by_global,
        "calls": kinds.count("call"),
        "casts": len(kinds) - kinds.count("call"),
        "fanouts": kinds.count("fanout"),
        "replies": trace.replies,
        "begin": begin,
        "seconds": round(max(node.end for node in nodes) - begin, 6) if nodes and begin is not None else 0.0,
        "dropped": trace.dropped,
        "tree": [_node(node, begin or 0.0, trace.processes) for node in trace.tree()],
    }


def _node(node: Node, begin: float, processes: Processes) -> Document:
    rpc = node.rpc
    row: Document = {
        "kind": node.kind,
        "method": name_of(rpc.method),
        "service": "" if node.kind == "fanout" else name_of(rpc.exchange),
        "topic": name_of(rpc.topic),
        "client": processes.label(rpc.publisher),
        "server": name_of(node.server),
        "start": round(node.begin - begin, 6),
        "seconds": round(node.end - node.begin, 6),
        "queue_wait": _rounded(rpc.queue_wait),
        "request_id": name_of(rpc.request_id) or None,
        "global_request_id": name_of(rpc.global_request_id) or None,
        "bytes": rpc.size,
        "arguments": rpc.arguments or {},
        "deliveries": rpc.deliveries,
    }
    if isinstance(rpc, Call):
        row |= {
            "msg_id": name_of(rpc.msg_id),
            "server_time": _rounded(rpc.server_time),
            "answered": rpc.replied is not None,
            "reply_bytes": rpc.reply_size,
            "heartbeats": rpc.heartbeats,
            "failure": rpc.failure or None,
            "verdict": str(node.verdict.cause) if node.verdict else None,
            "evidence": node.verdict.evidence if node.verdict else None,
        }
    return row | {"children": [_node(child, begin, processes) for child in node.children]}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
