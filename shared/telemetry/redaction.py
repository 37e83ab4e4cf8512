"""Keeps passwords and tokens out of what is logged.

The name of a field is not enough: Nova's RPC carries the cell's database URL with its password inside of
other values, and an exception's text may hold a header or a request body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

REDACTED = "[redacted]"
DEPTH = 8
"""How deep a value may be nested; what lies deeper is not shown."""

_NAMES = "passwd password admin_?pass secret token credential private_?key api_?key authorization"
_SECRET_NAME = rf"\w*(?:{'|'.join(_NAMES.split())})\w*"
_SECRET_KEY = re.compile(_SECRET_NAME, re.IGNORECASE)
_IN_URL = re.compile(r"(?<=://)[^\s/\"'<>]+@")
"""RFC 3986, 3.2.1: the user information before the host."""
_VALUE = r"""(?:"[^"]*"|'[^']*'|(?:(?:Bearer|Basic)\s+)?[^\s,;&}\])]+)"""
_ASSIGNED = re.compile(rf"""(?P<name>(?:{"|".join(_NAMES.split())})\w{{0,64}}["']?\s*[=:]\s*){_VALUE}""", re.IGNORECASE)
"""What stands before the telling part of the name need not be matched to be kept; and with a bound on what stands
behind it, the time grows with the text's length alone: a word of 4 KB must not take minutes."""
_FERNET = re.compile(r"\bgAAAA[\w-]{20,}=*")
"""A Keystone token: version 0x80 and the first bytes of a timestamp, in base64 (Fernet specification)."""


def clean(value: Any, depth: int = DEPTH) -> Any:
    """The same value without its secrets, in types that JSON has: whatever else it holds becomes its text."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, bytes):
        return clean_text(value.decode(errors="replace"))
    if isinstance(value, BaseException):
        return clean_text(f"{type(value).__name__}: {value}")
    if isinstance(value, (Mapping, list, tuple, set, frozenset)):
        if depth == 0:
            return "[too deep]"
        if isinstance(value, Mapping):
            return {key: clean_field(key, item, depth - 1) for key, item in value.items()}
        return [clean(item, depth - 1) for item in value]
    return clean_text(str(value))


def clean_field(key: object, value: Any, depth: int = DEPTH) -> Any:
    """A field's value, not shown at all when its name says that it is a secret."""
    return REDACTED if value is not None and is_secret(key) else clean(value, depth)


def is_secret(key: object) -> bool:
    """Whether a field's name says that its value is a secret."""
    return isinstance(key, str) and _SECRET_KEY.fullmatch(key.replace("-", "_")) is not None


def clean_text(text: str) -> str:
    """A text without the passwords of its URLs, its `password=…` and its Keystone tokens."""
    text = _IN_URL.sub(f"{REDACTED}@", text)
    text = _ASSIGNED.sub(rf"\g<name>{REDACTED}", text)
    return _FERNET.sub(REDACTED, text)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor; it belongs behind whatever renders exceptions as text."""
    for key in list(event):
        if not key.startswith("_"):  # structlog's own fields, such as _record
            event[key] = clean_field(key, event[key])
    return event
