"""What the environment may say, and how a wrong value is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.settings import OTHERS, Settings, SettingsError, load


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine that runs the tests reaches them."""
    for name in [name for name in os.environ if name.startswith("DROVER_") or name in OTHERS.values()]:
        monkeypatch.delenv(name)


def _refusal(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load()
    return str(caught.value)


def test_every_setting_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty environment is enough: a file in the state directory, nothing sent or served."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    settings = load()
    assert settings.database_url.get_secret_value() == f"sqlite:///{tmp_path}/drover/drover.db"
    assert (settings.sink, settings.url, settings.cloud, settings.otlp_endpoint) == (None, None, None, None)
    assert settings.metrics_port is None
    assert (settings.slice_seconds, settings.lease_seconds, settings.continuation_hops) == (25, 30, 6)
    assert settings.log_level == "INFO"


def test_defaults_make_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Reading the settings only reads: the state directory is left for the store to make."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    load()
    assert not (tmp_path / "state").exists()


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that leaves a value empty gets the default."""
    monkeypatch.setenv("DROVER_METRICS_PORT", "")
    monkeypatch.setenv("DROVER_SLICE_SECONDS", "")
    assert load().metrics_port is None
    assert load().slice_seconds == 25


@pytest.mark.parametrize(("own", "other"), OTHERS.items())
def test_names_that_others_use(monkeypatch: pytest.MonkeyPatch, own: str, other: str) -> None:
    """Knative's, OpenStack's and OpenTelemetry's variables are understood; Drover's own wins."""
    field = own.removeprefix("DROVER_").lower()
    monkeypatch.setenv(other, "http://theirs.example")
    assert getattr(load(), field) == "http://theirs.example"
    monkeypatch.setenv(own, "http://ours.example")
    assert getattr(load(), field) == "http://ours.example"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgresql://u:p@db/drover", "postgresql+psycopg://u:p@db/drover"),
        ("postgres://u:p@db/drover", "postgresql+psycopg://u:p@db/drover"),
        ("postgresql+psycopg://db/drover", "postgresql+psycopg://db/drover"),
        ("sqlite:////var/lib/drover.db", "sqlite:////var/lib/drover.db"),
    ],
)
def test_database_urls(monkeypatch: pytest.MonkeyPatch, given: str, used: str) -> None:
    """Each usual way to write a PostgreSQL address means psycopg 3."""
    monkeypatch.setenv("DROVER_DATABASE_URL", given)
    assert load().database_url.get_secret_value() == used


@pytest.mark.parametrize("url", ["mysql://drover:hush@db/drover", "drover:hush@db", "postgresql://", "hush"])
def test_other_databases_are_refused_without_a_word_of_the_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The message names the variable and shows an example, and no part of the value behind its scheme."""
    message = _refusal(monkeypatch, DROVER_DATABASE_URL=url)
    assert "DROVER_DATABASE_URL: found" in message
    assert "postgresql://USER:PASSWORD@HOST/DATABASE" in message
    assert "hush" not in message
    assert ("mysql://" in message) == url.startswith("mysql")


def test_the_password_is_in_no_representation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Printing the settings shows no password."""
    monkeypatch.setenv("DROVER_DATABASE_URL", "postgresql://drover:hush@db/drover")
    settings = load()
    assert "hush" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("DROVER_SLICE_SECONDS", "abc", "number"),
        ("DROVER_SLICE_SECONDS", "0", "greater than 0"),
        ("DROVER_SLICE_SECONDS", "56", "less than or equal to 55"),
        ("DROVER_LEASE_SECONDS", "4000", "less than or equal to 3600"),
        ("DROVER_CONTINUATION_HOPS", "-1", "greater than or equal to 0"),
        ("DROVER_METRICS_PORT", "70000", "less than or equal to 65535"),
        ("DROVER_METRICS_PORT", "8080", "another port than 8080"),
        ("DROVER_LOG_FORMAT", "xml", "'json' or 'console'"),
        ("DROVER_LOG_LEVEL", "loud", "'DEBUG'"),
        ("DROVER_URL", "drover.example", "http:// or https://"),
        ("K_SINK", "ftp://broker", "http:// or https://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "http:// or https://"),
    ],
)
def test_wrong_values(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str) -> None:
    """A wrong value is told by the variable that holds it, with what was found and what was expected."""
    message = _refusal(monkeypatch, **{variable: value})
    assert message.lower().startswith(f"{variable}: found {value!r}, expected ".lower())
    assert expected in message


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two mistakes take one attempt to find, a line each."""
    message = _refusal(monkeypatch, DROVER_LOG_FORMAT="xml", DROVER_URL="nowhere")
    assert [line.split(":")[0] for line in message.splitlines()] == ["DROVER_LOG_FORMAT", "DROVER_URL"]


def test_credentials_in_an_address_are_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message about a wrong address leaves its user and password out."""
    message = _refusal(monkeypatch, DROVER_URL="ftp://me:hush@drover.example/x")
    assert "'ftp://[redacted]@drover.example/x'" in message
    assert "hush" not in message


def test_a_lease_outlives_its_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that ends within a slice would let two workers in, so it is refused."""
    message = _refusal(monkeypatch, DROVER_LEASE_SECONDS="25")
    assert message.startswith("DROVER_LEASE_SECONDS: found 25, expected more than the 25")


@pytest.mark.parametrize(("terminal", "chosen"), [(True, "console"), (False, "json")])
def test_logs_are_for_people_on_a_terminal(monkeypatch: pytest.MonkeyPatch, terminal: bool, chosen: str) -> None:
    """Unless it is set, the log format follows whether stderr is a terminal."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    assert load().log_format == chosen


def test_words_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """`debug` and `JSON` are understood as they are meant."""
    monkeypatch.setenv("DROVER_LOG_LEVEL", "debug")
    monkeypatch.setenv("DROVER_LOG_FORMAT", "JSON")
    settings = load()
    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")


def test_settings_do_not_change() -> None:
    """Nobody changes the settings of a running process."""
    with pytest.raises(ValidationError):
        Settings().__setattr__("slice_seconds", 3.0)  # a plain assignment is a type error


def test_nobody_is_let_in_by_default() -> None:
    """No setting of the doors has a default that opens one."""
    settings = load()
    assert settings.door_secrets == ()
    means = (settings.door_tick, settings.broker_issuer, settings.keystone_url, settings.oidc_issuer)
    assert means == (None, None, None, None)
    assert (settings.broker_senders, settings.keystone_projects, settings.plain_http) == ((), (), False)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks around a name and empty names do not count."""
    monkeypatch.setenv("DROVER_KEYSTONE_URL", "https://keystone.example/v3/")
    monkeypatch.setenv("DROVER_KEYSTONE_PROJECTS", " ops@Default, 4711 ,")
    settings = load()
    assert settings.keystone_projects == ("ops@Default", "4711")
    assert settings.keystone_url == "https://keystone.example/v3"


def test_several_secrets_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With blanks or line breaks between them, so that a new one can be brought in."""
    monkeypatch.setenv("DROVER_DOOR_SECRET", "new-secret-new-secret\nold-secret-old-secret\n")
    assert load().door_secrets == ("new-secret-new-secret", "old-secret-old-secret")


BROKER = {
    "DROVER_BROKER_ISSUER": "https://kubernetes.default.svc.cluster.local",
    "DROVER_BROKER_AUDIENCE": "drover/migrate",
    "DROVER_BROKER_SENDERS": "system:serviceaccount:drover:migrate",
}


@pytest.mark.parametrize("missing", BROKER)
def test_half_a_means_is_none(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """A means with a part missing would refuse everybody, or look open: it is told at the start."""
    message = _refusal(monkeypatch, **{name: value for name, value in BROKER.items() if name != missing})
    assert message.startswith(f"{missing}: found nothing")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DROVER_KEYSTONE_PROJECTS": "ops@Default"}, "without DROVER_KEYSTONE_URL"),
        ({"DROVER_KEYSTONE_URL": "https://keystone.example"}, "https://HOST/v3"),
        ({"DROVER_KEYSTONE_URL": "http://keystone.example/v3"}, "DROVER_PLAIN_HTTP"),
        ({"DROVER_OIDC_ISSUER": "http://login.example", "DROVER_OIDC_AUDIENCE": "drover"}, "DROVER_PLAIN_HTTP"),
        ({"DROVER_BROKER_JWKS_URL": "http://kubernetes.default.svc/openid/v1/jwks"}, "DROVER_PLAIN_HTTP"),
        ({**BROKER, "DROVER_BROKER_SENDERS": "drover/migrate"}, "system:serviceaccount:NAMESPACE:NAME"),
        (
            {**BROKER, "DROVER_BROKER_SENDERS": "system:serviceaccount:*:migrate"},
            "system:serviceaccount:NAMESPACE:NAME",
        ),
        (
            {**BROKER, "DROVER_OIDC_ISSUER": BROKER["DROVER_BROKER_ISSUER"], "DROVER_OIDC_AUDIENCE": "drover"},
            "expected another",
        ),
    ],
)
def test_doors_that_would_not_hold(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str) -> None:
    """Settings that contradict each other or let listeners in are refused, with what to do."""
    assert expected in _refusal(monkeypatch, **variables)


def test_plain_http_where_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the loopback address, or with DROVER_PLAIN_HTTP."""
    monkeypatch.setenv("DROVER_KEYSTONE_URL", "http://127.0.0.1:5000/v3")
    load()
    monkeypatch.setenv("DROVER_KEYSTONE_URL", "http://keystone.example/v3")
    monkeypatch.setenv("DROVER_PLAIN_HTTP", "true")
    assert load().keystone_url == "http://keystone.example/v3"


@pytest.mark.parametrize("variable", ["DROVER_DOOR_SECRET", "DROVER_DOOR_TICK", "DROVER_METRICS_TOKEN"])
@pytest.mark.parametrize("value", ["hush", "long-enough-long-enough hush", " "])
def test_secrets_that_can_be_guessed(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """They are refused without being shown, and the message says how to make a good one."""
    message = _refusal(monkeypatch, **{variable: value})
    assert message.startswith(f"{variable}: found {len(value)} characters")
    assert "openssl rand" in message
    assert "hush" not in message
