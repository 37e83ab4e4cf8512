"""Manifests: read from a file, from stdin, or rendered from a kustomization."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.deploy.report import Problem
from shared.errors import DroverError

RENDER_SECONDS = 120
"""How long a rendering may take; one that fetches a remote base is slow."""

KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
SERVING = "serving.knative.dev"
EVENTING = "eventing.knative.dev"
SOURCES = "sources.knative.dev"
CORE = ""


class Unusable(DroverError):
    """The input can't be read or rendered, so that nothing can be said about it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object."""

    body: Mapping[str, Any]
    file: str

    @property
    def kind(self) -> str:
        """Such as `Trigger`."""
        return str(self.body["kind"])

    @property
    def group(self) -> str:
        """The API group; empty for Kubernetes' core."""
        group, separator, _ = str(self.body["apiVersion"]).rpartition("/")
        return group if separator else ""

    @property
    def name(self) -> str:
        """`metadata.name`."""
        return str(self.at("metadata", "name") or "")

    @property
    def label(self) -> str:
        """What people call it."""
        return f"{self.kind} {self.name}"

    def at(self, *path: str | int) -> Any:
        """The value at a path; None when there is none."""
        return at(self.body, *path)

    def problem(self, field: str, found: object, expected: str, todo: str) -> Problem:
        """A problem of this object."""
        return Problem(self.file, self.label, field, str(found), expected, todo)


@dataclass(frozen=True, slots=True)
class Manifests:
    """All objects that would be applied together."""

    source: str
    all: Sequence[Manifest]

    def of(self, group: str, kind: str) -> Iterator[Manifest]:
        """The objects of one kind."""
        return (each for each in self.all if (each.group, each.kind) == (group, kind))

    def find(self, group: str, kind: str, name: str) -> Manifest | None:
        """One object by its name."""
        return next((each for each in self.of(group, kind) if each.name == name), None)

    def problem(self, found: object, expected: str, todo: str) -> Problem:
        """A problem of the whole."""
        return Problem(self.source, "", "", str(found), expected, todo)


def at(value: Any, *path: str | int) -> Any:
    """The value at a path through mappings and lists; None when there is none."""
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value


def read(path: str) -> Manifests:
    """The manifests of a file, of stdin (`-`), or of a directory with a kustomization.

    Raises:
        Unusable: there are none, or they can't be read or rendered.
    """
    if path == "-":
        return parse(sys.stdin.read(), "stdin")
    place = Path(path)
    if place.is_dir():
        return parse(render(place), path)
    try:
        return parse(place.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Unusable(f"{path} can't be read ({reason}); expected a directory, a file of manifests, or -") from None


def parse(text: str, source: str) -> Manifests:
    """The objects of a YAML stream.

    Raises:
        Unusable: it is no YAML, or something in it is no Kubernetes object.
    """
    import yaml

    try:
        documents = list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except yaml.YAMLError as error:
        raise Unusable(f"{source} is no YAML: {' '.join(str(error).split())}") from None
    objects = list(_objects(documents, source))
    if not objects:
        raise Unusable(f"{source} has no objects in it; expected manifests of Kubernetes")
    return Manifests(source, objects)


def _objects(documents: Iterable[Any], source: str) -> Iterator[Manifest]:
    for number, document in enumerate(documents, 1):
        if document is None:
            continue
        items = document.get("items") if isinstance(document, dict) and document.get("kind") == "List" else [document]
        for item in items or []:
            texts = [at(item, "apiVersion"), at(item, "kind"), at(item, "metadata", "name")]
            if not all(isinstance(text, str) and text for text in texts):
                raise Unusable(
                    f"{source}, document {number}: no object of Kubernetes; expected apiVersion, kind and metadata.name"
                )
            if texts[1] in ("Kustomization", "Component") and str(texts[0]).startswith("kustomize."):
                raise Unusable(f"{source} is a kustomization and has to be rendered: give its directory instead")
            yield Manifest(item, source)


def render(directory: Path) -> str:
    """The manifests of a kustomization, as YAML.

    Raises:
        Unusable: there is none, or nothing to render it with, or it can't be rendered.
    """
    if not any((directory / name).is_file() for name in KUSTOMIZATIONS):
        raise Unusable(f"{directory} has no kustomization.yaml; give a directory that has one, or a file of manifests")
    if kubectl := shutil.which("kubectl"):
        command = [kubectl, "kustomize", str(directory)]
    elif kustomize := shutil.which("kustomize"):
        command = [kustomize, "build", str(directory)]
    else:
        raise Unusable(
            f"neither kubectl nor kustomize is on PATH to render {directory}; install one of them, or render it "
            "elsewhere and give the result: drover deploy check rendered.yaml"
        )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RENDER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unusable(f"{directory} can't be rendered: {error}") from None
    if done.returncode:
        raise Unusable(f"{directory} can't be rendered: {done.stderr.strip()}{_hint(done.stderr)}")
    return done.stdout


def _hint(text: str) -> str:
    if "door.env" in text:
        return '\ndoor.env holds the keys of the door and is made once: docs/deploy.md, "Secrets"'
    return ""
