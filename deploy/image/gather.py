"""Gather the root file system of the image: Python, the libraries that it and the wheels need, and little else.

    python3 gather.py /venv /rootfs

Runs in the base image, as root. What is taken is listed here, so that nothing else of the base gets in: no shell, no
package manager, no pip, no program that may become another user. Which Debian packages the files are from is kept in
/var/lib/dpkg/status.d, where scanners of images without dpkg look for it.
"""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

NEEDLESS = frozenset(
    {"ensurepip", "idlelib", "tkinter", "turtledemo", "lib2to3", "pydoc_data", "test", "site-packages", "dist-packages"}
)
"""Parts of the standard library's directory that no server imports; ensurepip holds a whole pip."""
DLOPENED = ("libgcc_s.so.1",)
"""Libraries that glibc loads by name (pthread_exit and pthread_cancel)."""
FILES = (
    "/etc/ssl",  # whom Python's ssl trusts
    "/usr/lib/ssl",
    "/etc/nsswitch.conf",
    "/etc/protocols",
    "/etc/services",
    "/etc/os-release",  # scanners ask it which Debian this is
    "/etc/debian_version",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/usr/lib/os-release",
    "/usr/lib/locale/C.utf8",
    "/usr/share/zoneinfo",
    "/usr/share/doc/ca-certificates/copyright",
)
"""Taken if the base has them."""
USERS = "root:x:0:0:root:/:/sbin/nologin\ndrover:x:1000:1000:drover:/tmp:/sbin/nologin\n"
GROUPS = "root:x:0:\ndrover:x:1000:\n"
_LINKED = re.compile(r"(/\S+) \(0x[0-9a-f]+\)$", re.M)
_MISSING = re.compile(r"(\S+) => not found")


class Root:
    """The file system that is being made.

    Args:
        top: its directory; made here.
        base: where the paths are read, `/` outside of tests.
        leave: files that are not wanted, though their directory is.
    """

    def __init__(self, top: Path, base: Path = Path("/"), leave: Iterable[Path] = ()) -> None:
        self.top = top
        self.base = base
        self.leave = frozenset(leave)
        self.taken: set[Path] = set()
        """Absolute paths, as in the base."""
        top.mkdir(parents=True)

    def take(self, path: Path) -> None:
        """Copy a file, a link with what it points to, or a directory with all that is in it."""
        if path in self.taken:
            return
        self.taken.add(path)
        source, target = self._inside(path)
        if source.is_symlink():
            self._link(source, target)
            self.take(self._absolute(path.parent / source.readlink()))
        elif source.is_dir():
            target.mkdir(exist_ok=True)
            for name in sorted(source.iterdir()):
                if name.name not in NEEDLESS and path / name.name not in self.leave:
                    self.take(path / name.name)
        else:
            shutil.copy2(source, target)
            target.chmod(stat.S_IMODE(source.stat().st_mode) & ~(stat.S_ISUID | stat.S_ISGID))

    def write(self, path: str, text: str) -> None:
        """A file of our own."""
        target = self.top / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def _inside(self, path: Path) -> tuple[Path, Path]:
        """Where a path is read and written; its directories are made, links among them kept (/lib -> usr/lib)."""
        here = Path("/")
        for part in path.parts[1:-1]:
            here = here / part
            source = self.base / here.relative_to("/")
            if source.is_symlink():
                self._link(source, self.top / here.relative_to("/"))
                here = self._absolute(here.parent / source.readlink())
            (self.top / here.relative_to("/")).mkdir(parents=True, exist_ok=True)
        real = here / path.name
        return self.base / real.relative_to("/"), self.top / real.relative_to("/")

    @staticmethod
    def _link(source: Path, target: Path) -> None:
        if not target.is_symlink():
            target.symlink_to(source.readlink())

    @staticmethod
    def _absolute(path: Path) -> Path:
        """Without `..`, so that a path has one name."""
        parts: list[str] = []
        for part in path.parts[1:]:
            if part == "..":
                parts.pop()
            else:
                parts.append(part)
        return Path("/", *parts)


@dataclass(frozen=True)
class Needs:
    """What an ELF file is linked to."""

    libraries: frozenset[Path]
    missing: frozenset[str]
    """Names of libraries that the base does not have."""


