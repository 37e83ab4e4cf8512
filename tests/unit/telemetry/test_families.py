"""Metrics that operations tell: kept as JSON in their memos, shown by whoever has the tick."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from shared.operations.measure import MEASURES, measure
from shared.store import Operation, OperationState, create
from shared.telemetry.families import Family, exposition
from shared.telemetry.metrics import Metrics

LABELS = st.tuples(st.text(max_size=20), st.text(max_size=20))
SAMPLES = st.dictionaries(LABELS, st.floats(0, 1e12), max_size=5)


@given(SAMPLES, st.sampled_from(["counter", "gauge"]))
def test_families_survive_json_and_the_text_format(samples: dict[tuple[str, str], float], kind: str) -> None:
    """Whatever the labels hold."""
    family = Family("drover_x", kind, "Of something.", ("one", "two"), dict(samples))  # type: ignore[arg-type]
    assert Family.load(json.loads(json.dumps(family.dump()))) == family
    text = exposition([family]).replace("\r", "")
    found = {
        (sample.labels["one"], sample.labels["two"]): sample.value
        for read in text_string_to_metric_families(text)
        for sample in read.samples
    }
    assert found == {tuple(value.replace("\r", "") for value in key): number for key, number in samples.items()}


def operation(name: str, value: float, *, lives: bool = True) -> Operation:
    """One that tells a number."""
    family = Family("drover_said", "gauge", "A number.", ("cloud",), {(name,): value})
    state = OperationState.RUNNING if lives else OperationState.SUCCEEDED
    return Operation(
        id=name, kind="x", cloud=name, target="t", active_key=name if lives else None, reason="r", requester="q",
        state=state, created_at=datetime.now(UTC), memo={MEASURES: {"all": [family.dump()]}},
    )  # fmt: skip


def test_living_operations_are_shown(tmp_path: Path) -> None:
    """Those of several become one family; one that has ended, or tells nothing, is not in it."""
    database, metrics = create(f"sqlite:///{tmp_path / 'store.db'}"), Metrics()
    silent = operation("silent", 0.0)
    silent.memo = {}
    with database.transaction() as session:
        session.add_all([operation("a", 1.0), operation("b", 2.0), operation("c", 3.0, lives=False), silent])
    measure(database, metrics)
    lines = generate_latest(metrics.registry).decode().splitlines()
    assert [line for line in lines if line.startswith("drover_said")] == [
        'drover_said{cloud="a"} 1.0', 'drover_said{cloud="b"} 2.0'
    ]  # fmt: skip
    database.close()
