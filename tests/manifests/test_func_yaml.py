"""func.yaml, Procfile and .funcignore: what `func deploy` reads."""

from __future__ import annotations

import copy
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft4Validator
from parliament import server

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(Path(__file__).with_name("schemas").joinpath("func_yaml-schema.json").read_text())


@pytest.fixture
def manifest() -> dict[str, Any]:
    """The func.yaml of the repository."""
    loaded = yaml.safe_load((ROOT / "func.yaml").read_text())
    assert isinstance(loaded, dict)
    # YAML reads the time as a time, JSON Schema wants the text
    return {**loaded, "created": loaded["created"].isoformat()}


def _problems(manifest: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft4Validator(SCHEMA).iter_errors(manifest)]


def test_it_fits_knatives_schema(manifest: dict[str, Any]) -> None:
    """func.yaml has no key, type or name that Knative's schema does not know."""
    assert _problems(manifest) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("name",), "Drover"),
        (("invoke",), "event"),
        (("build", "builder"), "docker"),
        (("deploy", "healthEndpoints", "started"), "/health"),
        (("run", "envs"), [{"name": "1ST", "value": "x"}]),
        (("owner",), "somebody"),
    ],
)
def test_the_schema_notices_mistakes(manifest: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Each kind of mistake in func.yaml would be seen by the test above."""
    broken = copy.deepcopy(manifest)
    place = broken
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert len(_problems(broken)) == 1


def test_what_drover_needs_of_it(manifest: dict[str, Any]) -> None:
    """The image is a Python one that is built by pack and invoked by CloudEvents, and its name is drover."""
    assert (manifest["name"], manifest["runtime"]) == ("drover", "python")
    assert (manifest["invoke"], manifest["build"]["builder"]) == ("cloudevent", "pack")
    assert manifest["specVersion"] == "0.36.0"
    assert datetime.fromisoformat(manifest["created"]).tzinfo is not None


def test_health_endpoints_are_parliaments(manifest: dict[str, Any]) -> None:
    """The health endpoints of func.yaml are answered by the runtime that the Procfile starts."""
    endpoints = manifest["deploy"]["healthEndpoints"]
    assert endpoints == {"liveness": "/health/liveness", "readiness": "/health/readiness"}
    client = server.create(object()).test_client()
    assert {client.get(path).status_code for path in endpoints.values()} == {200}


def test_the_procfile_is_how_func_knows_parliament() -> None:
    """`func` takes an image for a parliament function by this line of the Procfile."""
    assert (ROOT / "Procfile").read_text() == "web: python -m parliament .\n"


def test_no_secret_is_written_down(manifest: dict[str, Any]) -> None:
    """What is secret comes from a Secret of the cluster."""
    (database,) = [env for env in manifest["run"]["envs"] if env["name"] == "DROVER_DATABASE_URL"]
    assert database["value"] == "{{ secret:drover-database:url }}"


def test_the_image_is_not_left_without_its_code() -> None:
    """.funcignore names nothing that the functions are made of, and each directory that they don't need."""
    ignored = {line.strip("/") for line in (ROOT / ".funcignore").read_text().splitlines()}
    assert not ignored & {"func.py", "functions", "shared", "Procfile", "requirements.txt", "func.yaml"}
    assert {".venv", ".git", "tests", "lab", "cli", "bench"} <= ignored
