"""The image as buildah really makes it: small, bare, the same twice, and at work on a read-only root.

It takes some minutes, root, and a base image, and so runs only when asked for:

DROVER_IMAGE_BASE=docker.io/library/python:3.12-slim-bookworm python -m pytest tests/manifests/test_image_built.py

DROVER_BUILDAH and DROVER_BUILDAH_BUILD hold further options of buildah's own and of `buildah build`.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BASE = os.environ.get("DROVER_IMAGE_BASE", "")
LIMIT = 250_000_000
"""Bytes of the whole image, its base included, as it lies on a node."""
KEY = "a-key-for-this-test-alone-0123456789"
SERVE = """
set -e
ip link set lo up
mount --bind "$1" "$1"
mount -o remount,ro,bind "$1"
mount -t tmpfs -o mode=1777 tmpfs "$1/tmp"
cd "$1/app"
shift
exec chroot --userspec=1000:1000 .. "$@"
"""

pytestmark = [
    pytest.mark.skipif(not BASE, reason="DROVER_IMAGE_BASE names no image to build on"),
    pytest.mark.skipif(bool(BASE) and os.geteuid() != 0, reason="needs root"),
    pytest.mark.timeout(900),
]


def buildah(*arguments: str, cwd: Path = ROOT) -> str:
    """Run buildah; returns what it prints."""
    command = ["buildah", *shlex.split(os.environ.get("DROVER_BUILDAH", "")), *arguments]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the builder gets, as it is now: nobody changes a line between two builds."""
    place = tmp_path_factory.mktemp("context")
    for name in ("Dockerfile", ".dockerignore", "func.py", "Procfile", "requirements.txt"):
        shutil.copy2(ROOT / name, place)
    for name in ("functions", "shared", "deploy/image"):
        shutil.copytree(ROOT / name, place / name)
    return place


def build(tag: str, context: Path) -> dict[str, Any]:
    """Build the image without any cache; returns what buildah knows of it."""
    more = shlex.split(os.environ.get("DROVER_BUILDAH_BUILD", ""))
    name = f"localhost/drover-test:{tag}"
    buildah("build", "--isolation", "chroot", "--no-cache", "--timestamp", "0", "--build-arg", f"BASE={BASE}",
            *more, "-t", name, ".", cwd=context)  # fmt: skip
    return json.loads(buildah("inspect", "--type", "image", name))


@pytest.fixture(scope="module")
def image(context: Path) -> Iterator[dict[str, Any]]:
    """The image, built once."""
    yield build("one", context)
    buildah("rmi", "localhost/drover-test:one")


@pytest.fixture(scope="module")
def root(image: dict[str, Any]) -> Iterator[Path]:
    """The image's file system."""
    container = buildah("from", "localhost/drover-test:one")
    yield Path(buildah("mount", container))
    buildah("rm", container)


def test_the_same_twice(image: dict[str, Any], context: Path) -> None:
    """A second build from nothing has the same layers and the same configuration."""
    again = build("two", context)
    buildah("rmi", "localhost/drover-test:two")
    assert again["OCIv1"]["rootfs"] == image["OCIv1"]["rootfs"]
    assert again["FromImageDigest"] == image["FromImageDigest"]


def test_size(root: Path) -> None:
    """The image has its limit, everything counted."""
    assert sum(path.lstat().st_size for path in root.rglob("*")) < LIMIT


def test_nothing_that_installs_compiles_or_elevates(root: Path) -> None:
    """There is no shell, no package manager, no compiler, no set-user-id program, and nothing that others may write."""
    names = {"sh", "bash", "dash", "apt", "apt-get", "dpkg", "pip", "pip3", "uv", "gcc", "cc", "ld", "as", "perl"}
    programs = [path for path in root.rglob("*") if path.is_file() and os.access(path, os.X_OK) and path.name in names]
    assert programs == []
    assert [path for path in root.rglob("pip") if path.is_dir()] == []
    assert list(root.rglob("ensurepip")) == []
    modes = [(path, path.lstat().st_mode) for path in root.rglob("*") if not path.is_symlink()]
    assert [path for path, mode in modes if mode & 0o6000] == []
    assert [path for path, mode in modes if mode & 0o002] == [root / "tmp"]


