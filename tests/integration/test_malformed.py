"""Texts that PostgreSQL refuses, in every place of every event and query that a function takes."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import functions
from tests.fuzz.judge import judge
from tests.fuzz.malformed import Case, Draft, places
from tests.fuzz.values import LONE, NUL
from tests.fuzz.world import Function, Request, World
from tests.support.postgres import Postgres

UNSTORABLE = (f"a{NUL}b", LONE)
TOO_LONG = "x" * 10_000
QUERIES = (
    "operation=%s", "letter=%s", "operations&before=%s", "operations&state=%s", "operations&kind=%s",
    "operations&cloud=%s", "operations&target=%s", "letters&before=%s", "letters&type=%s", "letters&replayed=%s",
    "%s",
)  # fmt: skip


@pytest.fixture(scope="module")
def world(postgres: Postgres, migrated: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The functions as they are deployed, on PostgreSQL."""
    made = World(Path(tmp_path_factory.mktemp("world")), migrated)
    yield made
    made.close()


def events(function: Function) -> Iterator[Case]:
    """Each text of each example, and each attribute, replaced by one that can't be kept; field names as well."""
    for type, data in function.examples.items():
        for text in UNSTORABLE:
            for path in (*places(data), (text,)):
                draft = Draft(type, data)
                place = draft.data
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = text
                yield Case(draft.structured(), type, draft.data)
        for text in (*UNSTORABLE, TOO_LONG):
            for attribute in ("id", "source", "type", "subject", "partitionkey", "knativeerrordata"):
                draft = Draft(type, data)
                draft.attributes[attribute] = text
                yield Case(draft.structured())


def queries() -> Iterator[Case]:
    """The same in each place of a query."""
    for text in (*UNSTORABLE, TOO_LONG):
        for query in QUERIES:
            yield Case(Request("GET", query=query.replace("%s", quote(text.encode("utf-8", "surrogatepass")))))


@pytest.mark.postgres
@pytest.mark.parametrize("name", functions.names())
@pytest.mark.filterwarnings("ignore:to_binary is deprecated")
def test_what_postgresql_refuses_is_rejected(world: World, name: str, logged: list[MutableMapping[str, Any]]) -> None:
    """Each is answered as any other malformed event or query, and nothing is stored of it but its rejection."""
    function = world.functions[name]
    for number, case in enumerate([*events(function), *queries()]):
        tokens = world.identity.people if case.request.method == "GET" else [world.identity.delivery]
        let_in = Case(case.request.bearing(tokens[number % len(tokens)]), case.type, case.data)
        before = world.state()
        response = function.ask(let_in.request)
        bugs = [entry for entry in logged if entry["log_level"] == "error"]
        assert not bugs, (case, bugs[0])
        judge(function, let_in, response, before, world.state())
