"""The command as a whole: its help, its version, and what it costs to start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit.cli.conftest import Run


def test_version(run: Run) -> None:
    """The installed version, and 0."""
    outcome = run("--version")
    assert outcome.code == 0
    assert outcome.out.startswith("drover 0.")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("drain",),
        ("undrain",),
        ("drain-network",),
        ("undrain-network",),
        ("ops",),
        ("ops", "watch"),
        ("serve",),
        ("lab",),
    ],
)
def test_help_is_there_for_every_command(run: Run, words: tuple[str, ...]) -> None:
    """Each has a help that exits 0."""
    outcome = run(*words, "--help")
    assert outcome.code == 0
    assert "Usage" in outcome.out


@pytest.mark.parametrize("command", ["drain", "undrain", "drain-network", "undrain-network", "ops"])
def test_help_says_what_the_exit_codes_mean(run: Run, command: str) -> None:
    """A script's author finds them without the documentation."""
    text = " ".join(run(command, "--help").out.split())
    for part in ("0 done", "1 failed", "2 wrong input", "3 halted", "130 left with Ctrl-C"):
        assert part in text


def test_help_loads_nothing_heavy() -> None:
    """`drover drain --help` is quick because no store, cloud or HTTP library is imported for it."""
    program = (
        "import sys, cli.main\n"
        "try: cli.main.app(['drain', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'sqlmodel', 'openstack', 'requests', 'numpy', 'flask', 'alembic'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert "Usage" in done.stdout
