"""What a function would find in its environment, and what Drover's own settings say to it."""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from cli.deploy.manifests import CORE, SERVING, Manifest, Manifests
from cli.deploy.report import Problem
from shared.settings import OTHERS, PREFIX, Settings, SettingsError, load

SECRET_NAME = re.compile(r"(SECRET|TOKEN|PASSWORD|TICK|_KEY)$")
"""Variables whose values must not be read in a manifest."""
PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")
"""A password in a URL."""

UNSEEN = {"DROVER_DATABASE_URL": "postgresql://unseen:unseen@unseen/unseen"}
"""What stands for the value of a Secret that is made elsewhere; other variables get `UNSEEN_TEXT`."""
UNSEEN_TEXT = "a-value-that-is-not-in-these-manifests-0123456789"


@dataclass(frozen=True, slots=True)
class Function:
    """A Knative Service that runs Drover, and its environment."""

    service: Manifest
    names: tuple[str, ...]
    """The functions that it serves; one, unless FUNCTION is unset."""
    variables: Mapping[str, str]
    seen: frozenset[str] = field(default_factory=frozenset)
    """Variables whose value is known and not only that there is one."""
    settings: Settings | None = None
    """None when Drover would refuse the variables."""


def literals(service: Manifest) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The entries of `env` of the first container, with their numbers."""
    yield from enumerate(service.at("spec", "template", "spec", "containers", 0, "env") or ())


def collect(service: Manifest, manifests: Manifests, external: frozenset[str]) -> tuple[dict[str, str], frozenset[str]]:
    """The variables of a Service, and those of them whose value is known."""
    values: dict[str, str] = {}
    unseen: set[str] = set()
    for source in service.at("spec", "template", "spec", "containers", 0, "envFrom") or ():
        reference = source.get("configMapRef") or source.get("secretRef") or {}
        kind = "ConfigMap" if "configMapRef" in source else "Secret"
        prefix = source.get("prefix", "")
        values |= {prefix + key: text for key, text in _data(manifests, kind, reference.get("name", "")).items()}
    for _, entry in literals(service):
        name = str(entry.get("name"))
        values.pop(name, None)
        text = _value(entry, manifests, external)
        if text is not None:
            values[name] = text
            unseen = unseen | {name} if text in (UNSEEN_TEXT, *UNSEEN.values()) else unseen - {name}
    return values, frozenset(values) - unseen


def _value(entry: Mapping[str, object], manifests: Manifests, external: frozenset[str]) -> str | None:
    source = entry.get("valueFrom")
    if not isinstance(source, Mapping):
        return None if entry.get("value") is None else str(entry["value"])
    for field_name, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if isinstance(reference := source.get(field_name), Mapping):
            value = _data(manifests, kind, reference.get("name", "")).get(reference.get("key", ""))
            if value is None and kind == "Secret" and reference.get("name") in external:
                return UNSEEN.get(str(entry.get("name")), UNSEEN_TEXT)
            return value
    return UNSEEN_TEXT


def _data(manifests: Manifests, kind: str, name: str) -> Mapping[str, str]:
    found = manifests.find(CORE, kind, name)
    if found is None:
        return {}
    plain = {str(key): str(value) for key, value in (found.at("data") or {}).items()}
    if kind == "Secret":
        plain = {key: _decoded(value) for key, value in plain.items()}
    return plain | {str(key): str(value) for key, value in (found.at("stringData") or {}).items()}


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


OF_FUNCTIONS = re.compile(
    r"DROVER_OVN_([A-Z0-9_]+_)?(NB|SB|KEY|CERT|CA|SECONDS)"
    r"|DROVER_BROKERS_FILE|DROVER_RABBIT_(URL|MANAGEMENT|CA_FILE|CERT_FILE|KEY_FILE)"
)
"""Variables that a function reads by itself, not with the settings that all have (`functions/*/README.md`)."""


@cache
def known_variables() -> frozenset[str]:
    """Every variable that `Settings` reads."""
    names = {PREFIX + name.upper() for name in Settings.model_fields}
    return frozenset(names | set(OTHERS) | set(OTHERS.values()))


def judge(service: Manifest, variables: Mapping[str, str]) -> tuple[Settings | None, list[Problem]]:
    """What Drover itself says to the variables."""
    found = []
    for name in sorted(variables):
        if name.startswith(PREFIX) and name not in known_variables() and not OF_FUNCTIONS.fullmatch(name):
            found.append(service.problem(
                f"env {name}", "a setting that does not exist", "one of the settings that Drover reads",
                f"mend its name or take it out{_near(name)}",
            ))  # fmt: skip
    try:
        with _only(variables):
            return load(), found
    except SettingsError as error:
        for line in str(error).splitlines():
            name, _, rest = line.partition(": found ")
            value, separator, wanted = rest.partition(", expected ")
            if separator:
                found.append(service.problem(f"env {name}", value, wanted, "Drover would not start"))
            else:
                found.append(service.problem("env", line, "settings that Drover takes", "Drover would not start"))
        return None, found


def _near(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known_variables()), 1)
    return f" (did you mean {near[0]}?)" if near else ""


@contextmanager
def _only(variables: Mapping[str, str]) -> Iterator[None]:
    """The process's environment is what a pod's would be: Settings reads nothing else."""
    saved = dict(os.environ)
    os.environ.clear()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def in_the_open(manifest: Manifest) -> Iterator[Problem]:
    """Secrets that can be read in a ConfigMap or in a Service's `env`."""
    if (manifest.group, manifest.kind) == (CORE, "ConfigMap"):
        pairs = [(f"data.{key}", str(key), str(value)) for key, value in (manifest.at("data") or {}).items()]
    elif (manifest.group, manifest.kind) == (SERVING, "Service"):
        pairs = [
            (f"env {entry.get('name')}", str(entry.get("name")), str(entry["value"]))
            for _, entry in literals(manifest)
            if entry.get("value")
        ]
    else:
        return
    for place, name, value in pairs:
        if SECRET_NAME.search(name) or PASSWORD.search(value):
            yield manifest.problem(
                place, "a secret in plain text", "valueFrom.secretKeyRef",
                "put it into a Secret, and change it: whoever read this manifest has it",
            )  # fmt: skip
