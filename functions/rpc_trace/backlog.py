"""The queues themselves, by the management API: who has messages and no consumer, and whose backlog grows."""

from __future__ import annotations

from typing import Any

from functions.rpc_trace.message import name_of
from functions.rpc_trace.own import OWN_QUEUES
from shared.rabbit import Management

MOST_ROWS = 200


def queues_of_interest(management: Management) -> dict[str, Any]:
    """`queues`: their number, their messages, and those that need a look, with `text` saying why, the longest first."""
    rows = [row for row in management.queues() if row["name"] not in OWN_QUEUES]
    found = [entry for row in rows if (entry := describe(row)) is not None]
    return {
        "queues": {
            "number": len(rows),
            "messages": sum(int(row.get("messages") or 0) for row in rows),
            "of_interest": sorted(found, key=lambda entry: (-entry["messages"], entry["queue"]))[:MOST_ROWS],
        }
    }


def describe(row: dict[str, Any]) -> dict[str, Any] | None:
    """A queue that somebody should look at; None if it is well."""
    messages, consumers = int(row.get("messages") or 0), int(row.get("consumers") or 0)
    if not messages:
        return None
    waiting = int(row.get("messages_unacknowledged") or 0)
    name = name_of(str(row["name"]))
    entry = {"queue": name, "messages": messages, "consumers": consumers, "unacknowledged": waiting}
    if not consumers:
        return entry | {"text": f"{messages} messages wait in {name}, and nobody takes from it: its consumer is gone"}
    if waiting == messages:
        return entry | {"text": f"{name}'s consumer has taken {messages} messages and acknowledged none of them yet"}
    return entry | {"text": f"{messages} messages wait in {name}: its {consumers} consumers are slower than they come"}
