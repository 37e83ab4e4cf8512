"""Two captures are compared method by method: slower, faster, failing, new, gone, and nothing else."""

from __future__ import annotations

from typing import Any

from functions.rpc_trace.compare import compare


def row(method: str, p50: float | None = 0.01, calls: int = 100, failures: int = 0) -> dict[str, Any]:
    """A method's row of a report."""
    return {"service": "nova", "topic": "conductor", "method": method, "calls": calls, "failures": failures,
            "timeouts": 0, "p50": p50, "p99": p50}  # fmt: skip


def document(*rows: dict[str, Any]) -> dict[str, Any]:
    """A report with these methods."""
    return {"methods": list(rows), "calls": sum(each["calls"] for each in rows), "seconds": 10.0, "coverage": 100.0}


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """What became of each method that changed."""
    return {each["method"]: each["change"] for each in compare(before, after)["methods"]}


def test_what_changed_is_named() -> None:
    """Each kind of change is told apart, and a method that is as it was is not listed."""
    before = document(row("same"), row("slow"), row("fast", 0.1), row("fails"), row("gone"))
    after = document(row("same", 0.011), row("slow", 0.05), row("fast", 0.01), row("fails", failures=5), row("new"))
    assert changes(before, after) == {
        "slow": "slower",
        "fast": "faster",
        "fails": "failing",
        "gone": "gone",
        "new": "new",
    }


def test_noise_is_no_change() -> None:
    """Few calls, tiny times and one failure among many say nothing."""
    before = document(row("rare", calls=3), row("tiny", 0.0001), row("flaky", failures=2))
    after = document(row("rare", 0.5, calls=3), row("tiny", 0.001), row("flaky", failures=3))
    assert changes(before, after) == {}


def test_the_slowest_comes_first() -> None:
    """Methods are listed by how much slower they got, with both times and the rates of the captures."""
    found = compare(document(row("a"), row("b")), document(row("a", 0.02), row("b", 0.04)))
    assert [(each["method"], each["ratio"]) for each in found["methods"]] == [("b", 4.0), ("a", 2.0)]
    assert found["rates"] == [20.0, 20.0]
    assert (found["methods"][0]["before"]["p50"], found["methods"][0]["after"]["p50"]) == (0.01, 0.04)
