"""Whether objects fit their kinds: Knative's CRDs, and Kubernetes' own kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from cli.deploy.manifests import Manifest, Unusable
from cli.deploy.report import Problem

KUBERNETES = "1.34"
"""Version of the schemas of Kubernetes' own kinds."""

PLACES = (Path(__file__).with_name("schemas"), Path(__file__).parents[2] / "deploy" / "schemas")
"""Where the CRDs are: in an installed package, in a checkout."""

MAX_SHOWN = 80
"""Characters of a found value."""

_KNOWN_TOP = frozenset({"apiVersion", "kind", "metadata"})


def problems(manifest: Manifest) -> Iterator[Problem] | None:
    """What does not fit; None when the kind has no schema here."""
    schema = crds().get((manifest.group, manifest.kind))
    if schema is not None:
        return _crd_problems(manifest, schema)
    return _core_problems(manifest)


@cache
def crds() -> Mapping[tuple[str, str], Mapping[str, Any]]:
    """By group and kind: the CRD's schemas by version.

    Raises:
        Unusable: they are not where they should be.
    """
    import yaml

    directory = next((place for place in PLACES if place.is_dir()), None)
    if directory is None:
        raise Unusable(f"the CRDs are missing, expected them in {PLACES[-1]}; install Drover again, or take a checkout")
    found = {}
    for path in sorted(directory.glob("*.yaml")):
        for crd in yaml.load_all(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            spec = crd["spec"]
            versions = {each["name"]: each["schema"]["openAPIV3Schema"] for each in spec["versions"] if each["served"]}
            found[spec["group"], spec["names"]["kind"]] = versions
    return found


def _crd_problems(manifest: Manifest, versions: Mapping[str, Any]) -> Iterator[Problem]:
    version = str(manifest.body["apiVersion"]).rpartition("/")[2]
    if version not in versions:
        yield manifest.problem("apiVersion", version, f"one of {', '.join(versions)}", "change it")
        return
    # Draft 4 is what OpenAPI 3.0 is made of
    validator = _library("jsonschema").Draft4Validator(versions[version])
    for error in validator.iter_errors(manifest.body):
        path = ".".join(str(part) for part in error.absolute_path)
        yield manifest.problem(
            path, _short(error.instance), _expected(error), f"it does not fit the CRD: {error.message}"
        )
    for unknown in _unknown(manifest.body, versions[version], ()):
        field = ".".join(unknown)
        yield manifest.problem(
            field, "a field that the CRD does not have", "only fields of the CRD",
            "it would be refused, or dropped without a word: mend its name or take it out",
        )  # fmt: skip


def _expected(error: Any) -> str:
    if error.validator == "enum":
        return f"one of {', '.join(map(str, error.validator_value))}"
    if error.validator == "required":
        return f"the fields {', '.join(error.validator_value)}"
    return f"{error.validator} {_short(error.validator_value)}"


def _unknown(value: Any, schema: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Paths of fields that no schema names.

    The API server prunes them (structural schemas); where `x-kubernetes-preserve-unknown-fields` keeps them, Knative's
    webhooks refuse them, since they decode strictly. An object without any `properties` is open.
    """
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(each, schema.get("items") or {}, (*path, str(number)))
    if not isinstance(value, Mapping):
        return
    known, others = schema.get("properties"), schema.get("additionalProperties")
    for name, each in value.items():
        if not path and name in _KNOWN_TOP:
            continue
        if known and name in known:
            yield from _unknown(each, known[name], (*path, name))
        elif isinstance(others, Mapping):
            yield from _unknown(each, others, (*path, name))
        elif known:
            yield (*path, name)


def _core_problems(manifest: Manifest) -> Iterator[Problem] | None:
    misfit = _misfit(json.dumps(manifest.body, sort_keys=True, default=str))
    if misfit is None:
        return None
    expected = f"what Kubernetes {KUBERNETES} takes"
    return iter([manifest.problem(field, found, expected, message) for field, found, message in misfit])


@lru_cache(maxsize=1024)
def _misfit(text: str) -> tuple[tuple[str, str, str], ...] | None:
    """Field, found and message of the first thing that does not fit; the schemas are read for each object anew."""
    library = _library("kubernetes_validate")
    try:
        library.validate(json.loads(text), KUBERNETES, strict=True)
    except library.SchemaNotFoundError:
        return None
    except library.ValidationError as error:
        return ((".".join(str(part) for part in error.absolute_path), _short(error.instance), error.message),)
    return ()


def _library(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.replace("_", "-")
        raise Unusable(f"the package {package} is missing, which checks schemas; install drover[deploy]") from None


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
