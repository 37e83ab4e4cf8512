"""Signs, in a light capture, that calls time out: they say that a full capture is worth its price.

A light capture sees no replies, so a server that takes calls and does not answer shows only where somebody writes of
it: Nova and Neutron send the text of a MessagingTimeout on, in notifications and in the faults that a compute has its
conductor store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from functions.rpc_trace.statistics import Statistics

TIMEOUT = b"MessagingTimeout"
"""The class that oslo.messaging raises in a caller that has waited in vain (oslo_messaging/exceptions.py)."""
LONG_QUEUE = 100
"""Messages that wait in a queue although somebody takes from it."""
MOST_SIGNS = 20


def signs(statistics: Statistics, queues: Iterable[Mapping[str, Any]], timeouts: int) -> list[str]:
    """What speaks for timeouts, in sentences; empty where nothing does.

    Args:
        statistics: of the light capture.
        queues: all queues of the vhost, with name, messages and consumers, as the management API has them.
        timeouts: messages of the light capture that speak of a MessagingTimeout.
    """
    known = {str(row["name"]): row for row in queues}
    found = [f"{timeouts} messages speak of a MessagingTimeout"] if timeouts else []
    for name, calls in _called(statistics).items():
        row = known.get(name)
        if row is None:
            found.append(f"{calls} calls went to {name}, and there is no such queue")
            continue
        messages, consumers = int(row.get("messages_ready") or 0), int(row.get("consumers") or 0)
        if messages and not consumers:
            found.append(f"{messages} messages wait in {name}, and nobody takes from it")
        elif messages > LONG_QUEUE:
            found.append(f"{messages} messages wait in {name}, although {consumers} consumers take from it")
    return found[:MOST_SIGNS]


def _called(statistics: Statistics) -> dict[str, int]:
    """Queues that calls were sent to, with their number: oslo.messaging names them TOPIC and TOPIC.SERVER."""
    found: dict[str, int] = {}
    for (_, topic, _), tally in sorted(statistics.methods.items()):
        if tally.calls and topic:
            found[topic] = found.get(topic, 0) + tally.calls
    for (topic, server), counted in sorted(statistics.servers.items()):
        found[f"{topic}.{server}"] = counted.calls
    return {name: calls for name, calls in found.items() if "(" not in name}  # (unreadable), (others)
