"""A capture's report, and a watch's counters, as Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.telemetry.families import Family

MOST_METHODS = 100
"""Methods that are shown, the busiest first: each is several time series."""
COUNTS = {
    "calls": "Requests that wait for a reply",
    "casts": "Requests that want no reply, fanouts among them,",
    "bytes": "Bytes of requests",
    "failures": "Replies with an exception",
    "timeouts": "Calls that their caller gave up",
    "unanswered": "Calls without a reply",
}
TIMES = {
    "total": "Seconds from a request to the delivery of its reply",
    "queue_wait": "Seconds from a request to its delivery",
    "server_time": "Seconds from a request's delivery to its reply",
}
QUANTILES = ("p50", "p90", "p99")

Report = Mapping[str, Any]
Samples = dict[tuple[str, ...], float]


def of_report(report: Report, cloud: str = "") -> list[Family]:
    """What one capture has counted, as gauges; what its mode does not see is left out."""
    rows = report["methods"][:MOST_METHODS]
    found = [_methods(f"drover_rpc_{name}", f"{text} in the last capture.", rows, name, cloud)
             for name, text in COUNTS.items()]  # fmt: skip
    found += [_quantiles(name, text, rows, cloud) for name, text in TIMES.items()]
    single = {
        "drover_rpc_capture_seconds": ("Length of the last capture.", report["seconds"]),
        "drover_rpc_capture_end_timestamp_seconds": ("When the last capture saw its last message.", report["end"]),
        "drover_rpc_capture_events": ("Messages that the last capture saw.", report["events"]),
        "drover_rpc_coverage_ratio": (
            "Share of the messages that the last capture has seen; no rate of it holds without.",
            None if report["coverage"] is None else report["coverage"] / 100,
        ),
    }
    found += [_one(name, "gauge", text, cloud, value) for name, (text, value) in single.items() if value is not None]
    causes: Samples = {(cloud, cause): float(number) for cause, number in report["causes"].items()}
    found.append(Family("drover_rpc_verdicts", "gauge", "Calls that went wrong in the last capture, by verdict.",
                        ("cloud", "verdict"), causes))  # fmt: skip
    return [family for family in found if family.samples]


def of_queues(report: Report, cloud: str) -> list[Family]:
    """What is known of the queues, of any mode."""
    queues = report["queues"]
    return [
        _one("drover_rpc_queues", "gauge", "Queues of the vhost.", cloud, queues["number"]),
        _one("drover_rpc_queue_messages", "gauge", "Messages that wait in them.", cloud, queues["messages"]),
        _one(
            "drover_rpc_queues_neglected", "gauge", "Queues with messages that nobody takes, or not fast enough.",
            cloud, len(queues["of_interest"]),
        ),
    ]  # fmt: skip


def of_totals(totals: Mapping[str, Any], cloud: str) -> list[Family]:
    """What a watch has counted since it began. Its light captures see a part of the time: `watched` says how much."""
    texts = {
        "rounds": ("drover_rpc_watch_rounds", "Light captures that the watch has made."),
        "watched": ("drover_rpc_watch_seconds", "Seconds that they took: a rate is requests by these."),
        "timeouts": ("drover_rpc_watch_timeouts", "Messages that spoke of a MessagingTimeout."),
        "signs": ("drover_rpc_watch_signs", "Signs of timeouts."),
        "full": ("drover_rpc_watch_full_captures", "Full captures that were armed because of them."),
    }
    found = [_one(name, "counter", text, cloud, totals.get(key, 0)) for key, (name, text) in texts.items()]
    methods = totals.get("methods", {})
    busiest = sorted(methods.items(), key=lambda entry: -sum(entry[1]))[:MOST_METHODS]
    samples: Samples = {
        (cloud, *name.split("|"), kind): float(number)
        for name, numbers in busiest
        for kind, number in zip(("call", "cast"), numbers, strict=True)
    }
    found.append(Family("drover_rpc_watch_requests", "counter", "Requests that the watch's light captures saw.",
                        ("cloud", "service", "topic", "method", "kind"), samples))  # fmt: skip
    causes: Samples = {(cloud, cause): float(number) for cause, number in totals.get("causes", {}).items()}
    found.append(Family("drover_rpc_watch_verdicts", "counter", "Calls that went wrong in the watch's full captures.",
                        ("cloud", "verdict"), causes))  # fmt: skip
    return found


def _methods(name: str, text: str, rows: Sequence[Report], key: str, cloud: str) -> Family:
    samples: Samples = {(cloud, *_names(row)): float(row[key]) for row in rows if row[key]}
    return Family(name, "gauge", text, ("cloud", "service", "topic", "method"), samples)


def _quantiles(name: str, text: str, rows: Iterable[Report], cloud: str) -> Family:
    samples: Samples = {}
    for row in rows:
        times = row if name == "total" else row[name] or {}
        for quantile in QUANTILES:
            if (value := times.get(quantile)) is not None:
                samples[cloud, *_names(row), f"0.{quantile[1:]}"] = float(value)
    labels = ("cloud", "service", "topic", "method", "quantile")
    return Family(f"drover_rpc_{name}_seconds", "gauge", f"{text}, in the last capture.", labels, samples)


def _names(row: Report) -> tuple[str, str, str]:
    return row["service"], row["topic"], row["method"]


def _one(name: str, kind: Any, text: str, cloud: str, value: float) -> Family:
    return Family(name, kind, text, ("cloud",), {(cloud,): float(value)})
