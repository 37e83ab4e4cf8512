"""The mark: what the cluster itself knows of a capture that has armed a vhost's firehose.

It is a global parameter, which every node has. After the capture it stays as long as there are nodes that could not be
disarmed, since they were down: RabbitMQ keeps the firehose armed over `rabbitmqctl stop_app` (seen with 3.10; a
partition's pause stops the application as well), though not over a restart of the whole node.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.rabbit.broker import Broker
from shared.rabbit.management import Management


@dataclass(frozen=True)
class Mark:
    """Whose the firehose is.

    Attributes:
        owner: the capture's name.
        nodes: those that it has armed.
        left: those that an earlier one could not disarm.
        is_over: the capture has ended, and only `left` is still to be disarmed.
    """

    owner: str
    nodes: frozenset[str] = frozenset()
    left: frozenset[str] = frozenset()
    is_over: bool = False

    @property
    def all_nodes(self) -> frozenset[str]:
        """Nodes on which the firehose may be armed."""
        return self.nodes | self.left


def mark_name(broker: Broker) -> str:
    """Name of the global parameter that holds the mark of a vhost."""
    return f"drover-firehose:{broker.vhost}"


def read_mark(broker: Broker, management: Management) -> Mark | None:
    """The mark of the vhost; None if there is none."""
    found = management.parameter(mark_name(broker))
    if found is None:
        return None
    if not isinstance(found, dict):  # an older Drover's: its owner alone
        return Mark(str(found))
    nodes, left = _names(found.get("nodes")), _names(found.get("left"))
    return Mark(str(found.get("capture", "")), nodes, left, is_over=bool(found.get("over")))


def write_mark(broker: Broker, management: Management, mark: Mark | None) -> None:
    """Set the mark of the vhost; None removes it."""
    document = mark and {
        "capture": mark.owner,
        "nodes": sorted(mark.nodes),
        "left": sorted(mark.left),
        "over": mark.is_over,
    }
    management.set_parameter(mark_name(broker), document)


def _names(found: Any) -> frozenset[str]:
    entries: Iterable[Any] = found if isinstance(found, list) else ()
    return frozenset(entry for entry in entries if isinstance(entry, str))
