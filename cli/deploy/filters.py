"""What a Trigger lets through: the event types that its filter names, one by one."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cli.deploy.manifests import EVENTING, Manifest, Manifests
from cli.deploy.report import Problem
from shared.door import PING, STANDS_FOR

CLASS = "eventing.knative.dev/broker.class"
RABBITMQ = "RabbitMQBroker"
"""Knows `filter.attributes` and nothing else (eventing-rabbitmq)."""


@dataclass(frozen=True, slots=True)
class Route:
    """One event type that a Trigger lets through."""

    event_type: str
    """As Drover sees it: of a PingSource's event, what it stands for."""
    by_schedule: bool
    """Whether a PingSource sends it."""
    field: str
    """Where the Trigger says so."""


def routes(trigger: Manifest, manifests: Manifests) -> Generator[Problem, None, Sequence[Route]]:
    """The types; a filter that lets more through than can be named is a problem."""
    given = trigger.at("spec", "filters")
    if not given:
        attributes = trigger.at("spec", "filter", "attributes")
        return (yield from _named(trigger, {"spec.filter.attributes": attributes or {}}))
    broker = manifests.find(EVENTING, "Broker", str(trigger.at("spec", "broker")))
    if broker is not None and (broker.at("metadata", "annotations") or {}).get(CLASS) == RABBITMQ:
        yield trigger.problem("spec.filters", "filters", "filter.attributes alone, since the Broker is RabbitMQ's",
                              "make a Trigger for each type")  # fmt: skip
    exact = _exact(given)
    if exact is None:
        yield trigger.problem("spec.filters", "something else", "one `exact`, or one `any` of several",
                              "it can't be told whether it lets through what its subscriber takes")  # fmt: skip
        return ()
    return (yield from _named(trigger, exact))


def _exact(given: Any) -> Mapping[str, Mapping[str, Any]] | None:
    """The exact filters, by where they stand; None when there are others."""
    [first, *more] = given if isinstance(given, list) else [given]
    if more or not isinstance(first, Mapping):
        return None
    if set(first) == {"exact"}:
        return {"spec.filters.0.exact": first["exact"]}
    if set(first) != {"any"} or not all(set(each) == {"exact"} for each in first["any"]):
        return None
    return {f"spec.filters.0.any.{place}.exact": each["exact"] for place, each in enumerate(first["any"])}


def _named(trigger: Manifest, filters: Mapping[str, Mapping[str, Any]]) -> Generator[Problem, None, Sequence[Route]]:
    found = []
    for field, attributes in filters.items():
        event_type = str(attributes.get("type") or "")
        by_schedule = event_type == PING or (not event_type and STANDS_FOR in attributes)
        if by_schedule:
            event_type = str(attributes.get(STANDS_FOR) or "")
        if event_type:
            found.append(Route(event_type, by_schedule, field))
        else:
            yield trigger.problem(field, dict(attributes) or None, "one event type",
                                  "it would let every event through")  # fmt: skip
    return found
