"""Two captures side by side: which methods got slower, or fail where they did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]

ENOUGH = 10
"""Calls of a method in both captures, below which a quantile says nothing."""
SLOWER = 1.3
"""So many times the time before counts as slower, and the inverse as faster."""
MORE = 0.01
"""Share of a method's calls that must fail more than before."""
LEAST = 0.002
"""Seconds that the difference must have: below, it is noise."""


def compare(before: Document, after: Document) -> dict[str, Any]:
    """Compare two reports (`functions.rpc_trace.report`).

    Returns:
        `methods`: those that changed, what got slowest first, each with calls, failures, p50 and p99 (seconds) before
        and after, `ratio` of the p50s, and `change`: slower, faster, failing, new, gone. `rates`: calls a second before
        and after.
    """
    old = {(row["service"], row["topic"], row["method"]): row for row in before["methods"]}
    new = {(row["service"], row["topic"], row["method"]): row for row in after["methods"]}
    rows = [row for key in old.keys() | new.keys() if (row := _row(key, old.get(key), new.get(key)))]
    return {
        "methods": sorted(rows, key=lambda row: (-(row["ratio"] or 0.0), row["topic"], row["method"])),
        "rates": [_rate(before), _rate(after)],
        "coverage": [before["coverage"], after["coverage"]],
    }


def _row(key: tuple[str, str, str], old: Document | None, new: Document | None) -> dict[str, Any] | None:
    change, ratio = _change(old, new)
    if not change:
        return None
    names = ("calls", "failures", "timeouts", "p50", "p99")
    return {
        "service": key[0], "topic": key[1], "method": key[2], "change": change,
        "ratio": ratio and round(ratio, 2),
        "before": {name: old[name] for name in names} if old else None,
        "after": {name: new[name] for name in names} if new else None,
    }  # fmt: skip


def _change(old: Document | None, new: Document | None) -> tuple[str, float | None]:
    if old is None or new is None:
        return ("new" if old is None else "gone"), None
    ratio = new["p50"] / old["p50"] if new["p50"] and old["p50"] else None
    if _bad(new) > SLOWER * _bad(old) + MORE:
        return "failing", ratio
    if ratio is None or min(old["calls"], new["calls"]) < ENOUGH or abs(new["p50"] - old["p50"]) < LEAST:
        return "", ratio
    return ("slower" if ratio >= SLOWER else "faster" if ratio <= 1 / SLOWER else ""), ratio


def _bad(row: Document) -> float:
    """Share of the calls that failed or timed out."""
    return float((row["failures"] + row["timeouts"]) / row["calls"]) if row["calls"] else 0.0


def _rate(report: Document) -> float | None:
    return round(report["calls"] / report["seconds"], 1) if report["seconds"] else None
