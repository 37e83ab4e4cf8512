"""Disarming the firehoses of captures that have died: at each tick, whoever armed them, and whatever became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from shared.clock import Clock, SystemClock
from shared.errors import DroverError
from shared.rabbit import Broker, Management, all_brokers, disarm_abandoned

AGAIN_SECONDS = 60.0
"""How long a broker is left alone whose management API did not answer: a tick must not wait for it each time."""

log = structlog.get_logger(__name__)


class FirehoseWatch:
    """Looks at every broker that is configured; one request for each as long as nobody captures.

    Args:
        brokers: reads the configuration; with none there is nothing to do.
    """

    def __init__(self, brokers: Callable[[], Sequence[Broker]] = all_brokers, clock: Clock | None = None) -> None:
        self._read = brokers
        self._brokers: Sequence[Broker] | None = None
        self._clock = clock or SystemClock()
        self._not_before: dict[str, float] = {}

    def __call__(self) -> None:
        """One look at each of them."""
        if self._brokers is None:
            try:
                self._brokers = self._read()
            except DroverError as error:
                log.error("the brokers can't be read; no firehose is watched", error=str(error))
                self._brokers = ()
        for broker in self._brokers:
            if broker.management and self._clock.monotonic() >= self._not_before.get(broker.name, 0.0):
                self._look(broker)

    def _look(self, broker: Broker) -> None:
        try:
            if owner := disarm_abandoned(broker, Management(broker)):
                log.warning("disarmed a firehose that nobody reads", broker=broker.name, capture=owner)
        except DroverError as error:
            self._not_before[broker.name] = self._clock.monotonic() + AGAIN_SECONDS
            log.warning("a broker's firehose can't be watched now", broker=broker.name, error=str(error))
