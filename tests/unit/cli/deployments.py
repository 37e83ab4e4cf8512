"""Deployments to be broken: the rendered sites, and the mistakes that a person may make in them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import shared
from cli.deploy.checks import examine
from cli.deploy.manifests import Manifest, Manifests, read
from cli.deploy.report import Report

RENDERED = Path(shared.__file__ or "").parents[1] / "tests/manifests/rendered"
SITES = sorted(path.stem for path in RENDERED.glob("*.yaml"))

Body = dict[str, Any]
Change = Callable[["Site"], object]


class Site:
    """The objects of one deployment, to be changed."""

    def __init__(self, name: str) -> None:
        self.name = f"{name}.yaml"
        self.bodies: list[Body] = [dict(copy.deepcopy(each.body)) for each in read_site(name)]

    def get(self, kind: str, name: str) -> Body:
        """One object; a ConfigMap or Secret without the hash of its name."""
        return next(each for each in self.bodies if each["kind"] == kind and _is(each["metadata"]["name"], name))

    def container(self, name: str = "migrate") -> Body:
        """The container of a Service."""
        found: Body = self.pod(name)["containers"][0]
        return found

    def pod(self, name: str = "migrate") -> Body:
        """The pod of a Service."""
        found: Body = self.get("Service", name)["spec"]["template"]["spec"]
        return found

    def annotations(self, name: str = "migrate") -> Body:
        """The annotations of a Service's pods."""
        found: Body = self.get("Service", name)["spec"]["template"]["metadata"]["annotations"]
        return found

    def env(self, variable: str, **entry: Any) -> None:
        """Give a variable of both Services another value, or take it out."""
        for name in ("migrate", "keeper"):
            rest = [each for each in self.container(name)["env"] if each["name"] != variable]
            self.container(name)["env"] = [*rest, {"name": variable, **entry}] if entry else rest

    def drop(self, kind: str, name: str) -> None:
        """Take an object out."""
        self.bodies.remove(self.get(kind, name))

    def examine(self) -> Report:
        """What the check says now."""
        return examine(Manifests(self.name, [Manifest(each, self.name) for each in self.bodies]))


_cache: dict[str, Manifests] = {}


def read_site(name: str) -> list[Manifest]:
    """The objects of a site as it was rendered."""
    if name not in _cache:
        _cache[name] = read(str(RENDERED / f"{name}.yaml"))
    return list(_cache[name].all)


def _is(full: str, name: str) -> bool:
    return full == name or (full.startswith(f"{name}-") and len(full) == len(name) + 11)


