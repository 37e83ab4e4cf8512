"""How OVSDB writes sets, maps and references in JSON (RFC 7047, 5.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def members(value: Any) -> list[Any]:
    """The members of a column that holds a set: the protocol writes a set of one as its member."""
    if isinstance(value, list) and value and value[0] == "set":
        return list(value[1])
    return [value]


def references(value: Any) -> tuple[str, ...]:
    """The UUIDs in a column that holds references."""
    return tuple(member[1] for member in members(value))


def pairs(value: Any) -> dict[str, str]:
    """What a column holds that is a map of texts."""
    return dict(value[1])


def reference(row: str) -> list[str]:
    """A UUID as the protocol writes it."""
    return ["uuid", row]


def a_set(values: Sequence[Any]) -> list[Any]:
    """A set as the protocol writes it."""
    return ["set", list(values)]


def a_map(values: Mapping[str, str]) -> list[Any]:
    """A map as the protocol writes it."""
    return ["map", [list(pair) for pair in values.items()]]
