"""What a GET asks for, and the JSON document that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import Rejected
from shared.letters.reads import list_letters, read_letter
from shared.operations import Engine
from shared.operations.reads import list_operations, read_operation
from shared.paging import PAGE

EXPECTED = (
    "expected GET /?operations (with kind, state, cloud, target, limit, before), /?operation=ID, "
    "/?letters (with type, replayed, limit, before) or /?letter=ID"
)


def answer(engine: Engine, query: Mapping[str, str]) -> dict[str, Any] | None:
    """The document; None when there is no operation, or no dead letter, with this id.

    Raises:
        Rejected: the query makes no sense.
    """
    names = set(query)
    if names == {"operation"}:
        return read_operation(engine.database, engine.kinds, query["operation"])
    if names == {"letter"}:
        return read_letter(engine.database, query["letter"], engine.clock.now())
    before = query.get("before")
    if "operations" in names:
        filters = {name: query[name] for name in names - {"operations", "limit", "before"}}
        return list_operations(engine.database, engine.kinds, filters, _limit(query), before)
    if "letters" in names:
        filters = {name: query[name] for name in names - {"letters", "limit", "before"}}
        return list_letters(engine.database, filters, engine.clock.now(), _limit(query), before)
    raise Rejected(EXPECTED)


def missing(query: Mapping[str, str]) -> str:
    """What to say when there is no answer."""
    if "letter" in query:
        return f"there is no dead letter {query['letter']!r}; GET /?letters lists them"
    return f"there is no operation {query['operation']!r}; GET /?operations lists them"


def _limit(query: Mapping[str, str]) -> int:
    limit = query.get("limit", str(PAGE))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 10):
        raise Rejected(f"limit: found {limit[:40]!r}, expected a number")
    return int(limit)
