"""The firehose of a vhost: armed for one capture at a time, and disarmed in every case.

RabbitMQ keeps no record of who armed it, and no time limit. So before it is armed, a *mark* (see `mark`) says that it
is Drover's, and the capture's queue says that somebody is at work: nobody reads it for `QUEUE_SECONDS`, and RabbitMQ
deletes it by its own clock. A mark without a queue is a capture that died: whoever looks next disarms the firehose. No
clock but RabbitMQ's is asked, so that wrong ones do no harm.

Each node has a state of its own, which only it can tell and change: so `management` must have the address of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.errors import Permanent, Retry
from shared.rabbit.broker import Broker
from shared.rabbit.management import Management, Node
from shared.rabbit.mark import Mark, mark_name, read_mark, write_mark

__all__ = ["ARGUMENTS", "EXCHANGE", "QUEUE", "QUEUE_MESSAGES", "Firehose", "disarm_abandoned", "mark_name"]

EXCHANGE = "amq.rabbitmq.trace"
"""Where the firehose publishes; every vhost has one."""
QUEUE = "drover.trace"
"""The capture's queue: one for a vhost."""
QUEUE_SECONDS = 15
"""After so long without a reader RabbitMQ deletes it."""
QUEUE_MESSAGES = 50_000
QUEUE_BYTES = 256 * 1024 * 1024
ARGUMENTS: dict[str, Any] = {
    "x-expires": QUEUE_SECONDS * 1000,
    "x-max-length": QUEUE_MESSAGES,
    "x-max-length-bytes": QUEUE_BYTES,
    "x-overflow": "drop-head",
}
"""Of the queue: bounded, so that a slow reader costs messages and never the broker's memory."""
MEMORY_SHARE = 0.5
"""Of the watermark: a broker that uses more is left alone."""
DISK_FACTOR = 2.0
"""A broker with less than so many times its disk limit free is left alone."""
MOST_SILENCE = 2
"""Looks in a row at which a node does not tell its state, until a capture has to end."""


class Firehose:
    """One vhost's firehose, for one capture.

    Args:
        owner: the capture's name, which goes into the mark.
    """

    def __init__(self, broker: Broker, management: Management, owner: str) -> None:
        self._broker = broker
        self._management = management
        self._owner = owner
        self._silent = 0

    def refusal(self) -> str:
        """Why it must not be armed now; empty if it may."""
        mark = read_mark(self._broker, self._management)
        taken = mark is not None and not mark.is_over
        if mark is not None and taken and mark.owner != self._owner:
            return f"capture {mark.owner} has the firehose of {self._broker.vhost!r}: wait until it has ended"
        traced = self._management.tracing()
        if not taken and any(armed for node, armed in traced.items() if mark is None or node not in mark.left):
            return (
                f"the firehose of {self._broker.vhost!r} is armed already, not by Drover: whoever did it ends it with "
                f"rabbitmqctl trace_off -p {self._broker.vhost}"
            )
        if not taken and any(source != EXCHANGE for source in self._management.sources(QUEUE)):
            return f"another capture, a light one, reads {QUEUE}: wait until it has ended"
        nodes = self._management.nodes()
        return _out_of_reach(nodes, traced) or _burden(nodes)

    def nodes(self) -> list[Node]:
        """All nodes of the cluster, to look at more than once."""
        return self._management.nodes()

    def burden(self, nodes: Sequence[Node] | None = None) -> str:
        """What the broker is short of; empty if it is well."""
        return _burden(nodes or self.nodes())

    def trouble(self, nodes: Sequence[Node] | None = None) -> str | None:
        """What keeps a capture under way from seeing everything.

        Returns:
            Empty if all nodes show their traffic; None if that is not known now.
        """
        mark = read_mark(self._broker, self._management)
        running = {node.name for node in nodes or self.nodes() if node.running}
        if mark is None or mark.is_over or mark.owner != self._owner:
            return "somebody else has disarmed the firehose"
        if gone := mark.nodes - running:
            return f"{_list(gone)} went down, with what it had not told yet"
        traced = self._management.tracing()
        if off := {node for node in running if traced.get(node) is False}:
            return f"the firehose of {_list(off)} is off: a node that is started again has forgotten it"
        if unknown := running - traced.keys():
            self._silent += 1
            silent = f"the management API of {_list(unknown)} does not answer: nobody knows what is seen of its traffic"
            return silent if self._silent >= MOST_SILENCE else None
        self._silent = 0
        return ""

    def arm(self) -> None:
        """Set the mark, then arm every node. The queue must be there already, or somebody would disarm it at once.

        Raises:
            Permanent: it must not be armed; says why.
            Retry: not all nodes could be armed.
        """
        if why := self.refusal():
            raise Permanent(f"the firehose was not armed: {why}")
        before = read_mark(self._broker, self._management)
        running = frozenset(node.name for node in self._management.nodes() if node.running)
        mark = Mark(self._owner, running, before.all_nodes - running if before else frozenset())
        write_mark(self._broker, self._management, mark)
        if missing := running - self._management.set_tracing(True):
            _disarm(self._broker, self._management, mark)
            raise Retry(f"the firehose could not be armed on {_list(missing)}", after=5.0)

    @property
    def is_ours(self) -> bool:
        """Whether the mark is this capture's: nobody has disarmed it meanwhile."""
        mark = read_mark(self._broker, self._management)
        return mark is not None and not mark.is_over and mark.owner == self._owner

    def disarm(self) -> bool:
        """Disarm it, delete the queue, and take the mark away, in this order; False if it was not this capture's."""
        mark = read_mark(self._broker, self._management)
        if mark is None or mark.is_over or mark.owner != self._owner:
            return False
        _disarm(self._broker, self._management, mark)
        return True


