"""Brokers, Triggers and PingSources: whether every event gets where it is meant to go."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from typing import Any

from cli.deploy import catalogue, filters
from cli.deploy.environment import Function
from cli.deploy.filters import Route
from cli.deploy.manifests import EVENTING, SERVING, SOURCES, Manifest, Manifests
from cli.deploy.report import Problem
from shared.access.caller import TIME_EVENTS
from shared.door import STANDS_FOR
from shared.events import Tick

SURVIVES = 3600
"""Seconds that a store may be away before requests become dead letters."""
SLOWEST_TICK = 60
"""Seconds between two ticks; a lost event costs as much."""
BY_SCHEDULE = " by a PingSource"
"""Behind a type: it comes by schedule, which a Trigger for the type alone does not let through."""
LONGEST_NAME = 63
"""Characters of a name in Kubernetes (RFC 1123 label)."""

Functions = Mapping[str, Function]
"""By the name of the Knative Service."""


def check(manifests: Manifests, by_service: Functions) -> Iterator[Problem]:
    """What would not be delivered."""
    taken: set[tuple[str, str]] = set()
    for trigger in manifests.of(EVENTING, "Trigger"):
        routes = yield from filters.routes(trigger, manifests)
        yield from _delivery(trigger, routes, manifests)
        function = yield from _subscriber(trigger, manifests, by_service)
        for route in routes:
            yield from _route(trigger, route, function, manifests)
            kept = f"{route.event_type}{BY_SCHEDULE if route.by_schedule else ''}"
            taken |= {(name, kept) for name in (function.names if function else ())}
    yield from _missing(manifests, by_service.values(), taken)
    for ping in manifests.of(SOURCES, "PingSource"):
        yield from _ping(ping, manifests)


def sender_of(trigger: Manifest) -> str:
    """The service account that Knative makes for a Trigger, as a token's subject.

    Source: knative/eventing pkg/auth/serviceaccount.go, knative/pkg kmeta/names.go.
    """
    suffix = "-oidc-eventing.knative.dev-Trigger"
    name = trigger.name + suffix
    if len(name) > LONGEST_NAME:
        digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
        head = trigger.name[: LONGEST_NAME - len(digest)] + digest
        name = re.sub(r"[^A-Za-z0-9]+$", "", head + suffix[: LONGEST_NAME - len(head)])
    return f"system:serviceaccount:{trigger.at('metadata', 'namespace') or 'default'}:{name.lower()}"


def _delivery(trigger: Manifest, routes: Sequence[Route], manifests: Manifests) -> Iterator[Problem]:
    broker = manifests.find(EVENTING, "Broker", str(trigger.at("spec", "broker")))
    if broker is None:
        yield trigger.problem(
            "spec.broker", trigger.at("spec", "broker"), "a Broker that is among the objects", "mend it"
        )
        return
    own = trigger.at("spec", "delivery")
    delivery = own if own is not None else broker.at("spec", "delivery") or {}
    if routes and all(route.event_type.endswith(catalogue.HINTS) for route in routes):
        return  # the next one makes a lost one good
    if not delivery.get("deadLetterSink"):
        yield trigger.problem("spec.delivery.deadLetterSink", "none, here or at the Broker", "the Service keeper",
                              "events that can't be delivered would be gone")  # fmt: skip
    seconds = _span(delivery)
    if seconds < SURVIVES:
        yield trigger.problem(
            "spec.delivery.retry", f"tries for {seconds:.0f} s", f"tries for at least {SURVIVES} s",
            "a store away for longer makes dead letters: retry 12, backoffPolicy exponential, backoffDelay PT1S",
        )  # fmt: skip


def _span(delivery: Mapping[str, Any]) -> float:
    """Seconds from the first try to the last (Knative: delay * 2^n, or delay * n)."""
    retry, delay = int(delivery.get("retry") or 0), _seconds(str(delivery.get("backoffDelay") or "PT0.2S"))
    if delivery.get("backoffPolicy") == "linear":
        return delay * retry * (retry - 1) / 2
    return float(delay * (2**retry - 1))


def _seconds(duration: str) -> float:
    """An ISO 8601 duration of hours, minutes and seconds; 0 for what is none."""
    found = re.fullmatch(r"PT(?:([\d.]+)H)?(?:([\d.]+)M)?(?:([\d.]+)S)?", duration)
    if found is None:
        return 0.0
    return sum(float(part or 0) * factor for part, factor in zip(found.groups(), (3600, 60, 1), strict=True))


def _subscriber(
    trigger: Manifest, manifests: Manifests, by_service: Functions
) -> Generator[Problem, None, Function | None]:
    """The function that gets it."""
    for field in ("subscriber", "delivery.deadLetterSink"):
        uri = str(trigger.at("spec", *field.split("."), "uri") or "")
        path = re.sub(r"^[a-z]+://[^/]*", "", uri)
        if path.strip("/"):
            yield trigger.problem(f"spec.{field}.uri", uri, "no path behind the address",
                                  "the runtime answers at / alone, everything else is 404")  # fmt: skip
    name = str(trigger.at("spec", "subscriber", "ref", "name") or "")
    if name and manifests.find(SERVING, "Service", name) is None:
        yield trigger.problem(
            "spec.subscriber.ref.name", name, "a Knative Service that is among the objects", "mend it"
        )
    return by_service.get(name)


def _route(trigger: Manifest, route: Route, function: Function | None, manifests: Manifests) -> Iterator[Problem]:
    """Whether one type has somebody who sends it and somebody who takes it."""
    pings = (each.at("spec", "ceOverrides", "extensions", STANDS_FOR)
             for each in manifests.of(SOURCES, "PingSource"))  # fmt: skip
    if route.by_schedule and route.event_type not in pings:
        yield trigger.problem(
            f"{route.field}.{STANDS_FOR}", route.event_type, "what a PingSource among the objects sends",
            "mend it, or add the PingSource",
        )  # fmt: skip
    if function and not any(route.event_type in catalogue.taken(name) for name in function.names):
        yield trigger.problem(
            f"{route.field}.type", route.event_type, f"a type that {' or '.join(function.names)} takes",
            "mend the type or the subscriber (docs/events.md), or take the Trigger out",
        )  # fmt: skip


def _missing(manifests: Manifests, served: Collection[Function], taken: set[tuple[str, str]]) -> Iterator[Problem]:
    if not any(manifests.of(EVENTING, "Broker")):
        return  # without events: somebody calls the functions by HTTP
    seen = {event_type for _, event_type in taken}
    ticking = {catalogue.KEEPER} if any(catalogue.KEEPER in each.names for each in served) else None
    for function in served:
        for name in function.names:
            own = set(catalogue.requests()[name] | catalogue.continuations()[name])
            if ticking is None or name in ticking:
                own.add(Tick.event_type + BY_SCHEDULE)
            for event_type in sorted(own - {each for owner, each in taken if owner == name}):
                yield function.service.problem("", f"no Trigger for {event_type}", f"one, since {name} takes it",
                                               "add it: such events would be gone")  # fmt: skip
    for event_type in sorted(catalogue.CONTROL - seen):
        todo = "add it: such events would be gone"
        yield manifests.problem(f"no Trigger for {event_type}", "one to any function", todo)


def _ping(ping: Manifest, manifests: Manifests) -> Iterator[Problem]:
    stands_for = ping.at("spec", "ceOverrides", "extensions", STANDS_FOR)
    if stands_for not in TIME_EVENTS:
        yield ping.problem(
            f"spec.ceOverrides.extensions.{STANDS_FOR}", stands_for,
            f"one of {', '.join(sorted(TIME_EVENTS))}", "nothing else may come by schedule",
        )  # fmt: skip
    sink = str(ping.at("spec", "sink", "ref", "name"))
    if ping.at("spec", "sink", "ref", "kind") == "Broker" and manifests.find(EVENTING, "Broker", sink) is None:
        yield ping.problem("spec.sink.ref.name", sink, "a Broker that is among the objects", "mend it")
    schedule = str(ping.at("spec", "schedule") or "")
    if stands_for == Tick.event_type and not _often(schedule):
        yield ping.problem("spec.schedule", repr(schedule), f"one that ticks every {SLOWEST_TICK} s or more often",
                           "operations would stand still between the ticks: */10 * * * * *")  # fmt: skip


def _often(schedule: str) -> bool:
    """Whether it fires in every minute (robfig/cron: five fields, or six with the seconds in front)."""
    if every := re.fullmatch(r"@every (?:(\d+)m)?(?:(\d+)s)?", schedule):
        return 0 < int(every[1] or 0) * 60 + int(every[2] or 0) <= SLOWEST_TICK
    fields = schedule.split()
    return len(fields) in (5, 6) and all(field in ("*", "*/1") for field in fields[-5:])
