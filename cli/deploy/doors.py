"""Doors: whether deliveries would be let in, and nobody else."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from cli.deploy.environment import Function
from cli.deploy.manifests import EVENTING, SOURCES, Manifests, at
from cli.deploy.report import Problem
from cli.deploy.routes import Functions, sender_of
from shared.access import tick
from shared.door import STANDS_FOR

TICK = tick.EXTENSION
SIGNATURE, TICK_KEY, ISSUER = "DROVER_DOOR_SECRET", "DROVER_DOOR_TICK", "DROVER_BROKER_ISSUER"
AUDIENCE, SENDERS = "DROVER_BROKER_AUDIENCE", "DROVER_BROKER_SENDERS"


def check(manifests: Manifests, by_service: Functions) -> Iterator[Problem]:
    """What would be refused, and what would stand open."""
    if not any(manifests.of(EVENTING, "Trigger")):
        return
    for function in by_service.values():
        yield from _some_door(function)
        if ISSUER in function.variables:
            yield from _tokens(function, manifests)
    if any(ISSUER not in each.variables and SIGNATURE in each.variables for each in by_service.values()):
        yield from _tick_key(manifests, by_service)


def needs(manifests: Manifests) -> Iterator[str]:
    """What of Knative Eventing has to be switched on."""
    audiences = any(each.at("spec", "subscriber", "audience") for each in manifests.of(EVENTING, "Trigger"))
    if audiences or any(manifests.of(EVENTING, "EventPolicy")):
        yield "in config-features of knative-eventing authentication-oidc: enabled"


def _some_door(function: Function) -> Iterator[Problem]:
    if SIGNATURE in function.variables:
        return
    tokens = {ISSUER, AUDIENCE, SENDERS}
    missing = sorted(tokens - function.variables.keys())
    if len(missing) == len(tokens):
        yield function.service.problem(
            "", "no door that deliveries could come through", f"{SIGNATURE}, or {', '.join(sorted(tokens))}",
            "every event would be refused with 401: add the component shared-secret or oidc",
        )  # fmt: skip
    elif missing:
        yield function.service.problem(
            "", f"some of {', '.join(sorted(tokens))}, but not {', '.join(missing)}", "all three of them",
            "set what is missing: no token would be accepted",
        )  # fmt: skip


def _tokens(function: Function, manifests: Manifests) -> Iterator[Problem]:
    """Each Trigger says the audience that its subscriber expects, and is one of the senders that it knows."""
    service, audience = function.service, function.variables.get(AUDIENCE, "")
    senders = {each.strip() for each in function.variables.get(SENDERS, "").split(",") if each.strip()}
    unseen = SENDERS not in function.seen
    for trigger in manifests.of(EVENTING, "Trigger"):
        delivered = trigger.at("spec", "subscriber", "ref", "name") == service.name
        found = trigger.at("spec", "subscriber", "audience")
        if delivered and found != audience and SIGNATURE not in function.variables:
            yield trigger.problem("spec.subscriber.audience", found, f"{audience}, which {service.name} expects",
                                  "set it: its deliveries would be refused with 401")  # fmt: skip
        if (delivered or _dead_letters_to(trigger.body, manifests, service.name)) and not unseen:
            sender = sender_of(trigger)
            if sender not in senders:
                yield service.problem(f"env {SENDERS}", f"it without {sender}", "the service account of each Trigger",
                                      f"add it: what Trigger {trigger.name} delivers would be refused")  # fmt: skip
    for broker in manifests.of(EVENTING, "Broker"):
        sink = broker.at("spec", "delivery", "deadLetterSink") or {}
        if (sink.get("ref") or {}).get("name") == service.name and sink.get("audience") != audience:
            yield broker.problem("spec.delivery.deadLetterSink.audience", sink.get("audience"), audience,
                                 "set it: dead letters would be refused")  # fmt: skip
    yield from _strangers(function, senders, manifests)


def _strangers(function: Function, senders: set[str], manifests: Manifests) -> Iterator[Problem]:
    known = {sender_of(trigger) for trigger in manifests.of(EVENTING, "Trigger")}
    namespace = f"system:serviceaccount:{function.service.at('metadata', 'namespace') or 'default'}:"
    for sender in sorted(senders - known):
        if sender.startswith(namespace) and sender.endswith("eventing.knative.dev-trigger"):
            yield function.service.problem(f"env {SENDERS}", sender, "service accounts of Triggers that are there",
                                           "take it out: nobody should be let in who does not exist")  # fmt: skip


def _dead_letters_to(body: object, manifests: Manifests, name: str) -> bool:
    broker = manifests.find(EVENTING, "Broker", str(at(body, "spec", "broker")))
    delivery = at(body, "spec", "delivery")
    if delivery is None and broker is not None:
        delivery = broker.at("spec", "delivery")
    return bool(at(delivery, "deadLetterSink", "ref", "name") == name)


def _tick_key(manifests: Manifests, by_service: Functions) -> Iterator[Problem]:
    """PingSources can't sign: without the key their events would be refused."""
    for function in by_service.values():
        if TICK_KEY not in function.variables and ISSUER not in function.variables:
            yield function.service.problem(f"env {TICK_KEY}", "none", "the tick key",
                                           "set it: no tick would be let in, and no operation would go on")  # fmt: skip
    keys = {
        base64.b64encode(each.variables[TICK_KEY].encode()).decode()
        for each in by_service.values()
        if TICK_KEY in each.seen
    }
    for ping in manifests.of(SOURCES, "PingSource"):
        found = ping.at("spec", "ceOverrides", "extensions", TICK)
        if not ping.at("spec", "ceOverrides", "extensions", STANDS_FOR):
            continue
        if not found:
            yield ping.problem(f"spec.ceOverrides.extensions.{TICK}", "none", "the tick key in base64",
                               "add it (component shared-secret): its events would be refused")  # fmt: skip
        elif keys and found not in keys:
            yield ping.problem(f"spec.ceOverrides.extensions.{TICK}", "another key",
                               f"the base64 of {TICK_KEY} as the functions have it", "copy it")  # fmt: skip
