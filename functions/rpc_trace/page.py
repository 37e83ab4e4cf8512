"""The tree of one request as a web page: one file, without a script, that can be sent to a colleague."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

Document = Mapping[str, Any]

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff; }
h1 { font-size: 1.3em; } p { max-width: 60em; }
table { border-collapse: collapse; width: 100%; } td, th { padding: 1px 8px; text-align: left; white-space: nowrap; }
th { border-bottom: 1px solid #999; } tr:hover { background: #f2f5fa; }
td.number { text-align: right; font-variant-numeric: tabular-nums; } td.line { width: 45%; }
svg { width: 100%; height: 14px; display: block; } .queue { fill: #d9a441; } .server { fill: #4a7fb5; }
.cast .server { fill: #8a9bab; } .bad { color: #b00020; } .bad .server { fill: #b00020; }
details { margin: 0; } summary { cursor: pointer; }
"""


def page(request: Document) -> str:
    """The page of a tree (`functions.rpc_trace.tree`): a row for each RPC, its time in queue and server as a bar."""
    title = escape(f"RPC beneath {request['request_id']}")
    counts = (
        f"{request['requests']} requests ({request['own']} own, {request['by_global_id']} by the global id), "
        f"{request['calls']} calls, {request['casts']} casts, {request['replies']} replies, "
        f"{_time(request['seconds'])}."
    )
    rows = "\n".join(_row(depth, node, request["seconds"]) for depth, node in _walk(request["tree"]))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n<p>{escape(counts)} "
        "Yellow is the time in a queue, blue the time in the server; grey is a cast.</p>\n"
        "<table><thead><tr><th>method</th><th>from</th><th>to</th><th>start</th><th>took</th><th></th><th></th></tr>"
        f"</thead><tbody>\n{rows}\n</tbody></table></body></html>\n"
    )


def _walk(nodes: Sequence[Document], depth: int = 0) -> Iterator[tuple[int, Document]]:
    for node in nodes:
        yield depth, node
        yield from _walk(node["children"], depth + 1)


def _row(depth: int, node: Document, total: float) -> str:
    verdict = node.get("verdict") or ""
    kinds = " ".join(filter(None, ("cast" if node["kind"] != "call" else "", "bad" if verdict else "")))
    arguments = ", ".join(f"{name} {size} B" for name, size in node["arguments"].items())
    return (
        f'<tr class="{kinds}"><td style="padding-left:{8 + 18 * depth}px" title="{escape(arguments)}">'
        f"{escape(node['method'])}</td><td>{escape(node['client'] or '')}</td><td>{escape(node['server'])}</td>"
        f'<td class="number">{_time(node["start"])}</td><td class="number">{_time(node["seconds"])}</td>'
        f'<td class="line">{_bar(node, total)}</td>'
        f'<td title="{escape(node.get("evidence") or "")}">{escape(verdict)}</td></tr>'
    )


def _bar(node: Document, total: float) -> str:
    scale = 100.0 / total if total else 0.0
    begin, wait = node["start"] * scale, (node["queue_wait"] or 0.0) * scale
    length = max(0.3, node["seconds"] * scale - wait)
    return (
        '<svg viewBox="0 0 100 10" preserveAspectRatio="none">'
        f'<rect class="queue" x="{begin:.3f}" y="2" width="{wait:.3f}" height="6"/>'
        f'<rect class="server" x="{begin + wait:.3f}" y="2" width="{length:.3f}" height="6"/></svg>'
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
