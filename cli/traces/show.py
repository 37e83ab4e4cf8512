"""The report and the tree of a request, as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console

from cli.tables import table
from cli.text import clean, count

Document = Mapping[str, Any]

MOST_ROWS = 30
"""Rows of a table; `--json` has all."""
WIDTH = 40
"""Columns of the waterfall."""


def show_report(console: Console, report: Document) -> None:
    """What was seen, by method, and what went wrong."""
    if report.get("mode") != "metrics":
        console.print(_summary(report))
    headers = ("SERVICE", "TOPIC", "METHOD", "CALLS", "CASTS", "FAILED", "TIMEOUTS", "QUEUE p50", "SERVER p50",
               "p50", "p99", "MAX")  # fmt: skip
    methods = report["methods"]
    rows = [
        (
            row["service"], row["topic"], row["method"], _number(row["calls"]), _number(row["casts"]),
            _number(row["failures"]), _number(row["timeouts"]), _of(row["queue_wait"]), _of(row["server_time"]),
            seconds(row["p50"]), seconds(row["p99"]), seconds(row["max"]),
        )
        for row in methods[:MOST_ROWS]
    ]  # fmt: skip
    if rows:
        console.print(table(headers, rows, whole=("METHOD",)))
    if len(methods) > MOST_ROWS:
        console.print(f"and {count(len(methods) - MOST_ROWS, 'method')} more: --json has all")
    for row in [*report["silent_servers"], *report.get("queues", {}).get("of_interest", [])[:MOST_ROWS]]:
        console.print(f"! {clean(row['text'])}", soft_wrap=True)
    if "queues" in report:
        console.print(
            f"{count(report['queues']['number'], 'queue')} with {count(report['queues']['messages'], 'message')}"
        )
    if report.get("mode", "full") == "full":
        _show_verdicts(console, report)


def show_found(console: Console, found: Document) -> None:
    """What a watch's full capture found."""
    for sign in found["signs"]:
        console.print(f"! {clean(sign)}", soft_wrap=True)
    coverage = "unknown" if found["coverage"] is None else f"{found['coverage']:g} %"
    console.print(f"So everything was captured for a while: {count(found['calls'], 'call')}, coverage {coverage}.")
    for row in found["silent_servers"]:
        console.print(f"! {clean(row['text'])}", soft_wrap=True)
    _show_verdicts(console, found)


def _show_verdicts(console: Console, report: Document) -> None:
    causes = ", ".join(f"{number} {name}" for name, number in report["causes"].items())
    console.print(f"Verdicts: {causes or 'none: every call went well'}")
    rows = [
        (row["verdict"] if row["certain"] else f"{row['verdict']}?", row["topic"], row["method"],
         row["request_id"] or "", row["evidence"])
        for row in report["verdicts"][:MOST_ROWS]
    ]  # fmt: skip
    if rows:
        console.print(table(("VERDICT", "TOPIC", "METHOD", "REQUEST", "EVIDENCE"), rows, whole=("VERDICT",)))
    if len(report["verdicts"]) > MOST_ROWS:
        console.print(f"and {len(report['verdicts']) - MOST_ROWS} more: --json has all")


def _summary(report: Document) -> str:
    if report["coverage"] is None:
        calls, casts = count(report["calls"], "call"), count(report["casts"], "cast")
        return f"{calls} and {casts} in {report['seconds']:.1f} s; replies are not seen in this mode"
    rate = f", {report['events'] / report['seconds']:.0f} events/s" if report["seconds"] else ""
    unread = f", {count(report['unreadable'], 'line')} unreadable" if report.get("unreadable") else ""
    return (
        f"{count(report['events'], 'event')} in {report['seconds']:.1f} s{rate}, "
        f"coverage {report['coverage']:g} %{unread}: "
        f"{count(report['calls'], 'call')}, {count(report['casts'], 'cast')} ({report['fanouts']} by fanout), "
        f"{report['replies']} replies, {count(report['notifications'], 'notification')}, "
        f"{report['failures']} failed, {report['unanswered']} unanswered"
    )


def show_tree(console: Console, request: Document) -> None:
    """The RPCs beneath a request, with the time that each took drawn as a bar: . queue, # server."""
    if not request["tree"]:
        console.print(f"No RPC of {clean(request['request_id'])} is in this capture.")
        return
    console.print(
        f"{request['request_id']}: {request['requests']} requests ({request['own']} own, "
        f"{request['by_global_id']} by the global id), "
        f"{request['calls']} calls, {request['casts']} casts, {request['replies']} replies, "
        f"{seconds(request['seconds'])}"
    )
    rows = [
        (f"{'│ ' * depth}{node['method']}", node["kind"], node["server"], seconds(node["start"]),
         seconds(node["seconds"]), _bar(node, request["seconds"]), node.get("verdict") or node.get("failure") or "")
        for depth, node in walk(request["tree"])
    ]  # fmt: skip
    headers = ("METHOD", "KIND", "SERVER", "START", "TOOK", "", "VERDICT")
    console.print(table(headers, rows, whole=("METHOD", "")), crop=False)
    for _, node in walk(request["tree"]):
        if node.get("evidence"):
            console.print(f"! {node['method']}: {clean(node['verdict'])}: {clean(node['evidence'])}", soft_wrap=True)


def show_comparison(console: Console, document: Document) -> None:
    """What changed between two captures."""
    before, after = (f"{rate} calls/s" if rate is not None else "no calls" for rate in document["rates"])
    console.print(f"{before} before, {after} after")
    rows = [
        (
            row["change"], row["topic"], row["method"],
            *(_counted(row["before"], name) for name in ("calls", "failures", "timeouts")),
            *(_counted(row["after"], name) for name in ("calls", "failures", "timeouts")),
            *(seconds(row[side]["p50"]) if row[side] else "" for side in ("before", "after")),
            f"{row['ratio']:g} x" if row["ratio"] else "",
        )
        for row in document["methods"]
    ]  # fmt: skip
    headers = ("CHANGE", "TOPIC", "METHOD", "CALLS", "FAILED", "TIMEOUTS", "CALLS NOW", "FAILED NOW", "TIMEOUTS NOW",
               "p50", "p50 NOW", "RATIO")  # fmt: skip
    if rows:
        console.print(table(headers, rows, whole=("CHANGE", "METHOD")))
    else:
        console.print("No method got slower, or fails where it did not.")


def _counted(row: Document | None, name: str) -> str:
    return _number(row[name]) if row else ""


def walk(nodes: Sequence[Document], depth: int = 0) -> Iterator[tuple[int, Document]]:
    """All nodes with their depth."""
    for node in nodes:
        yield depth, node
        yield from walk(node["children"], depth + 1)


def _bar(node: Document, total: float) -> str:
    """Where the RPC lies in the time of the request."""
    scale = WIDTH / total if total else 0.0
    begin = min(WIDTH - 1, int(node["start"] * scale))
    length: int = max(1, min(WIDTH - begin, round(node["seconds"] * scale)))
    wait: int = min(length - 1, round((node["queue_wait"] or 0.0) * scale))
    return "·" * begin + "." * wait + "#" * (length - wait)


def seconds(value: float | None) -> str:
    """`7 ms`, `1.9 s`, or nothing."""
    if value is None:
        return ""
    return f"{value * 1000:.1f} ms" if value < 0.01 else f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _of(times: Document | None) -> str:
    return seconds(times["p50"]) if times else ""


def _number(value: int) -> str:
    return str(value) if value else ""
