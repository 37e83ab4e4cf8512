"""Secrets, ConfigMaps, claims and service accounts that objects name, and whether they are there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cli.deploy.manifests import CORE, SERVING, SOURCES, Manifest, Manifests, at
from cli.deploy.report import Problem

EXTERNAL = "drover.io/external-secrets"
"""Annotation of the Namespace: names of Secrets that are made elsewhere, with commas between them."""

GIVEN = frozenset({"kube-root-ca.crt"})
"""ConfigMaps that Kubernetes puts into every namespace."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One object named by another."""

    kind: str
    name: str
    field: str
    key: str = ""
    optional: bool = False


def external_secrets(manifests: Manifests) -> frozenset[str]:
    """The Secrets that are said to be made elsewhere."""
    texts = [str(each.at("metadata", "annotations", EXTERNAL) or "") for each in manifests.all]
    return frozenset(name.strip() for text in texts for name in text.split(",") if name.strip())


def check(manifests: Manifests, external: frozenset[str]) -> Iterator[Problem]:
    """What is named and is neither here nor said to be made elsewhere."""
    for manifest in manifests.all:
        for reference in _references(manifest):
            yield from _judge(manifest, reference, manifests, external)


def needs(manifests: Manifests, external: frozenset[str]) -> Iterator[str]:
    """The Secrets that must be made before."""
    keys: dict[str, set[str]] = {}
    for manifest in manifests.all:
        for each in _references(manifest):
            if each.kind == "Secret" and each.name in external and manifests.find(CORE, "Secret", each.name) is None:
                keys.setdefault(each.name, set()).update({each.key} - {""})
    for name in sorted(keys):
        with_keys = f" with {', '.join(sorted(keys[name]))}" if keys[name] else ""
        yield f"Secret {name}{with_keys}"


def _judge(
    manifest: Manifest, reference: Reference, manifests: Manifests, external: frozenset[str]
) -> Iterator[Problem]:
    if reference.optional or reference.name in GIVEN:
        return
    found = manifests.find(CORE, reference.kind, reference.name)
    what = f"{reference.kind} {reference.name!r}"
    if found is None:
        if reference.kind == "Secret" and reference.name in external:
            return
        elsewhere = (
            f", or name it in the annotation {EXTERNAL}, or give --external" if reference.kind == "Secret" else ""
        )
        yield manifest.problem(reference.field, f"{what}, which is not among the objects", "one that exists",
                               f"add it{elsewhere}; pods would not start")  # fmt: skip
    elif reference.key and not any(reference.key in (found.at(part) or {}) for part in ("data", "stringData")):
        yield manifest.problem(reference.field, f"{what} without the key {reference.key!r}", "the key to be there",
                               "add it; pods would not start")  # fmt: skip


def _references(manifest: Manifest) -> Iterator[Reference]:
    if (manifest.group, manifest.kind) == (SERVING, "Service"):
        pod = manifest.at("spec", "template", "spec") or {}
        for container in pod.get("containers") or ():
            yield from _of_container(container)
        for volume in pod.get("volumes") or ():
            yield from _of_volume(volume)
        if name := pod.get("serviceAccountName"):
            yield Reference("ServiceAccount", name, "serviceAccountName")
    connection = ("spec", "rabbitmqClusterReference", "connectionSecret", "name")
    if manifest.group in ("eventing.knative.dev", SOURCES) and (name := manifest.at(*connection)):
        yield Reference("Secret", name, ".".join(connection))


def _of_container(container: Any) -> Iterator[Reference]:
    for entry in container.get("env") or ():
        for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            if found := at(entry, "valueFrom", field):
                place = f"env {entry.get('name')}"
                yield Reference(kind, found.get("name", ""), place, found.get("key", ""), bool(found.get("optional")))
    for source in container.get("envFrom") or ():
        for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
            if found := source.get(field):
                yield Reference(kind, found.get("name", ""), "envFrom", optional=bool(found.get("optional")))


def _of_volume(volume: Any) -> Iterator[Reference]:
    place = f"volume {volume.get('name')}"
    for source in [volume, *(at(volume, "projected", "sources") or ())]:
        if secret := source.get("secret"):
            name = secret.get("secretName") or secret.get("name", "")
            yield Reference("Secret", name, place, optional=bool(secret.get("optional")))
        if config := source.get("configMap"):
            yield Reference("ConfigMap", config.get("name", ""), place, optional=bool(config.get("optional")))
    if claim := at(volume, "persistentVolumeClaim", "claimName"):
        yield Reference("PersistentVolumeClaim", claim, place)
