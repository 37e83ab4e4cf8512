"""The firehose of a vhost: armed for one capture at a time, and disarmed in every case.

RabbitMQ keeps no record of who armed it, and no time limit. So before it is armed, a *mark* (a global parameter, which
the cluster keeps) says that it is Drover's, and the capture's queue says that somebody is at work: nobody reads it for
`QUEUE_SECONDS`, and RabbitMQ deletes it by its own clock. A mark without a queue is a capture that died: whoever looks
next disarms the firehose. No clock but RabbitMQ's is asked, so that wrong ones do no harm.
"""

from __future__ import annotations

from typing import Any

from shared.errors import Permanent
from shared.rabbit.broker import Broker
from shared.rabbit.management import Management

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


class Firehose:
    """One vhost's firehose, for one capture.

    Args:
        owner: the capture's name, which goes into the mark.
    """

    def __init__(self, broker: Broker, management: Management, owner: str) -> None:
        self._broker = broker
        self._management = management
        self._owner = owner

    def refusal(self) -> str:
        """Why it must not be armed now; empty if it may."""
        mark = self._management.parameter(mark_name(self._broker))
        if mark is not None and mark != self._owner:
            return f"capture {mark} has the firehose of {self._broker.vhost!r}: wait until it has ended"
        if mark is None and any(self._management.is_traced()):
            return (
                f"the firehose of {self._broker.vhost!r} is armed already, not by Drover: whoever did it ends it with "
                f"rabbitmqctl trace_off -p {self._broker.vhost}"
            )
        if mark is None and any(source != EXCHANGE for source in self._management.sources(QUEUE)):
            return f"another capture, a light one, reads {QUEUE}: wait until it has ended"
        return self.burden()

    def burden(self) -> str:
        """What the broker is short of; empty if it is well."""
        for node in self._management.nodes():
            if node.alarm:
                return f"{node.name} has an alarm: it is out of memory or disk"
            if node.memory_share > MEMORY_SHARE:
                return (
                    f"{node.name} uses {node.memory_share:.0%} of its memory watermark; {MEMORY_SHARE:.0%} is the limit"
                )
            if node.disk_limit and node.disk_free < DISK_FACTOR * node.disk_limit:
                left, limit = node.disk_free // 2**20, node.disk_limit // 2**20
                return f"{node.name} has {left} MiB of disk left; its limit is {limit} MiB"
        return ""

    def arm(self) -> None:
        """Set the mark, then arm. The queue must be there already, or somebody would disarm it at once.

        Raises:
            Permanent: it must not be armed; says why.
        """
        if why := self.refusal():
            raise Permanent(f"the firehose was not armed: {why}")
        self._management.set_parameter(mark_name(self._broker), self._owner)
        self._management.set_tracing(True)

    @property
    def is_ours(self) -> bool:
        """Whether the mark is this capture's: nobody has disarmed it meanwhile."""
        return bool(self._management.parameter(mark_name(self._broker)) == self._owner)

    def disarm(self) -> bool:
        """Disarm it, delete the queue, and take the mark away, in this order; False if it was not this capture's."""
        if not self.is_ours:
            return False
        _disarm(self._broker, self._management)
        return True


def disarm_abandoned(broker: Broker, management: Management) -> str | None:
    """Disarm the firehose if the capture that armed it has died; returns that capture's name, None if there is none."""
    mark = management.parameter(mark_name(broker))
    if mark is None or management.queue(QUEUE) is not None:
        return None
    _disarm(broker, management)
    return str(mark)


def _disarm(broker: Broker, management: Management) -> None:
    management.set_tracing(False)
    management.delete_queue(QUEUE)
    management.set_parameter(mark_name(broker), None)


def mark_name(broker: Broker) -> str:
    """Name of the global parameter that holds the mark of a vhost."""
    return f"drover-firehose:{broker.vhost}"
