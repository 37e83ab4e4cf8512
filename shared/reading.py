"""What a GET asks for, and the JSON document that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import Rejected
from shared.operations import Engine
from shared.operations.reads import PAGE, list_operations, read_operation


def answer(engine: Engine, query: Mapping[str, str]) -> dict[str, Any] | None:
    """The document; None when there is no operation with this id.

    Raises:
        Rejected: the query makes no sense.
    """
    names = set(query)
    if names == {"operation"}:
        return read_operation(engine.database, engine.kinds, query["operation"])
    if "operations" not in names:
        raise Rejected("expected GET /?operations (with kind, state, cloud, target, limit, before) or /?operation=ID")
    filters = {name: query[name] for name in names - {"operations", "limit", "before"}}
    return list_operations(engine.database, engine.kinds, filters, _limit(query), query.get("before"))


def _limit(query: Mapping[str, str]) -> int:
    limit = query.get("limit", str(PAGE))
    if not (limit.isascii() and limit.isdecimal() and len(limit) < 10):
        raise Rejected(f"limit: found {limit[:40]!r}, expected a number")
    return int(limit)
