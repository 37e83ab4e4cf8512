"""Lists in pages, newest first, for those who read over HTTP or at the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from sqlmodel import Session, SQLModel, col, or_

from shared.errors import Rejected
from shared.store import is_storable

PAGE = 100
"""Rows in one page unless the caller asks for another number."""
MAX_PAGE = 1000

Row = TypeVar("Row", bound=SQLModel)


def check(filters: Mapping[str, str], known: Sequence[str], limit: int) -> None:
    """Whether filters have names that are known and values that can be stored, and the page a size that makes sense.

    Raises:
        Rejected: one of them has not; its value still may mean nothing.
    """
    for name, value in filters.items():
        if name not in known:
            raise Rejected(f"unknown filter {name!r}; expected one of {', '.join(known)}")
        if not is_storable(value):
            raise Rejected(f"{name}: found a character that can't be stored (NUL or half of a surrogate pair)")
    if not 1 <= limit <= MAX_PAGE:
        raise Rejected(f"limit: found {limit}, expected 1 to {MAX_PAGE}")


def page(
    session: Session, query: Any, table: type[Row], born: str, what: str, limit: int, before: str | None
) -> tuple[list[Row], str | None]:
    """One page of a query.

    Args:
        born: the column by which rows are new or old; those of the same moment go by `id`.
        what: a row's name for people.
        before: id of the last row of the page before this one.

    Returns:
        The rows, and the `before` of the following page, None when there is none.

    Raises:
        Rejected: there is no row `before`.
    """
    columns: Any = table
    time, id = col(getattr(columns, born)), col(columns.id)
    if before is not None:
        last: Any = session.get(table, before) if is_storable(before) else None
        if last is None:
            raise Rejected(f"before: there is no {what} {before!r}")
        query = query.where(or_(time < getattr(last, born), (time == getattr(last, born)) & (id < last.id)))
    found: list[Any] = list(session.exec(query.order_by(time.desc(), id.desc()).limit(limit + 1)))
    return found[:limit], found[limit - 1].id if len(found) > limit else None
