"""No secret gets into a log line, and nothing else is lost from it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.telemetry.redaction import DEPTH, REDACTED, clean, clean_field, clean_text, redact

TOKEN = "gAAAAABm" + "x1-_" * 20


@pytest.mark.parametrize(
    "key",
    [
        *("password", "passwd", "adminPass", "admin_pass", "OS_PASSWORD", "X-Auth-Token", "x_subject_token"),
        *("client_secret", "application_credential_secret", "Authorization", "api_key", "apikey", "private-key"),
    ],
)
def test_fields_named_as_secrets(key: str) -> None:
    """A field whose name says that it is a secret is not shown, whatever its type."""
    assert clean_field(key, "hush") == REDACTED
    assert clean_field(key, {"deep": "hush"}) == REDACTED


@pytest.mark.parametrize("key", ["host", "server", "event", "passed", "bypass_port", "compass"])
def test_other_fields(key: str) -> None:
    """A field of another name is kept."""
    assert clean_field(key, "cmp01") == "cmp01"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("rabbit://nova:hush@127.0.0.1:5672/", f"rabbit://{REDACTED}@127.0.0.1:5672/"),
        (
            "mysql+pymysql://nova:hu@sh@db/nova?charset=utf8",
            f"mysql+pymysql://{REDACTED}@db/nova?charset=utf8",
        ),
        ("see https://docs.example/a@b", "see https://docs.example/a@b"),
        ("login failed: password=hush, user=nova", f"login failed: password={REDACTED}, user=nova"),
        ('{"adminPass": "hush hush", "id": 3}', f'{{"adminPass": {REDACTED}, "id": 3}}'),
        ("X-Auth-Token: hush", f"X-Auth-Token: {REDACTED}"),
        ("Authorization: Bearer hush", f"Authorization: {REDACTED}"),
        (f"got {TOKEN}== back", f"got {REDACTED} back"),
        ("moved 3 servers in 12 s", "moved 3 servers in 12 s"),
    ],
)
def test_secrets_within_a_text(text: str, cleaned: str) -> None:
    """Passwords in URLs, `name=value` pairs, headers and Keystone tokens are taken out; the rest stays."""
    assert clean_text(text) == cleaned


def test_nested_values() -> None:
    """Secrets are found in mappings, lists, tuples, bytes and exceptions."""
    given = {
        "cell": {"transport_url": "rabbit://nova:hush@mq/", "id": 7, "up": True, "load": 0.5, "zone": None},
        "bodies": [b"password=hush", ("token=hush",)],
        "error": ValueError("password=hush"),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
    }
    assert clean(given) == {
        "cell": {"transport_url": f"rabbit://{REDACTED}@mq/", "id": 7, "up": True, "load": 0.5, "zone": None},
        "bodies": [f"password={REDACTED}", [f"token={REDACTED}"]],
        "error": f"ValueError: password={REDACTED}",
        "at": "2026-01-02 00:00:00+00:00",
    }


def test_an_absent_secret_is_no_secret() -> None:
    """That a password is not set may be shown."""
    assert clean_field("password", None) is None


def test_objects_become_clean_text() -> None:
    """An object of an unknown class is shown by its text, which is cleaned too."""

    class Connection:
        def __str__(self) -> str:
            return "amqp://nova:hush@mq/"

    assert clean(Connection()) == f"amqp://{REDACTED}@mq/"


def test_depth_is_bounded() -> None:
    """A structure that holds itself ends, and is not shown below the bound."""
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert str(clean(loop)).count("again") == DEPTH
    assert "[too deep]" in str(clean(loop))


def test_structlogs_own_fields_stay() -> None:
    """The processor leaves structlog's bookkeeping alone."""
    record = object()
    assert redact(None, "info", {"_record": record, "token": "hush"}) == {
        "_record": record,
        "token": REDACTED,
    }


@given(st.text(alphabet="abcXYZ019!$%*+.:@~-", min_size=1), st.sampled_from(["rabbit", "postgresql+psycopg"]))
def test_no_password_of_a_url_survives(password: str, scheme: str) -> None:
    """Whatever the password is made of, it is not in the text that is left."""
    cleaned = clean_text(f"can't reach {scheme}://drover:{password}@db.example/x today")
    assert cleaned == f"can't reach {scheme}://{REDACTED}@db.example/x today"
