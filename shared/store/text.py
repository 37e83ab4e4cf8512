"""Text that both databases can keep: PostgreSQL takes no NUL, and neither takes half of a surrogate pair."""

from __future__ import annotations

import hashlib
import re
from typing import Any

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

DIGEST = 80
"""Characters that the end of a shortened text takes: an ellipsis, `sha256:` and 64 hexadecimal digits, with room."""


def is_storable(value: Any) -> bool:
    """Whether every string in a JSON value, however deep, can be kept as it is."""
    waiting = [value]
    while waiting:  # no recursion: a body of a megabyte can be nested deeper than Python's stack
        item = waiting.pop()
        if isinstance(item, str):
            if _UNSTORABLE.search(item):
                return False
        elif isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple):
            waiting += item
    return True


def storable(text: str, limit: int | None = None) -> str:
    """The text with what can't be kept written as an escape, `\\u0000`.

    Args:
        limit: characters, at least `DIGEST`; a longer text is cut and ends with its digest, so that two long texts
            with the same beginning stay apart.
    """
    clean = _UNSTORABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if limit is None or len(clean) <= limit:
        return clean
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{clean[: limit - DIGEST]}…sha256:{digest}"
