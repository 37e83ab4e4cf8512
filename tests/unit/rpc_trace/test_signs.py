"""Signs of timeouts in a light capture."""

from __future__ import annotations

from typing import Any

import pytest

from functions.rpc_trace.signs import LONG_QUEUE, signs
from functions.rpc_trace.statistics import Statistics
from tests.support.firehose import BEGIN, CallStory, analysed, cast


def queue(name: str, messages: int = 0, consumers: int = 1) -> dict[str, Any]:
    """As the management API has it."""
    return {"name": name, "messages_ready": messages, "consumers": consumers}


@pytest.fixture
def statistics() -> Statistics:
    """Of a call to cmp01, and a cast to cmp02, seen when they were published."""
    return analysed([CallStory(1).request, cast(2, key="compute.cmp02")[0]], BEGIN + 10).statistics


def test_a_healthy_cloud_shows_none(statistics: Statistics) -> None:
    """Queues that are there and are read; others may be as they like."""
    queues = [queue("compute"), queue("compute.cmp01", 1), queue("notifications.info", 9_999, 0)]
    assert signs(statistics, queues, 0) == []


@pytest.mark.parametrize(
    ("queues", "timeouts", "text"),
    [
        ([queue("compute")], 0, "1 calls went to compute.cmp01, and there is no such queue"),
        ([queue("compute.cmp01")], 0, "1 calls went to compute, and there is no such queue"),
        ([queue("compute"), queue("compute.cmp01", 3, 0)], 0, "3 messages wait in compute.cmp01, and nobody takes"),
        ([queue("compute"), queue("compute.cmp01", LONG_QUEUE + 1)], 0, "although 1 consumers take from it"),
        ([queue("compute"), queue("compute.cmp01")], 2, "2 messages speak of a MessagingTimeout"),
    ],
)
def test_each_sign(statistics: Statistics, queues: list[dict[str, Any]], timeouts: int, text: str) -> None:
    """One at a time, in the words of an operator."""
    (found,) = signs(statistics, queues, timeouts)
    assert text in found
