"""Counters only: no message is read, and nothing is made that would have to be removed."""

from __future__ import annotations

import time
from typing import Any

from functions.rpc_trace.backlog import queues_of_interest
from functions.rpc_trace.consumer import Take
from functions.rpc_trace.ended import Ended
from functions.rpc_trace.events import Mode
from shared.rabbit import Broker, Management

SAMPLE_SECONDS = 5.0
"""Between two samples: RabbitMQ's own counters move every five seconds."""


class QueueCapture:
    """Samples the queues of the vhost; reads no message, and makes nothing that would have to be removed."""

    def __init__(self, broker: Broker) -> None:
        self._management = Management(broker)

    def open(self) -> None:
        """Nothing is to be made."""

    def is_open(self) -> bool:
        """There is nothing that could be gone."""
        return True

    def read(self, take: Take, seconds: float) -> str:
        """Wait; the samples are taken at the end."""
        time.sleep(min(seconds, SAMPLE_SECONDS))
        return ""

    def close(self, take: Take, taken: int) -> Ended:
        """Nothing is to be removed."""
        return Ended(time.time(), 0)

    def connections(self) -> dict[str, str]:
        """No connection is seen in this mode."""
        return {}

    def facts(self) -> dict[str, Any]:
        """The queues that need a look; nothing is known of messages."""
        return {"mode": Mode.METRICS, "coverage": None} | queues_of_interest(self._management)
