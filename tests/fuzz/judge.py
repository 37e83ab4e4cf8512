"""What may be answered to a malformed request, and what may not have happened."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
from werkzeug.test import TestResponse

from shared.events import RequestRejected
from tests.fuzz.malformed import Case
from tests.fuzz.world import Function, State

ROOT = str(Path(__file__).parents[2])
TELLING = ("Traceback", 'File "', ROOT, "site-packages", "sqlalchemy", "sqlite3", "psycopg", "pydantic",
           "Function raised",
           "werkzeug", "object at 0x", "an unexpected error")  # fmt: skip
"""What would tell a stranger how Drover is made, or that it has a bug."""
AT_THE_DOOR = frozenset({400, 401, 403, 404, 405, 413, 429})
"""Statuses of what goes no further (docs/security.md); 503 only as long as it can't be told who somebody is."""
FACTS = ("operation", "step", "outbox", "audit")
HARD = frozenset(
    {"required", "additionalProperties", "maxLength", "minLength", "maximum", "minimum", "pattern", "maxItems"}
)
"""Of JSON schema's rules those that pydantic does not soften: it takes "3" for a number where no one is in doubt."""

counted: Counter[str] = Counter()
"""Of all inputs of this process, by what became of them."""


def judge(function: Function, case: Case, response: TestResponse, before: State, after: State) -> str:
    """Hold an answer against the rules; gives what became of the request.

    Raises:
        AssertionError: a rule was broken.
    """
    told = _secretive(response)
    status = response.status_code
    assert status < 500 or (status == 503 and case.let_in is False and response.headers.get("Retry-After")), told
    result = _result(case, response)
    if result == "refused" or (result in ("rejected", "ignored", "read") and not case.wakes):
        _nothing_happened(before, after, result)
    if result == "taken":
        _is_valid(function, case)
    if case.let_in is False:
        assert result in ("refused", "read"), f"nobody vouched for it, and it was {result}: {told}"
    counted[f"{function.name}: {result} {status}"] += 1
    return result


def _secretive(response: TestResponse) -> str:
    """The whole answer as text; nothing in it may tell how Drover is made, and a server must be able to send it."""
    for name, value in response.headers.items():
        assert f"{name}: {value}".encode("latin-1").isascii(), f"header {name} holds {value!r}"
        assert not {"\r", "\n", "\x00"} & set(value), f"header {name} holds {value!r}"
    told = f"{response.status_code} {dict(response.headers)} {response.get_data(as_text=True)}"
    for text in TELLING:
        assert text not in told, f"{text!r} is in the answer: {told[:2000]}"
    return told


def _result(case: Case, response: TestResponse) -> str:
    """refused at the door, rejected by an event, taken, kept or ignored without a word (204), or read: 308 is Flask's
    answer to an empty path."""
    status = response.status_code
    if status in AT_THE_DOOR or status == 503:
        assert status != 429 or response.headers["Retry-After"]
        if (
            case.request.path == "/"
            and case.request.method in ("GET", "POST")
            and response.headers["Content-Type"] != HTML
        ):
            assert json.loads(response.data)["error"]
        return "refused"
    if status == 204:
        assert response.data == b""
        return "ignored"
    assert status in (200, 308), status
    if case.request.method != "POST" or status == 308:
        return "read"
    if "ce-type" not in response.headers:
        raise AssertionError(f"a POST was answered with {status} and no event: {response.data[:500]!r}")
    return "rejected" if _reply(response)["type"].endswith(".rejected") else "taken"


HTML = "text/html; charset=utf-8"
"""Flask's own pages, of paths and methods that no function has."""


def _reply(response: TestResponse) -> dict[str, Any]:
    """The reply as a broker reads it."""
    headers = response.headers
    assert headers["Content-Type"] == "application/json"
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-id"]
    assert headers["ce-source"].startswith("/drover/")
    data = json.loads(response.data, parse_constant=_no_constant)
    if headers["ce-type"].endswith(".rejected"):
        RequestRejected.model_validate(data)
        assert len(response.data) < 20_000, "the rejection repeats what it rejects"
    return {"type": headers["ce-type"], "data": data}


def _no_constant(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def _nothing_happened(before: State, after: State, result: str) -> None:
    """Rejected events and dead letters are kept, one row each; nothing else is."""
    for table in FACTS:
        assert after.rows[table] == before.rows[table], f"{table} was written for what was {result}"
    assert after.acts == before.acts, f"the cloud was changed for what was {result}"
    new = {name: after.rows[name] - before.rows[name] for name in ("inbox", "dead_letter")}
    limits = {"rejected": (1, 0), "ignored": (1, 1)}.get(result, (0, 0))
    assert new["inbox"] <= limits[0], new
    assert new["dead_letter"] <= limits[1], new


def _is_valid(function: Function, case: Case) -> None:
    """What was taken must fit the published schema, but for what pydantic may read as what was meant."""
    schema = function.schemas.get(case.type)
    if schema is None or not isinstance(case.data, dict):
        return
    wrong = [
        error for error in jsonschema.Draft202012Validator(schema).iter_errors(_plain(case.data)) if _is_hard(error)
    ]
    assert not wrong, f"{case.type} was taken although {wrong[0].message[:300]}"


def _is_hard(error: jsonschema.ValidationError) -> bool:
    if error.validator == "type":
        return isinstance(error.instance, list | dict)
    return error.validator in HARD


def _plain(value: Any) -> Any:
    """As it comes out of JSON."""
    return json.loads(json.dumps(value))
