"""From a command line's words to a request."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.asking import cloud_name, deadline
from shared.errors import Rejected
from shared.settings import load

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("90m", "2026-05-01T13:30:00+00:00"),
        ("2h", "2026-05-01T14:00:00+00:00"),
        ("1h30min", "2026-05-01T13:30:00+00:00"),
        ("1d", "2026-05-02T12:00:00+00:00"),
        ("2026-05-01T16:00+02:00", "2026-05-01T14:00:00+00:00"),
    ],
)
def test_a_deadline_is_a_period_or_a_time(text: str, found: str) -> None:
    """Both come out as a time in UTC."""
    assert deadline(text, NOW) == found


def test_no_deadline_is_none() -> None:
    """The option may be missing."""
    assert deadline(None, NOW) is None


@pytest.mark.parametrize("text", ["", "h", "2", "soon", "0m", "2020-01-01T00:00+00:00", "-2h"])
def test_a_deadline_that_makes_no_sense_is_refused(text: str) -> None:
    """Nonsense and the past are wrong input."""
    with pytest.raises(Rejected, match="--deadline"):
        deadline(text, NOW)


@given(st.text(max_size=30))
def test_any_text_is_a_deadline_or_refused(text: str) -> None:
    """No text makes it fail in another way."""
    try:
        found = deadline(text, NOW)
    except Rejected:
        return
    assert found is not None
    assert datetime.fromisoformat(found) > NOW


def _clouds(state: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    entries = "".join(f"  {name}:\n    auth: {{auth_url: 'http://keystone.test'}}\n" for name in names)
    (state / "clouds.yaml").write_text(f"clouds:\n{entries}" if names else "clouds: {}\n")
    monkeypatch.delenv("OS_CLOUD")
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(state / "clouds.yaml"))


def test_the_only_cloud_needs_no_name(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one entry in clouds.yaml that one is meant."""
    _clouds(state, monkeypatch, "paris")
    assert cloud_name(None, load(), is_local=True) == "paris"


def test_several_clouds_are_listed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drover never guesses which cloud is meant."""
    _clouds(state, monkeypatch, "paris", "rome")
    with pytest.raises(Rejected, match="paris, rome"):
        cloud_name(None, load(), is_local=True)


def test_no_cloud_at_all_is_explained(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where a clouds.yaml is looked for."""
    _clouds(state, monkeypatch)
    with pytest.raises(Rejected, match=r"clouds\.yaml"):
        cloud_name(None, load(), is_local=True)


def test_a_broken_clouds_yaml_is_explained(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is no YAML is wrong input, not a bug; openstacksdk skips it with a warning in the log."""
    _clouds(state, monkeypatch)
    (state / "clouds.yaml").write_text("clouds: [")
    with pytest.raises(Rejected, match=r"no cloud is configured.*YAML"):
        cloud_name(None, load(), is_local=True)


def test_the_option_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """--cloud, then DROVER_CLOUD, then OS_CLOUD."""
    monkeypatch.setenv("OS_CLOUD", "a")
    assert cloud_name(None, load(), is_local=True) == "a"
    monkeypatch.setenv("DROVER_CLOUD", "b")
    assert cloud_name(None, load(), is_local=False) == "b"
    assert cloud_name("c", load(), is_local=True) == "c"
