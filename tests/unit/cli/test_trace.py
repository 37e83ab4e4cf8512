"""`drover trace`: what can't be used is refused in words that say what to do, before anything is captured or read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.engine import Parts
from functions.rpc_trace.trace import Trace
from lab.simulator.clock import SteppedClock
from tests.support.firehose import CallStory
from tests.unit.cli.conftest import Run


@pytest.fixture
def parts(clock: SteppedClock) -> Parts:
    """The real kind; no broker is near."""
    return Parts(kinds=lambda _function: [Trace(clock=clock)], clock=clock)


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing says where a broker or a cloud is."""
    for name in ("DROVER_RABBIT_URL", "DROVER_BROKERS_FILE", "OS_CLIENT_CONFIG_FILE", "OS_CLOUD", "DROVER_CLOUD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_a_start_without_a_broker_says_where_one_is_looked_for(run: Run) -> None:
    """A broker is asked for, not a clouds.yaml: a trace needs none."""
    outcome = run("trace", "start", "--mode", "full")
    assert outcome.code == 2
    assert "DROVER_RABBIT_URL" in outcome.err
    assert "clouds.yaml" not in outcome.err


def test_a_page_needs_a_request(run: Run, tmp_path: Path) -> None:
    """Only one request has a tree."""
    outcome = run("trace", "replay", str(tmp_path / "capture.jsonl"), "--html", str(tmp_path / "page.html"))
    assert outcome.code == 2
    assert "--request-id" in outcome.err


def test_a_replay_shows_what_was_seen(run: Run, tmp_path: Path) -> None:
    """Counts, the method and its verdicts, on stdout."""
    file = tmp_path / "capture.jsonl"
    file.write_text("\n".join(event.line for event in CallStory(1).events))
    outcome = run("trace", "replay", str(file))
    assert outcome.code == 0
    assert "1 call" in outcome.out
    assert "none: every call went well" in outcome.out


def test_a_replay_writes_metrics(run: Run, tmp_path: Path) -> None:
    """For a textfile collector: whole, in Prometheus' text format."""
    file, metrics = tmp_path / "capture.jsonl", tmp_path / "drover.prom"
    file.write_text("\n".join(event.line for event in CallStory(1).events))
    assert run("trace", "replay", str(file), "--prometheus", str(metrics)).code == 0
    lines = metrics.read_text().splitlines()
    assert 'drover_rpc_calls{cloud="",method="ping",service="nova",topic="compute"} 1.0' in lines
    assert 'drover_rpc_coverage_ratio{cloud=""} 1.0' in lines
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".new"] == []


def test_metrics_need_a_directory(run: Run, tmp_path: Path) -> None:
    """Said before anything is captured."""
    outcome = run("trace", "start", "--mode", "full", "--prometheus", str(tmp_path / "no" / "drover.prom"))
    assert outcome.code == 2
    assert "--prometheus" in outcome.err
