"""A capture of a real Nova and Neutron: its replay beside a count that uses nothing of the tracer's."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.main import app

FILE = Path(__file__).parents[2] / "data" / "lab-capture.jsonl.gz"
LIFE = "req-3c2707a0-d744-4027-b4ca-9c4261bd09b6"
"""The global id under which a server was booted, migrated live and deleted."""
LAST_LINE = "drover.capture.ended"

Method = tuple[str, str]
"""Topic and name."""
Row = dict[str, Any]


def replayed(*options: str) -> Row:
    """What `drover trace replay` prints of the capture."""
    ended = CliRunner().invoke(app, ["trace", "replay", str(FILE), "--json", *options], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    document: Row = json.loads(ended.stdout)
    return document


def lines() -> Iterator[Row]:
    """Every event of the file, with its inner message as `message`."""
    with gzip.open(FILE, "rt") as file:
        for text in file:
            row = json.loads(text)
            if row["routing_key"] != LAST_LINE:
                yield row | {"message": json.loads(json.loads(row["body"])["oslo.message"])}


def published() -> Iterator[tuple[Row, Row]]:
    """Each publish event's headers and message, in the order of the file."""
    return ((row["headers"], row["message"]) for row in lines() if row["routing_key"].startswith("publish."))


def method_of(headers: Row, message: Row) -> Method:
    """A fanout's topic is in its exchange's name, every other request's in its routing key, before the server."""
    exchange = headers["exchange_name"]
    topic = exchange.removesuffix("_fanout") if exchange.endswith("_fanout") else headers["routing_keys"][0]
    return (topic if exchange.endswith("_fanout") else topic.partition(".")[0]), message["method"]


def answers() -> dict[str, Row]:
    """Ending replies by the call that they belong to."""
    return {message["_msg_id"]: message for _, message in published() if message.get("ending")}


@pytest.fixture(scope="module")
def report() -> Row:
    """The analysis of the whole file."""
    return replayed()


def test_totals_are_those_of_a_plain_count(report: Row) -> None:
    """Calls, casts, fanouts, replies, failures and unanswered calls, as plain JSON shows them, and as was noted."""
    requests = [(headers, message) for headers, message in published() if "method" in message]
    called = [message["_msg_id"] for _, message in requests if "_msg_id" in message]
    counted = {
        "events": sum(1 for _ in lines()),
        "calls": len(called),
        "casts": len(requests) - len(called),
        "fanouts": sum(headers["exchange_name"].endswith("_fanout") for headers, _ in requests),
        "replies": sum(bool(message.get("ending")) for _, message in published()),
        "heartbeats": sum(message.get("ending") is False for _, message in published()),
        "failures": sum(bool(message.get("failure")) for _, message in published()),
        "unanswered": len(set(called) - answers().keys()),
        "deliveries": sum(row["routing_key"].startswith("deliver.") for row in lines()),
    }
    assert {name: report[name] for name in counted} == counted
    assert tuple(counted.values()) == (915, 212, 42, 28, 211, 0, 5, 1, 450)
    assert (report["coverage"], report["unreadable"], report["foreign"], report["in_flight"]) == (100.0, 0, 0, 0)


def test_methods_are_those_of_a_plain_count(report: Row) -> None:
    """Calls, casts and failures of every method of every topic, and none beside them."""
    wanted: dict[Method, Counter[str]] = {}
    replies = answers()
    for headers, message in published():
        if "method" not in message:
            continue
        tally = wanted.setdefault(method_of(headers, message), Counter(calls=0, casts=0, failures=0, unanswered=0))
        tally["calls" if "_msg_id" in message else "casts"] += 1
        if "_msg_id" in message:
            reply = replies.get(message["_msg_id"])
            tally["failures"] += bool(reply and reply["failure"])
            tally["unanswered"] += reply is None
    names = ("calls", "casts", "failures", "unanswered")
    found = {(row["topic"], row["method"]): {name: row[name] for name in names} for row in report["methods"]}
    assert found == {method: dict(tally) for method, tally in wanted.items()}
    assert len(found) == len(report["methods"]) == 26


def test_verdicts_are_those_of_a_plain_look(report: Row) -> None:
    """Each call that was answered with an exception, too late, or not at all has its verdict, and no other one."""
    events = [row for row in lines() if row["routing_key"].startswith("publish.")]
    asked = {row["message"]["_msg_id"]: row for row in events if "_reply_q" in row["message"]}
    sent = {row["message"]["_msg_id"]: row["t"] for row in events if row["message"].get("ending")}
    wanted = {call: "server_exception" for call, message in answers().items() if message["failure"]}
    for call, row in asked.items():
        deadline = row["t"] + int(row["headers"]["properties"]["expiration"]) / 1000
        if sent.get(call, deadline) >= deadline:
            wanted[call] = "slow" if call in sent else "server_stuck"
    assert {verdict["msg_id"]: verdict["verdict"] for verdict in report["verdicts"]} == wanted
    assert Counter(wanted.values()) == {"server_exception": 5, "slow": 1, "server_stuck": 1}
    assert {verdict["server"]: verdict["verdict"] for verdict in report["verdicts"] if "cmp0" in verdict["server"]} == {
        "compute.cmp02": "server_exception", "compute.cmp05": "slow", "compute.cmp06": "server_stuck",
    }  # fmt: skip
    assert [server["server"] for server in report["silent_servers"]] == ["cmp06"]


def test_tree_of_a_life_has_every_request_of_its_id() -> None:
    """Boot, live migration and deletion under one global id: every RPC once, every call answered, in Nova's order."""
    request = replayed("--request-id", LIFE)["request"]
    wanted = [message for _, message in published() if message.get("_context_global_request_id") == LIFE]
    wanted = [message for message in wanted if "method" in message]
    nodes = list(flat(request["tree"]))
    assert Counter(node["method"] for node in nodes) == Counter(message["method"] for message in wanted)
    assert request["requests"] == len(wanted) == len(nodes)
    assert request["calls"] == request["replies"] == sum("_msg_id" in message for message in wanted)
    begun = [node["method"] for node in request["tree"] if node["kind"] == "cast" and node["topic"] == "conductor"]
    assert begun == ["schedule_and_build_instances", "live_migrate_instance"]


def flat(nodes: list[Row]) -> Iterator[Row]:
    """Every node of a tree."""
    for node in nodes:
        yield node
        yield from flat(node["children"])


def test_file_keeps_names_and_sizes_only() -> None:
    """Of every argument there are asterisks, of a context its ids, and no token, address of a service or path."""
    for row in lines():
        for value in row["message"].get("args", {}).values():
            assert re.fullmatch(r"\**|0", str(value)), value
        kept = {name for name in row["message"] if name.startswith("_context_")}
        assert kept <= {"_context_request_id", "_context_global_request_id"}
    text = gzip.decompress(FILE.read_bytes()).decode()
    assert [word for word in ("gAAAA", "auth_token", "://", "/home", "/root", "/var") if word in text] == []