def test_what_is_in_it_is_listed(root: Path) -> None:
    """The SBOM lists the packages that are installed, Debian's are where scanners look, and tests stayed outside."""
    document = json.loads((root / "usr/share/sbom/drover.cdx.json").read_text())
    assert document["bomFormat"] == "CycloneDX"
    listed = {(each["name"].lower().replace("_", "-"), each["version"]) for each in document["components"]}
    installed = set()
    for path in (root / "venv").glob("lib/python3.*/site-packages/*.dist-info"):
        name, version = path.name.removesuffix(".dist-info").split("-", 1)
        installed.add((name.lower().replace("_", "-"), version))
    assert {name.replace(".", "-") for name, _ in listed} == {name.replace(".", "-") for name, _ in installed}
    assert {"libc6", "libssl3", "ca-certificates"} & {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()}
    assert {path.name for path in (root / "app").iterdir()} - {"__pycache__"} == {
        "Procfile",
        "func.py",
        "functions",
        "shared",
    }


def test_bytecode_needs_no_times(root: Path) -> None:
    """Bytecode is checked by hash, never by time (PEP 552: flags 1), so that any file times will do."""
    files = list((root / "app").rglob("*.pyc")) + list((root / "venv").rglob("*.pyc"))
    assert len(files) > 500
    assert {int.from_bytes(path.read_bytes()[4:8], "little") for path in files} == {1}


@pytest.fixture
def served(root: Path, image: dict[str, Any], tmp_path: Path) -> Iterator[int]:
    """The id of a process that serves the image as a cluster would: read-only, as 1000, in a network of its own."""
    config = image["OCIv1"]["config"]
    assert config["User"] == "1000:1000"
    environment = dict(each.split("=", 1) for each in config["Env"]) | {
        "FUNCTION": "migrate", "DROVER_DATABASE_URL": "sqlite:////tmp/drover.db", "DROVER_DOOR_TICK": KEY,
    }  # fmt: skip
    for name in ("dev", "proc"):
        (root / name).mkdir(exist_ok=True)
    settings = [f"{name}={value}" for name, value in environment.items()]
    program = ["/venv/bin/python", "-c", _START, *config["Entrypoint"], "--", *settings]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            ["unshare", "--mount", "--net", "sh", "-c", SERVE, "serve", str(root), *program], stdout=log, stderr=log
        )
        yield process.pid
        process.terminate()
        assert process.wait(10) == 0, (tmp_path / "log").read_text()


_START = """
import os, sys
here = sys.argv.index("--")
command, settings = sys.argv[1:here], dict(each.split("=", 1) for each in sys.argv[here + 1:])
os.chdir("/app")
os.execve("/venv/bin/" + command[0], command, settings)
"""


def ask(process: int, path: str, *options: str) -> tuple[int, str]:
    """Status and body of a request in the process's network; 0 when nobody listens."""
    command = ["nsenter", "--target", str(process), "--net", "curl", "--silent", "--max-time", "20", *options,
               "--write-out", "\n%{http_code}", f"http://127.0.0.1:8080{path}"]  # fmt: skip
    body, _, status = subprocess.run(command, capture_output=True, text=True, check=False).stdout.rpartition("\n")
    return int(status or 0), body


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_it_works_on_a_read_only_root(served: int) -> None:
    """It becomes ready, refuses a stranger's event, and takes a tick that has the key."""
    deadline = time.monotonic() + 20
    while ask(served, "/health/readiness")[0] != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert ask(served, "/health/liveness")[0] == 200
    event = ["-H", "ce-specversion: 1.0", "-H", "ce-source: /test", "-H", "ce-type: io.drover.tick",
             "-H", "content-type: application/json", "-d", "{}"]  # fmt: skip
    assert ask(served, "/", "-H", "ce-id: 1", *event)[0] == 401
    key = base64.b64encode(KEY.encode()).decode()
    assert ask(served, "/", "-H", "ce-id: 2", "-H", f"ce-drovertick: {key}", *event) == (204, "")
    status = Path(f"/proc/{served}/status").read_text()
    assert "\nUid:\t1000\t1000\t1000\t1000\n" in status
    with pytest.raises(OSError, match="Read-only"):
        Path(f"/proc/{served}/root/app/new").touch()
