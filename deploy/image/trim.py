"""Remove from a virtual environment what wheels ship and nothing imports: tests, type stubs, C sources and libraries.

    python3 trim.py /venv

Each file is taken out of its distribution's RECORD too, so that the environment still describes itself correctly
(Python Packaging User Guide, Recording installed projects).
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

SUFFIXES = frozenset({".pyi", ".a", ".h", ".c", ".pyx", ".pxd"})
"""What compilers and type checkers read."""
TESTS = frozenset({"tests"})
"""Directories of tests. Not `testing`: packages import those of others."""


def is_needless(name: PurePosixPath) -> bool:
    """Whether a file of a wheel, named as its RECORD does, is never read when the package is used."""
    return name.suffix in SUFFIXES or not TESTS.isdisjoint(name.parts[:-1])


def trim(site: Path) -> int:
    """Trim all distributions of a site-packages directory; returns the bytes that were freed.

    Raises:
        SystemExit: there is no distribution.
    """
    records = sorted(site.glob("*.dist-info/RECORD"))
    if not records:
        raise SystemExit(f"{site}: found no *.dist-info/RECORD, expected installed wheels")
    return sum(trim_distribution(site, record) for record in records)


def trim_distribution(site: Path, record: Path) -> int:
    """Delete one distribution's needless files and rewrite its RECORD; returns the bytes that were freed."""
    with record.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.reader(lines))
    kept = [row for row in rows if not is_needless(PurePosixPath(row[0]))]
    if len(kept) == len(rows):
        return 0
    freed = 0
    for name in sorted({row[0] for row in rows} - {row[0] for row in kept}):
        path = site / name
        freed += path.stat().st_size
        path.unlink()
        _remove_if_empty(path.parent, site)
    with record.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows(kept)
    return freed


def _remove_if_empty(directory: Path, top: Path) -> None:
    while directory != top and not any(directory.iterdir()):
        directory.rmdir()
        directory = directory.parent


def sites(environment: Path) -> Iterator[Path]:
    """The site-packages directories of a virtual environment."""
    yield from sorted(environment.glob("lib/python3.*/site-packages"))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(f"found {sys.argv[1:]}, expected one virtual environment, such as /venv")
    total = sum(trim(site) for site in sites(Path(sys.argv[1])))
    sys.stderr.write(f"trimmed {total / 1e6:.1f} MB\n")