def disarm_abandoned(broker: Broker, management: Management) -> str | None:
    """Disarm the firehose if the capture that armed it has died, or has left nodes armed that have come back.

    Returns:
        That capture's name; None if there was nothing to disarm.
    """
    mark = read_mark(broker, management)
    if mark is None:
        return None
    if mark.is_over:
        return mark.owner if _disarm_rest(broker, management, mark) else None
    if management.queue(QUEUE) is not None:
        return None
    _disarm(broker, management, mark)
    return mark.owner


def _disarm(broker: Broker, management: Management, mark: Mark) -> None:
    """Wherever it can be done; what is left stays in the mark."""
    members = frozenset(node.name for node in management.nodes())
    left = (mark.all_nodes or members) & members - management.set_tracing(False)
    management.delete_queue(QUEUE)
    write_mark(broker, management, replace(mark, nodes=frozenset(), left=left, is_over=True) if left else None)


def _disarm_rest(broker: Broker, management: Management, mark: Mark) -> bool:
    """Disarm the nodes that are back; whether any of them was armed."""
    nodes = management.nodes()
    back = {node.name for node in nodes if node.running} & mark.left
    armed = {node for node, on in management.tracing().items() if on} & back if back else set()
    done = management.set_tracing(False, back) if back else set()
    left = mark.left & {node.name for node in nodes} - done
    if left != mark.left:
        write_mark(broker, management, replace(mark, left=left) if left else None)
    return bool(armed & done)


def _out_of_reach(nodes: Sequence[Node], traced: dict[str, bool]) -> str:
    """Which nodes would be left out; empty if none."""
    missing = {node.name for node in nodes if node.running} - traced.keys()
    if not missing:
        return ""
    return (
        f"each node has a firehose of its own, and that of {_list(missing)} can't be reached: name the management API "
        "of every node, and no balancer before them, in `management` or DROVER_RABBIT_MANAGEMENT; those named lead to "
        f"{_list(traced)}"
    )


def _burden(nodes: Sequence[Node]) -> str:
    for node in nodes:
        if node.alarm:
            return f"{node.name} has an alarm: it is out of memory or disk"
        if node.memory_share > MEMORY_SHARE:
            return f"{node.name} uses {node.memory_share:.0%} of its memory watermark; {MEMORY_SHARE:.0%} is the limit"
        if node.disk_limit and node.disk_free < DISK_FACTOR * node.disk_limit and node.running:
            left, limit = node.disk_free // 2**20, node.disk_limit // 2**20
            return f"{node.name} has {left} MiB of disk left; its limit is {limit} MiB"
    return ""


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