PLANTED: dict[str, tuple[str, Change, str, str]] = {
    "an unknown field, which the API server would drop": (
        "postgres-shared-secret", lambda site: site.get("Trigger", "migrate")["spec"].update(retries=3),
        "Trigger migrate, spec.retries", "a field that the CRD does not have",
    ),
    "a wrong type in a CRD's field": (
        "postgres-shared-secret", lambda site: site.pod().update(timeoutSeconds="long"),
        "Service migrate, spec.template.spec.timeoutSeconds", "long",
    ),
    "a version that the CRD does not have": (
        "postgres-shared-secret",
        lambda site: site.get("PingSource", "tick").update(apiVersion="sources.knative.dev/v7"),
        "PingSource tick, apiVersion", "found v7",
    ),
    "an unknown field in one of Kubernetes' own kinds": (
        "postgres-shared-secret", lambda site: site.get("NetworkPolicy", "dns-out")["spec"].update(ports=[]),
        "NetworkPolicy dns-out, spec", "'ports' was unexpected",
    ),
    "a setting that does not exist": (
        "postgres-shared-secret",
        lambda site: site.get("ConfigMap", "drover-settings")["data"].update(DROVER_SLICE_SECOND="20"),
        "env DROVER_SLICE_SECOND", "did you mean DROVER_SLICE_SECONDS?",
    ),
    "a setting that Drover refuses": (
        "postgres-shared-secret",
        lambda site: site.get("ConfigMap", "drover-settings")["data"].update(DROVER_SLICE_SECONDS="90"),
        "env DROVER_SLICE_SECONDS", "found '90', expected less than or equal to 55",
    ),
    "a key that is too short": (
        "postgres-shared-secret", lambda site: site.get("Secret", "drover-door")["data"].update(secret="YQ=="),
        "env DROVER_DOOR_SECRET", "expected",
    ),
    "a Secret that nobody makes": (
        "postgres-shared-secret",
        lambda site: site.get("Namespace", "drover")["metadata"]["annotations"].update(
            {"drover.io/external-secrets": "drover-clouds"}),
        "env DROVER_DATABASE_URL", "Secret 'drover-database', which is not among the objects",
    ),
    "a Secret without the key": (
        "postgres-shared-secret",
        lambda site: site.env("DROVER_DOOR_SECRET", valueFrom={"secretKeyRef": {
            "name": site.get("Secret", "drover-door")["metadata"]["name"], "key": "seceret"}}),
        "env DROVER_DOOR_SECRET", "without the key 'seceret'",
    ),
    "a ConfigMap that is not there": (
        "postgres-shared-secret", lambda site: site.drop("ConfigMap", "drover-settings"),
        "Service migrate, envFrom", "ConfigMap 'drover-settings",
    ),
    "a claim that is not there": (
        "sqlite-shared-secret", lambda site: site.drop("PersistentVolumeClaim", "drover-store"),
        "Service migrate, volume store", "PersistentVolumeClaim 'drover-store'",
    ),
    "a service account that is not there": (
        "postgres-shared-secret", lambda site: site.drop("ServiceAccount", "keeper"),
        "Service keeper, serviceAccountName", "ServiceAccount 'keeper'",
    ),
    "a function that there is not": (
        "postgres-shared-secret",
        lambda site: site.container()["env"].__setitem__(0, {"name": "FUNCTION", "value": "migrat"}),
        "Service migrate, env FUNCTION", "found 'migrat', expected one of keeper, migrate",
    ),
    "a Trigger whose type no function takes": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "migrate-drain-requested")["spec"]["filter"]["attributes"].update(
            type="io.drover.drain.request"),
        "Trigger migrate-drain-requested, spec.filter.attributes.type", "io.drover.drain.request",
    ),
    "a Trigger that sends a type to the wrong function": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "migrate-drain-requested")["spec"]["subscriber"]["ref"].update(name="keeper"),
        "Trigger migrate-drain-requested, spec.filter.attributes.type", "expected a type that keeper takes",
    ),
    "a type without a Trigger": (
        "rabbitmq-broker-shared-secret", lambda site: site.drop("Trigger", "migrate-undrain-requested"),
        "Service migrate", "no Trigger for io.drover.undrain.requested",
    ),
    "a control request without a Trigger": (
        "rabbitmq-broker-shared-secret", lambda site: site.drop("Trigger", "migrate-pause-requested"),
        "rabbitmq-broker-shared-secret.yaml", "no Trigger for io.drover.operation.pause.requested",
    ),
    "a keeper without a tick": (
        "rabbitmq-broker-shared-secret", lambda site: site.drop("Trigger", "keeper-tick"),
        "Service keeper", "no Trigger for io.drover.tick by a PingSource",
    ),
    "a function that nobody wakes": (
        "rabbitmq-broker-shared-secret", lambda site: site.drop("Trigger", "migrate-drain-due"),
        "Service migrate", "no Trigger for io.drover.drain.due",
    ),
    "no keeper and no tick": (
        "postgres-shared-secret",
        lambda site: site.drop("Service", "keeper"),
        "Service migrate", "no Trigger for io.drover.tick by a PingSource",
    ),
    "a Trigger for everything": (
        "rabbitmq-broker-shared-secret", lambda site: site.get("Trigger", "migrate-drain-due")["spec"].pop("filter"),
        "Trigger migrate-drain-due, spec.filter.attributes", "it would let every event through",
    ),
    "filters that a RabbitMQ broker does not know": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "migrate-drain-due")["spec"].update(filters=[{"prefix": {"type": "io."}}]),
        "Trigger migrate-drain-due, spec.filters", "expected filter.attributes alone, since the Broker is RabbitMQ's",
    ),
    "a filter whose type no function takes": (
        "postgres-shared-secret",
        lambda site: site.get("Trigger", "migrate")["spec"]["filters"][0]["any"][1]["exact"].update(type="io.drover.x"),
        "Trigger migrate, spec.filters.0.any.1.exact.type", "io.drover.x",
    ),
    "a filter that lacks a type": (
        "postgres-shared-secret", lambda site: site.get("Trigger", "migrate")["spec"]["filters"][0]["any"].pop(0),
        "Service migrate", "no Trigger for io.drover.drain.requested",
    ),
    "a filter for everything": (
        "postgres-shared-secret",
        lambda site: site.get("Trigger", "migrate")["spec"]["filters"][0]["any"].append({"exact": {"source": "/a"}}),
        "Trigger migrate, spec.filters.0.any.15.exact", "it would let every event through",
    ),
    "a filter that names no types": (
        "postgres-shared-secret",
        lambda site: site.get("Trigger", "migrate")["spec"].update(filters=[{"prefix": {"type": "io.drover."}}]),
        "Trigger migrate, spec.filters", "expected one `exact`, or one `any` of several",
    ),
    "a filter for a PingSource that is not there": (
        "postgres-shared-secret", lambda site: site.drop("PingSource", "cleanup"),
        "Trigger keeper, spec.filters.0.any.2.exact.drovertype", "what a PingSource among the objects sends",
    ),
    "requests among hints": (
        "postgres-shared-secret",
        lambda site: site.get("Trigger", "migrate-hints")["spec"]["filters"][0]["any"].append(
            {"exact": {"type": "io.drover.drain.requested"}}),
        "Trigger migrate-hints, spec.delivery.retry", "found tries for 0 s",
    ),
    "a Trigger of another Broker": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "migrate-drain-due")["spec"].update(broker="default"),
        "Trigger migrate-drain-due, spec.broker", "found default",
    ),
    "a subscriber's path": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "migrate-drain-due")["spec"]["subscriber"].update(uri="/events"),
        "Trigger migrate-drain-due, spec.subscriber.uri", "everything else is 404",
    ),
    "a dead letter sink's path": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "migrate-drain-due")["spec"].update(
            delivery={"deadLetterSink": {"uri": "http://keeper.drover/dead"}}),
        "Trigger migrate-drain-due, spec.delivery.deadLetterSink.uri", "everything else is 404",
    ),
    "a subscriber that is not there": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "migrate-drain-due")["spec"]["subscriber"]["ref"].update(name="migrat"),
        "Trigger migrate-drain-due, spec.subscriber.ref.name", "found migrat",
    ),
    "no dead letter sink": (
        "postgres-shared-secret", lambda site: site.get("Broker", "drover")["spec"]["delivery"].pop("deadLetterSink"),
        "Trigger migrate, spec.delivery.deadLetterSink", "events that can't be delivered would be gone",
    ),
    "too few retries": (
        "rabbitmq-broker-shared-secret", lambda site: site.get("Broker", "drover")["spec"]["delivery"].update(retry=5),
        "Trigger migrate-drain-requested, spec.delivery.retry", "found tries for 31 s",
    ),
    "too few retries because they are linear": (
        "rabbitmq-broker-shared-secret",
        lambda site: site.get("Trigger", "keeper-replay-requested")["spec"].update(
            delivery={"retry": 12, "backoffPolicy": "linear", "backoffDelay": "PT1S"}),
        "Trigger keeper-replay-requested, spec.delivery.retry", "found tries for 66 s",
    ),
    "a tick that is too slow": (
        "postgres-shared-secret", lambda site: site.get("PingSource", "tick")["spec"].update(schedule="*/5 * * * *"),
        "PingSource tick, spec.schedule", "expected one that ticks every 60 s",
    ),
    "a PingSource that stands for a drain": (
        "postgres-shared-secret",
        lambda site: site.get("PingSource", "cleanup")["spec"]["ceOverrides"]["extensions"].update(
            drovertype="io.drover.drain.requested"),
        "PingSource cleanup, spec.ceOverrides.extensions.drovertype", "nothing else may come by schedule",
    ),
    "a PingSource that says nothing": (
        "postgres-shared-secret", lambda site: site.get("PingSource", "tick")["spec"].pop("ceOverrides"),
        "PingSource tick, spec.ceOverrides.extensions.drovertype", "found None",
    ),
    "a Trigger for a PingSource that is not there": (
        "rabbitmq-broker-shared-secret", lambda site: site.drop("PingSource", "cleanup"),
        "Trigger keeper-daily-cleanup, spec.filter.attributes.drovertype", "what a PingSource among the objects sends",
    ),
    "a PingSource that sends to nobody": (
        "postgres-shared-secret",
        lambda site: site.get("PingSource", "tick")["spec"]["sink"]["ref"].update(name="default"),
        "PingSource tick, spec.sink.ref.name", "found default",
    ),
    "an image without a tag": (
        "postgres-shared-secret", lambda site: site.container().update(image="registry.example.org:5000/drover"),
        "Service migrate, containers.0.image", "found 'registry.example.org:5000/drover'",
    ),
    "the image's tag is latest": (
        "postgres-shared-secret", lambda site: site.container("keeper").update(image="drover:latest"),
        "Service keeper, containers.0.image", "found 'drover:latest'",
    ),
    "SQLite and several replicas": (
        "sqlite-shared-secret",
        lambda site: site.annotations().update({"autoscaling.knative.dev/max-scale": "3"}),
        "Service migrate, template annotation autoscaling.knative.dev/max-scale", "because the store is SQLite",
    ),
    "SQLite in a pod's own directory": (
        "sqlite-shared-secret", lambda site: site.env("DROVER_DATABASE_URL", value="sqlite:////tmp/drover.db"),
        "Service migrate, env DROVER_DATABASE_URL", "the file /tmp/drover.db, which is on no volume that stays",
    ),
    "no store": (
        "postgres-shared-secret", lambda site: site.env("DROVER_DATABASE_URL"),
        "Service migrate, env DROVER_DATABASE_URL", "a pod's own disk does not outlive it",
    ),
    "a time limit shorter than a slice": (
        "postgres-shared-secret", lambda site: site.pod().update(timeoutSeconds=20),
        "Service migrate, timeoutSeconds", "at least DROVER_LEASE_SECONDS (30)",
    ),
    "so many requests at once that probes wait": (
        "postgres-shared-secret", lambda site: site.pod().update(containerConcurrency=0),
        "Service migrate, containerConcurrency", "expected 1 to 4",
    ),
    "a probe's path": (
        "postgres-shared-secret",
        lambda site: site.container()["livenessProbe"]["httpGet"].update(path="/healthz"),
        "Service migrate, containers.0.livenessProbe.httpGet.path", "expected /health/liveness",
    ),
    "no readiness probe": (
        "postgres-shared-secret", lambda site: site.container().pop("readinessProbe"),
        "Service migrate, containers.0.readinessProbe", "found none",
    ),
    "a privileged container": (
        "postgres-shared-secret", lambda site: site.container()["securityContext"].update(privileged=True),
        "Service migrate, containers.0.securityContext.privileged", "found true",
    ),
    "root": (
        "postgres-shared-secret", lambda site: site.container()["securityContext"].update(runAsNonRoot=False),
        "Service migrate, containers.0.securityContext.runAsNonRoot", "found False, expected true",
    ),
    "a capability": (
        "postgres-shared-secret",
        lambda site: site.container()["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "Service migrate, containers.0.securityContext.capabilities", "NET_ADMIN",
    ),
    "a password in a Service": (
        "postgres-shared-secret",
        lambda site: site.env("DROVER_DATABASE_URL", value="postgresql://drover:hunter2@db/drover"),
        "Service migrate, env DROVER_DATABASE_URL", "a secret in plain text",
    ),
    "a key in a Service": (
        "postgres-shared-secret", lambda site: site.env("DROVER_DOOR_SECRET", value="hunter2hunter2hunter2"),
        "Service keeper, env DROVER_DOOR_SECRET", "a secret in plain text",
    ),
    "a token in a ConfigMap": (
        "postgres-shared-secret",
        lambda site: site.get("ConfigMap", "drover-settings")["data"].update(DROVER_METRICS_TOKEN="hunter2" * 3),
        "data.DROVER_METRICS_TOKEN", "a secret in plain text",
    ),
    "no door": (
        "postgres-shared-secret", lambda site: site.drop("Secret", "drover-door"),
        "Service migrate", "no door that deliveries could come through",
    ),
    "half a door": (
        "postgres-oidc", lambda site: site.get("ConfigMap", "drover-settings")["data"].pop("DROVER_BROKER_ISSUER"),
        "Service migrate", "but not DROVER_BROKER_ISSUER",
    ),
    "no tick key for the functions": (
        "postgres-shared-secret", lambda site: site.env("DROVER_DOOR_TICK"),
        "Service migrate, env DROVER_DOOR_TICK", "no tick would be let in",
    ),
    "no tick key in a PingSource": (
        "postgres-shared-secret",
        lambda site: site.get("PingSource", "tick")["spec"]["ceOverrides"]["extensions"].pop("drovertick"),
        "PingSource tick, spec.ceOverrides.extensions.drovertick", "found none",
    ),
    "another tick key in a PingSource": (
        "postgres-shared-secret",
        lambda site: site.get("PingSource", "tick")["spec"]["ceOverrides"]["extensions"].update(drovertick="b2xk"),
        "PingSource tick, spec.ceOverrides.extensions.drovertick", "found another key",
    ),
    "a Trigger without the audience": (
        "postgres-oidc", lambda site: site.get("Trigger", "migrate")["spec"]["subscriber"].pop("audience"),
        "Trigger migrate, spec.subscriber.audience", "expected migrate.drover",
    ),
    "a dead letter sink without the audience": (
        "postgres-oidc",
        lambda site: site.get("Broker", "drover")["spec"]["delivery"]["deadLetterSink"].pop("audience"),
        "Broker drover, spec.delivery.deadLetterSink.audience", "dead letters would be refused",
    ),
    "a Trigger that is no known sender": (
        "postgres-oidc",
        lambda site: site.get("Trigger", "migrate")["metadata"].update(name="move"),
        "Service migrate, env DROVER_BROKER_SENDERS", "move-oidc-eventing.knative.dev-trigger",
    ),
    "a sender that is not there": (
        "postgres-oidc", lambda site: site.drop("Trigger", "migrate-hints"),
        "Service migrate, env DROVER_BROKER_SENDERS", "nobody should be let in who does not exist",
    ),
}  # fmt: skip
"""By what is wrong: the site, the mistake, and two pieces of the line that must tell of it."""
