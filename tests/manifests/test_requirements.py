"""The locked requirements are complete, current, hashed, and name no index."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.txt", "requirements-dev.txt")
OPTIONAL = {"opentelemetry"}
"""A namespace of several distributions; all of them come with the extra `otlp`."""


def _locked(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.M))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_image_has_what_its_code_imports() -> None:
    """Whatever func.py, the functions and `shared` import comes from a package that requirements.txt pins."""
    own = {"shared", "functions", *sys.stdlib_module_names}
    files = [ROOT / "func.py", *(ROOT / "shared").rglob("*.py"), *(ROOT / "functions").rglob("*.py")]
    imported = {name for path in files for name in _imports(path)} - own - OPTIONAL
    distributions = packages_distributions()
    locked = _locked("requirements.txt")
    normal = {name: {re.sub(r"[-_.]+", "-", each).lower() for each in distributions.get(name, [])} for name in imported}
    assert "pydantic" in imported
    assert {name for name in imported if not normal[name] & locked.keys()} == set()


def test_the_runtime_stays_importable() -> None:
    """parliament 0.1.0 imports cloudevents.http, which cloudevents 2 no longer has."""
    locked = _locked("requirements.txt")
    assert locked["parliament-functions"] == "0.1.0"
    assert int(locked["cloudevents"].split(".")[0]) < 2


def test_the_tests_run_on_what_is_deployed() -> None:
    """Every package of the image has the same version in the lock of the tests."""
    tested = _locked("requirements-dev.txt")
    assert {name: tested.get(name) for name in _locked("requirements.txt")} == _locked("requirements.txt")


@pytest.mark.parametrize("name", LOCKS)
def test_everything_has_a_hash_and_nothing_an_address(name: str) -> None:
    """A package can't be exchanged on its way, and the lock works with any mirror."""
    text = (ROOT / name).read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert len(entries) > 50
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text
    assert not re.search(r"^--?\w", text, re.M)


def test_the_lock_is_current() -> None:
    """pyproject.toml asks for nothing else than what was locked; if it does, run script/lock."""
    done = subprocess.run(
        [sys.executable, ROOT / "script/lock", "--check"], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stdout
