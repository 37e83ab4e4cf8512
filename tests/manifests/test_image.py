"""The image: what goes in, what stays out, and that it is what `func build` would serve."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType

import pytest

from shared import VERSION

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "deploy/image"
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def script(name: str) -> ModuleType:
    """One of the scripts that make the image."""
    spec = importlib.util.spec_from_file_location(f"image_{name}", IMAGE / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def instructions(stage: int) -> list[str]:
    """The instructions of one stage of the Dockerfile, continuation lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    stages = re.split(r"^(?=FROM )", text, flags=re.M)[1:]
    return [re.sub(r"\s+", " ", line).strip() for line in stages[stage].splitlines() if line.strip()]


LAST = instructions(-1)


def test_it_starts_as_the_buildpack_would_start_it() -> None:
    """The entry point is the command of the Procfile, where func.py and the Procfile lie."""
    command = (ROOT / "Procfile").read_text().partition("web: ")[2].split()
    assert f"ENTRYPOINT {command}".replace("'", '"') in LAST
    assert "WORKDIR /app" in LAST
    assert "COPY --from=build /app /app" in LAST
    assert any(line.startswith("COPY func.py Procfile /app/") for line in instructions(0))


def test_it_is_somebody_else_than_root() -> None:
    """The user is a number, which Kubernetes can check (runAsNonRoot), and the port that of the runtime."""
    users = [line for line in LAST if line.startswith("USER")]
    assert users == ["USER 1000:1000"]
    assert "EXPOSE 8080" in LAST


def test_only_hashed_wheels_are_installed() -> None:
    """pip installs nothing without its hash, nothing that would have to be compiled, nothing that is not locked."""
    pip = [line for stage in range(3) for line in instructions(stage) if " pip " in line]
    assert len(pip) == 1
    options = next(line for line in instructions(0) if line.startswith("ENV"))
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(options.replace('"', " ").split())
    installs = re.findall(r"pip --python \S+ (\S+) -r (\S+)", pip[0])
    assert installs == [("$INSTALL", "requirements.txt"), ("$INSTALL", "requirements-sbom.txt")]
    assert "apt-get" not in DOCKERFILE


def test_the_last_stage_begins_with_nothing_and_runs_nothing() -> None:
    """What earlier stages needed is in no layer of the image."""
    assert LAST[0] == "FROM scratch"
    assert not [line for line in LAST if line.startswith(("RUN", "ADD"))]
    assert [line for line in LAST if line.startswith("COPY") and "--from=" not in line] == []


def test_the_version_is_the_projects() -> None:
    """The label says the version that the code says."""
    assert f"ARG VERSION={VERSION}" in LAST


def test_the_builder_gets_only_what_is_named() -> None:
    """.dockerignore lets in what the Dockerfile copies, and begins by letting in nothing."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line[1:] for line in lines if line.startswith("!")} - {"deploy"}
    copied = {
        word.removesuffix("/*.py").removesuffix("/requirements-sbom.txt")
        for stage in (0, 1)
        for line in instructions(stage)
        if line.startswith("COPY") and "--from" not in line
        for word in line.split()[1:-1]
    }
    assert allowed == copied
    assert {"**/__pycache__", "**/*.pyc"} <= set(lines)


def test_the_list_makers_lock_is_hashed() -> None:
    """What writes the SBOM is pinned as the rest is, and names no index."""
    text = (IMAGE / "requirements-sbom.txt").read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.M)[1:]
    assert any(entry.startswith("cyclonedx-bom==") for entry in entries)
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in text


def test_the_lock_can_be_audited() -> None:
    """pip-audit takes the lock as it is, every package with its version, without asking any index."""
    program = Path(sys.executable).with_name("pip-audit")
    command = [program, "--dry-run", "--disable-pip", "--require-hashes", "-r", ROOT / "requirements.txt"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    locked = re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.txt").read_text(), re.M)
    counted = re.search(r"would have audited (\d+) packages", done.stderr + done.stdout)
    assert counted
    assert 50 < int(counted[1]) <= len(locked)  # some are for other platforms


@pytest.mark.parametrize(
    ("name", "needless"),
    [
        ("numpy/_core/tests/test_umath.py", True),
        ("numpy/random/lib/libnpyrandom.a", True),
        ("pydantic/main.pyi", True),
        ("numpy/testing/__init__.py", False),
        ("tests.py", False),
        ("openstack/compute/v2/server.py", False),
        ("numpy.libs/libscipy_openblas64_-4b78795a.so", False),
        ("certifi/cacert.pem", False),
    ],
)
def test_what_is_trimmed(name: str, needless: bool) -> None:
    """Tests, stubs and what compilers read go; what could be imported or loaded stays."""
    assert script("trim").is_needless(PurePosixPath(name)) is needless


def test_trimming_keeps_the_record(tmp_path: Path) -> None:
    """A trimmed file leaves its distribution's RECORD too, and its empty directories; the rest is untouched."""
    for name in ("thing/__init__.py", "thing/tests/test_it.py", "thing/deep/tests/data/x.txt", "own/tests/mine.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x" * 10)
    info = tmp_path / "thing-1.dist-info"
    info.mkdir()
    kept = "thing/__init__.py,sha256=abc,10\nthing-1.dist-info/RECORD,,\n"
    (info / "RECORD").write_text(
        f"{kept}thing/tests/test_it.py,sha256=abc,10\nthing/deep/tests/data/x.txt,sha256=abc,10\n"
    )
    assert script("trim").trim(tmp_path) == 20
    assert (info / "RECORD").read_text() == kept
    assert not (tmp_path / "thing/tests").exists()
    assert not (tmp_path / "thing/deep").exists()
    assert (tmp_path / "own/tests/mine.py").exists()


