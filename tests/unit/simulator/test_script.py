"""The script of faults: what it understands, and how it says what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import LabError
from lab.simulator.script import load

WHOLE = """\
microversion: "2.96"
page: 10
token_seconds: 60
servers:
  web-*: {fail: pre-check, times: 1}
  db: {kill: target, seconds: 9}
hosts:
  cmp02: {state: dead}
requests:
  - {service: compute, path: "/servers/*/action", action: os-migrateLive, answer: lost, begin: 2, times: 1}
  - {status: 503, retry_after: 2, every: 3}
timeline:
  - {at: 10, kill: cmp01}
  - {at: 5, every: 60, times: 3, boot: {host: cmp03, count: 2, lives: 30}}
"""


def write(directory: Path, text: str) -> Path:
    """The script in a file."""
    path = directory / "faults.yaml"
    path.write_text(text)
    return path


def test_the_labs_words_mean_the_same(tmp_path: Path) -> None:
    """`servers` is what the lab's faults file knows."""
    script = load(write(tmp_path, WHOLE))
    faults = script.faults()
    assert (faults["web-*"].precheck, faults["web-*"].times) == (True, 1)
    assert (faults["db"].kills_target, faults["db"].seconds) == (True, 9)
    lost, busy = script.rules()
    assert (lost.answer, lost.begin, lost.action) == ("lost", 2, "os-migrateLive")
    assert (busy.status, busy.every, busy.retry_after) == (503, 3, 2)


def test_an_empty_script_is_none(tmp_path: Path) -> None:
    """Nothing goes wrong."""
    script = load(write(tmp_path, ""))
    assert (script.faults(), script.rules(), script.timeline) == ({}, [], ())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("servers:\n  db:\n    fial: x\n", ":3: servers.db.fial: Extra inputs"),
        ("servers:\n  db:\n    fail: now\n", ":3: servers.db.fail: Input should be"),
        ("requests:\n  - {status: 503}\n  - {service: compute}\n", ":3: requests.1: .*either `status`"),
        ("requests:\n  - {status: 503, answer: lost}\n", ":2: requests.0: .*either `status`"),
        ("timeline:\n  - at: 1\n", ":2: timeline.0: .*found none"),
        ("timeline:\n  - {at: 1, kill: a, revive: b}\n", ":2: timeline.0: .*found kill, revive"),
        ("timeline:\n  - {at: 1, kill: a, times: 2}\n", ":2: timeline.0: .*needs `every`"),
        ("microversion: 2.96\n", ":1: microversion: Input should be a valid string"),
        ("{", "is no YAML"),
    ],
)
def test_what_is_wrong_is_told_by_line_and_path(tmp_path: Path, text: str, place: str) -> None:
    """As an editor jumps to it."""
    with pytest.raises(LabError, match=rf"faults\.yaml.*{place}"):
        load(write(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    """It is named."""
    with pytest.raises(LabError, match="there is no file"):
        load(tmp_path / "none.yaml")