def parse_ldd(text: str) -> dict[Path, Needs]:
    """The answer of `ldd FILE FILE...` by file (glibc's ldd(1))."""
    pieces = re.split(r"^(/.*):$", text, flags=re.M)[1:]
    return {
        Path(name): Needs(frozenset(map(Path, _LINKED.findall(body))), frozenset(_MISSING.findall(body)))
        for name, body in zip(pieces[::2], pieces[1::2], strict=True)
    }


def needs_of(binaries: Iterable[Path]) -> dict[Path, Needs]:
    """What ELF files of the running system are linked to, directly or not, the loader included."""
    command = ["ldd", "/usr/bin/env", *map(str, binaries)]  # with a single file ldd would not name it
    return parse_ldd(subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"}).stdout)


def libraries_of(needs: Mapping[Path, Needs], environment: Path, optional: Path) -> tuple[list[Path], set[Path]]:
    """The libraries that are needed, and the modules below `optional` that lack one.

    The standard library may have modules that the base can't load (_tkinter in the slim images): they are left out.

    Raises:
        SystemExit: Python itself or a wheel lacks a library.
    """
    broken = {path for path, need in needs.items() if need.missing and path.is_relative_to(optional)}
    if lacking := sorted({name for path, need in needs.items() if path not in broken for name in need.missing}):
        raise SystemExit(
            f"found no {', '.join(lacking)}, which Python or a wheel needs; take another BASE that has them"
        )
    found = {library for path, need in needs.items() if path not in broken for library in need.libraries}
    return sorted(path for path in found if not path.is_relative_to(environment)), broken


def python_files() -> Iterator[Path]:
    """The running Python: its programs and its standard library."""
    executable = Path(sys.base_prefix, "bin", "python3")
    yield executable
    yield Path(sysconfig.get_path("stdlib"))
    yield Path(sysconfig.get_path("platstdlib"))


def shared_objects(*directories: Path) -> Iterator[Path]:
    """All ELF libraries below some directories."""
    for directory in directories:
        yield from sorted(path for path in directory.rglob("*.so*") if path.is_file() and not path.is_symlink())


def package_stanzas(paths: Iterable[Path]) -> dict[str, str]:
    """The Debian packages that own some of the paths, and what dpkg knows of each."""
    names: set[str] = set()
    for path in paths:
        for each in {path, Path("/usr") / path.relative_to("/"), Path("/") / str(path).removeprefix("/usr/")}:
            found = subprocess.run(["dpkg-query", "-S", str(each)], capture_output=True, text=True, check=False)
            names |= {name.strip() for line in found.stdout.splitlines() for name in line.split(": ")[0].split(",")}
    return {name.partition(":")[0]: _stanza(name) for name in sorted(names) if "diversion by" not in name}


def _stanza(name: str) -> str:
    return subprocess.run(["dpkg-query", "-s", name], capture_output=True, text=True, check=True).stdout


def main(environment: Path, top: Path) -> None:
    """Make the root file system that the virtual environment needs."""
    python = list(python_files())
    objects = [each for each in shared_objects(*python[1:]) if not NEEDLESS & set(each.parts)]
    needs = needs_of([python[0].resolve(), *objects, *shared_objects(environment)])
    libraries, broken = libraries_of(needs, environment, python[1])
    folder = next(path.parent for path in libraries if path.name == "libc.so.6")
    libraries += [folder / name for name in DLOPENED if (folder / name).exists()]
    rest = [Path(name) for name in FILES if Path(name).exists()]
    root = Root(top, leave=broken)
    for path in (*python, *libraries, *rest):
        root.take(path)
    root.write("/etc/passwd", USERS)
    root.write("/etc/group", GROUPS)
    for name, stanza in package_stanzas([*libraries, *python, *rest]).items():
        root.write(f"/var/lib/dpkg/status.d/{name}", stanza)
    (top / "tmp").mkdir()
    (top / "tmp").chmod(0o1777)
    subprocess.run(["ldconfig", "-i", "-r", str(top)], check=True)
    shutil.rmtree(top / "var/cache", ignore_errors=True)  # ldconfig's notes of inodes and times
    names = ", ".join(sorted(path.name for path in broken)) or "nothing"
    sys.stderr.write(
        f"gathered {len(root.taken)} files, {len(libraries)} libraries; left out as not loadable: {names}\n"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(f"found {sys.argv[1:]}, expected a virtual environment and a directory to make")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