def test_imports_are_found_wherever_they_stand() -> None:
    """Imports inside of functions count, those for type checkers and relative ones do not."""
    tree = ast.parse(
        "import a.b\nfrom c import d\nfrom . import e\nif TYPE_CHECKING:\n    import f\n"
        "class G:\n    def h(self):\n        if True:\n            from i.j import k, l\n"
    )
    assert list(script("loaded").imports(tree)) == [("a.b", ()), ("c", ("d",)), ("i.j", ("k", "l"))]


def test_a_package_that_the_image_lacks_stops_the_build(tmp_path: Path) -> None:
    """An import that fails is an error, not a file without bytecode."""
    (tmp_path / "func.py").write_text("def main(context):\n    import a_package_that_is_not_there\n")
    done = subprocess.run(
        [sys.executable, IMAGE / "loaded.py", tmp_path], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "a_package_that_is_not_there" in done.stderr
    assert done.stdout == ""


LDD = """/usr/local/bin/python3.12:
\tlinux-vdso.so.1 (0x00007ffd)
\tlibpython3.12.so.1.0 => /usr/local/lib/libpython3.12.so.1.0 (0x00007f01)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f02)
/lib/python3.12/lib-dynload/_tkinter.so:
\tlibtk8.6.so => not found
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f03)
/venv/x/y.so:
\tlibz.so => /venv/x.libs/libz.so (0x00007f04)
\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f05)
"""


def test_what_is_linked() -> None:
    """The libraries of the base are taken, the wheels' own stay where they are, what can't be loaded is left out."""
    gather = script("gather")
    found, broken = gather.libraries_of(gather.parse_ldd(LDD), Path("/venv"), Path("/lib/python3.12"))
    assert [str(path) for path in found] == [
        "/lib/x86_64-linux-gnu/libm.so.6",
        "/lib64/ld-linux-x86-64.so.2",
        "/usr/local/lib/libpython3.12.so.1.0",
    ]
    assert broken == {Path("/lib/python3.12/lib-dynload/_tkinter.so")}


def test_a_base_without_a_wheels_library_is_refused() -> None:
    """A wheel that could not be loaded stops the build, and the message names what is missing."""
    gather = script("gather")
    needs = gather.parse_ldd("/venv/x/y.so:\n\tlibGL.so.1 => not found\n")
    with pytest.raises(SystemExit, match=r"libGL\.so\.1"):
        gather.libraries_of(needs, Path("/venv"), Path("/lib/python3.12"))


def test_links_are_kept(tmp_path: Path) -> None:
    """A file behind links comes with all of them, once, without its set-user-id bit, and as relative as before."""
    base, top = tmp_path / "base", tmp_path / "top"
    (base / "usr/lib/deep").mkdir(parents=True)
    (base / "lib").symlink_to("usr/lib")
    library = base / "usr/lib/deep/real.so.1.2"
    library.write_text("code")
    library.chmod(0o4755)
    (base / "usr/lib/real.so").symlink_to("deep/../deep/real.so.1.2")
    (base / "usr/lib/pip").mkdir()
    (base / "usr/lib/ensurepip").mkdir()
    root = script("gather").Root(top, base, leave=[Path("/usr/lib/pip")])
    root.take(Path("/lib/real.so"))
    root.take(Path("/usr/lib"))
    assert os.readlink(top / "lib") == "usr/lib"
    assert (top / "lib/real.so").read_text() == "code"
    assert (top / "usr/lib/deep/real.so.1.2").stat().st_mode & 0o7777 == 0o755
    assert sorted(path.name for path in (top / "usr/lib").iterdir()) == ["deep", "real.so"]
