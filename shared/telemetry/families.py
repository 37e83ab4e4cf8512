"""Prometheus' metric families as values: an operation keeps them in its memo, and whoever is scraped shows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True)
class Family:
    """One metric with its samples.

    Attributes:
        name: without `_total`, which a counter gets when it is shown.
        labels: names of the labels.
        samples: a value for each combination of the labels' values.
    """

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: tuple[str, ...] = ()
    samples: dict[tuple[str, ...], float] = field(default_factory=dict)

    def dump(self) -> list[Any]:
        """As JSON."""
        samples = [[*values, number] for values, number in self.samples.items()]
        return [self.name, self.kind, self.help, list(self.labels), samples]

    @classmethod
    def load(cls, saved: list[Any]) -> Family:
        """The same again."""
        name, kind, help, labels, samples = saved
        return cls(name, kind, help, tuple(labels), {tuple(row[:-1]): row[-1] for row in samples})

    def metric(self) -> Metric:
        """For prometheus_client."""
        made = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = made(self.name, self.help, labels=self.labels)
        for values, number in self.samples.items():
            family.add_metric(values, number)
        return family


class Families(Collector):
    """Shows whatever families it was given last."""

    def __init__(self, families: Iterable[Family] = ()) -> None:
        self.put(families)

    def put(self, families: Iterable[Family]) -> None:
        """Show these from now on; those of one name become one."""
        found: dict[str, Family] = {}
        for family in families:
            known = found.get(family.name)
            both = family if known is None else replace(known, samples={**known.samples, **family.samples})
            found[family.name] = both
        self._families = list(found.values())

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        for family in self._families:
            yield family.metric()


def exposition(families: Iterable[Family]) -> str:
    """Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats)."""
    registry = CollectorRegistry()
    registry.register(Families(families))
    return generate_latest(registry).decode()
