"""Knative Services: image, limits, probes, rights, and what Knative allows only with a feature flag."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cli.deploy.environment import Function
from cli.deploy.manifests import SERVING, Manifest, Manifests, at
from cli.deploy.report import Problem
from shared.server import THREADS

MAX_SCALE = "autoscaling.knative.dev/max-scale"
KNATIVE_TIMEOUT = 300
"""Seconds of a Service that says nothing (config-defaults: revision-timeout-seconds)."""
PROBES = {"readinessProbe": "/health/readiness", "livenessProbe": "/health/liveness"}

FLAGS = {
    "persistentVolumeClaim": (
        "kubernetes.podspec-persistent-volume-claim",
        "kubernetes.podspec-persistent-volume-write",
    ),
    "hostPath": ("kubernetes.podspec-volumes-hostpath",),
    "csi": ("kubernetes.podspec-volumes-csi",),
    "ephemeral": ("kubernetes.podspec-volumes-ephemeral",),
    "image": ("kubernetes.podspec-volumes-image",),
}
"""Kinds of volumes, and the flags that allow them in a Knative Service (serving: ConfigMap config-features).
emptyDir is allowed unless somebody has switched it off."""
POD_FLAGS = {
    "securityContext": "kubernetes.podspec-securitycontext",
    "nodeSelector": "kubernetes.podspec-nodeselector",
    "affinity": "kubernetes.podspec-affinity",
    "tolerations": "kubernetes.podspec-tolerations",
    "topologySpreadConstraints": "kubernetes.podspec-topologyspreadconstraints",
    "hostAliases": "kubernetes.podspec-hostaliases",
    "runtimeClassName": "kubernetes.podspec-runtimeclassname",
    "priorityClassName": "kubernetes.podspec-priorityclassname",
    "schedulerName": "kubernetes.podspec-schedulername",
    "initContainers": "kubernetes.podspec-init-containers",
    "dnsPolicy": "kubernetes.podspec-dnspolicy",
    "dnsConfig": "kubernetes.podspec-dnsconfig",
    "hostNetwork": "kubernetes.podspec-hostnetwork",
    "hostPID": "kubernetes.podspec-hostpid",
    "hostIPC": "kubernetes.podspec-hostipc",
}


def check(function: Function) -> Iterator[Problem]:
    """What would break in one Service."""
    service = function.service
    for number, container in enumerate(service.at("spec", "template", "spec", "containers") or ()):
        yield from _image(service, f"containers.{number}.image", container.get("image"))
        yield from _rights(service, f"containers.{number}.securityContext", container.get("securityContext") or {})
    container = service.at("spec", "template", "spec", "containers", 0) or {}
    yield from _probes(service, container)
    yield from _times(function)
    yield from _replicas(function)


def needs(manifests: Manifests) -> Iterator[str]:
    """The feature flags that the Services need."""
    users: dict[str, set[str]] = {}
    for service in manifests.of(SERVING, "Service"):
        for flag in _flags(service.at("spec", "template", "spec") or {}):
            users.setdefault(flag, set()).add(service.name)
    for flag in sorted(users):
        yield f"in config-features of knative-serving {flag}: enabled (for {', '.join(sorted(users[flag]))})"


def _flags(pod: Mapping[str, Any]) -> Iterator[str]:
    yield from (flag for name, flag in POD_FLAGS.items() if pod.get(name))
    for volume in pod.get("volumes") or ():
        for kind, names in FLAGS.items():
            if kind in volume:
                yield from names


def _image(service: Manifest, field: str, image: Any) -> Iterator[Problem]:
    text = str(image or "")
    tag = re.search(r":([^/:@]+)(@|$)", text)
    if "@sha256:" in text or (tag and tag[1] != "latest"):
        return
    yield service.problem(field, repr(text), "an image with a tag other than latest, or with a digest",
                          "set it under `images:` of your kustomization, so that everybody runs the same")  # fmt: skip


def _rights(service: Manifest, field: str, context: Mapping[str, Any]) -> Iterator[Problem]:
    wanted = {"runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    for name, value in wanted.items():
        if context.get(name) is not value:
            yield service.problem(
                f"{field}.{name}", context.get(name), str(value).lower(), "Drover needs no more rights"
            )
    if context.get("privileged"):
        yield service.problem(f"{field}.privileged", "true", "no privileged container", "take it out")
    if at(context, "capabilities", "drop") != ["ALL"] or at(context, "capabilities", "add"):
        yield service.problem(f"{field}.capabilities", at(context, "capabilities"), "drop: [ALL] and nothing added",
                              "Drover needs none")  # fmt: skip


def _probes(service: Manifest, container: Mapping[str, Any]) -> Iterator[Problem]:
    for name, path in PROBES.items():
        found = at(container, name, "httpGet", "path")
        if name in container and found != path:
            yield service.problem(f"containers.0.{name}.httpGet.path", found, path, "the runtime has no other")
        elif name == "readinessProbe" and name not in container:
            yield service.problem(f"containers.0.{name}", "none", f"httpGet of {path}", "add it")


def _times(function: Function) -> Iterator[Problem]:
    service, settings = function.service, function.settings
    timeout = service.at("spec", "template", "spec", "timeoutSeconds")
    seconds = KNATIVE_TIMEOUT if timeout is None else int(timeout)
    if settings is not None and seconds < settings.lease_seconds:
        yield service.problem(
            "timeoutSeconds", seconds, f"at least DROVER_LEASE_SECONDS ({settings.lease_seconds:g})",
            "Knative would cut slices off in the middle: raise it, or lower DROVER_SLICE_SECONDS and the lease",
        )  # fmt: skip
    concurrency = service.at("spec", "template", "spec", "containerConcurrency") or 0
    if not 1 <= int(concurrency) <= THREADS // 2:
        yield service.problem(
            "containerConcurrency", concurrency, f"1 to {THREADS // 2}",
            f"the server has {THREADS} threads; busy ones can't answer probes, and Kubernetes would kill a pod at work",
        )  # fmt: skip


def _replicas(function: Function) -> Iterator[Problem]:
    service, url = function.service, function.variables.get("DROVER_DATABASE_URL", "")
    if not url:
        yield service.problem("env DROVER_DATABASE_URL", "none", "where the store is",
                              "use an overlay that sets it: a pod's own disk does not outlive it")  # fmt: skip
    elif url.startswith("sqlite"):
        found = service.at("spec", "template", "metadata", "annotations", MAX_SCALE)
        if str(found) != "1":
            yield service.problem(f"template annotation {MAX_SCALE}", found, '"1", because the store is SQLite',
                                  "SQLite is for one machine: set it, or use PostgreSQL")  # fmt: skip
        yield from _on_a_volume(service, url)


def _on_a_volume(service: Manifest, url: str) -> Iterator[Problem]:
    path = "/" + url.partition("://")[2].lstrip("/")
    volumes = service.at("spec", "template", "spec", "volumes") or ()
    kept = {each.get("name") for each in volumes if "persistentVolumeClaim" in each}
    mounts = service.at("spec", "template", "spec", "containers", 0, "volumeMounts") or ()
    if not any(each.get("name") in kept and path.startswith(f"{each.get('mountPath')}/") for each in mounts):
        yield service.problem("env DROVER_DATABASE_URL", f"the file {path}, which is on no volume that stays",
                              "a file on a persistentVolumeClaim", "mount one there")  # fmt: skip
