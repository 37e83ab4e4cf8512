"""Queues of Drover's own on a broker: what a firehose shows of them is no part of the traffic."""

from __future__ import annotations

from shared.rabbit import QUEUE

WATCH_QUEUE = "drover.watch"
"""Of the light captures of a watch, beside which any other capture may go on."""
OWN_QUEUES = frozenset({QUEUE, WATCH_QUEUE})
