"""What is counted and how it is named."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY, generate_latest

from shared.telemetry import scraping
from shared.telemetry.metrics import LABEL_LIMIT, Metrics


def _text(metrics: Metrics) -> list[str]:
    return generate_latest(metrics.registry).decode().splitlines()


def test_events() -> None:
    """Events are counted by type and by what became of them."""
    metrics = Metrics()
    metrics.event_received("io.drover.tick", "accepted")
    metrics.event_received("io.drover.tick", "accepted")
    metrics.event_received("io.drover.tick", "duplicate")
    lines = _text(metrics)
    assert 'drover_events_received_total{result="accepted",type="io.drover.tick"} 2.0' in lines
    assert 'drover_events_received_total{result="duplicate",type="io.drover.tick"} 1.0' in lines


def test_refusals() -> None:
    """Requests that were turned away are counted by the door's means and the reason."""
    metrics = Metrics()
    metrics.refused("keystone", "role")
    assert 'drover_refused_total{door="keystone",reason="role"} 1.0' in _text(metrics)


@pytest.mark.parametrize(("token", "address"), [(None, "127.0.0.1"), ("0123456789abcdef", "0.0.0.0")])
def test_only_a_token_opens_the_port_to_others(
    monkeypatch: pytest.MonkeyPatch, token: str | None, address: str
) -> None:
    """Without one the metrics are for this machine alone."""
    asked: list[str] = []

    def refuse(host: str, *_: object) -> None:
        asked.append(host)
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(scraping, "make_server", refuse)
    with pytest.raises(scraping.MetricsError, match="Permission denied"):
        scraping.serve_metrics(Metrics(), 9464, token)
    assert asked == [address]


def test_slices() -> None:
    """The duration of slices is a histogram in seconds that tells which ones come near the minute."""
    metrics = Metrics()
    for seconds in (0.2, 24.0, 61.0):
        metrics.slice_ended("drain", seconds)
    lines = _text(metrics)
    assert 'drover_slice_seconds_bucket{kind="drain",le="0.25"} 1.0' in lines
    assert 'drover_slice_seconds_bucket{kind="drain",le="60.0"} 2.0' in lines
    assert 'drover_slice_seconds_count{kind="drain"} 3.0' in lines
    assert 'drover_slice_seconds_sum{kind="drain"} 85.2' in lines


def test_states_that_ended_disappear() -> None:
    """The number of operations is told anew each time, so that no old state is left standing."""
    metrics = Metrics()
    metrics.operations({("drain", "running"): 2, ("drain", "halted"): 1})
    metrics.operations({("drain", "running"): 1})
    metrics.outbox_waiting(4)
    lines = _text(metrics)
    assert 'drover_operations{kind="drain",state="running"} 1.0' in lines
    assert not [line for line in lines if "halted" in line]
    assert "drover_outbox_waiting 4.0" in lines


def test_strangers_can_not_fill_the_memory() -> None:
    """Event types that a stranger invents are counted together once there are too many of them."""
    metrics = Metrics()
    for number in range(LABEL_LIMIT + 10):
        metrics.event_received(f"invented.{number}", "rejected")
    metrics.event_received("invented.3", "rejected")
    lines = _text(metrics)
    assert 'drover_events_received_total{result="rejected",type="other"} 10.0' in lines
    assert 'drover_events_received_total{result="rejected",type="invented.3"} 2.0' in lines
    assert len([line for line in lines if line.startswith("drover_events_received_total")]) == LABEL_LIMIT + 1


def test_registries_are_separate() -> None:
    """Two sets of metrics don't know each other, and the process-wide registry knows neither."""
    first, second = Metrics(), Metrics()
    first.outbox_waiting(1)
    assert "drover_outbox_waiting 0.0" in _text(second)
    assert "drover" not in generate_latest(REGISTRY).decode()
