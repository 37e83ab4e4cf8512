"""What strangers send: values, texts and JSON documents that somebody once did not think of."""

from __future__ import annotations

import json
import math
from typing import Any

from hypothesis import strategies as st

LONE, NUL = "\ud800", "\x00"
TEXTS = (
    "", " ", "0", "null", "true", NUL, f"a{NUL}b", LONE, f"x{LONE}", "\udfff", "\u202egnp", "\ufeff", "\U0001f4a3",
    "a" * 10_000, "é" * 300, "a\r\nSet-Cookie: x=1", "\t", "\x1b[2J", "../../etc/passwd", "file:///etc/passwd", "%00",
    "%", "%f0%28", "' OR 1=1 --", "\"; DROP TABLE operation; --", "{{7*7}}", "${jndi:ldap://x}",
    "<script>alert(1)</script>", "2026-02-30T00:00:00Z", "0000-00-00T00:00:00Z", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00", "2026-01-01T24:00:00Z", "2026-W01-1", "99999999999-01-01",
    "-1", "1e400", "NaN", "cmp99", "io.drover.", "io.drover.drain.rejected", ".rejected", ".due",
    "io.drover.drain.due", "urn:uuid:", "http://[", "https://a:b@c/",
)  # fmt: skip
"""Texts with a history."""
NUMBERS = (0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**30, 10**400, 1.5, -0.0, 1e308, math.nan, math.inf, -math.inf)

texts = st.sampled_from(TEXTS) | st.text(st.characters(), max_size=30)  # surrogates as well
numbers = st.sampled_from(NUMBERS) | st.integers() | st.floats()
scalars = st.none() | st.booleans() | numbers | texts
jsons = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=8
)


def nested(depth: int, open: str = "[", close: str = "]") -> bytes:
    """JSON so many levels deep."""
    return (open * depth + close * depth).encode()


def deep(depth: int) -> Any:
    """The same as an object; json.dumps can't write more than some hundred levels."""
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


odd = st.one_of(
    scalars, jsons, st.sampled_from([[], {}, [[]], deep(90), ["x"] * 2000, {str(n): n for n in range(500)}])
)
"""A value for a field that was meant for something else."""

bodies = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"", b"{", b"}", b"[]", b"null", b"0", b'""', b"nonsense", b"\xff\xfe", b"\xef\xbb\xbf{}", b"\x00",
            b"{}{}", b"{'a': 1}", b'{"a": 1,}', b'{"a": 01}', b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}',
            b'{"a": "\\u0000"}', b'{"a": "\\x"}', b'{"a": 1, "a": 2}', b'{"\xff": 1}', nested(1_000), nested(100_000),
            b"[" * 50_000, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "{}".encode("utf-16"), "{}".encode("utf-32"),
            b"<xml/>", b"a=1&b=2", b"\x1f\x8b\x08\x00", b'{"a": ' + b"9" * 5_000 + b"}",
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x--",
        ]
    ),
    jsons.map(lambda value: json.dumps(value).encode()),
)  # fmt: skip
"""Bodies of a request, JSON or not."""

TYPES = (
    "application/json", "application/cloudevents+json", "application/cloudevents-batch+json",
    "application/cloudevents+xml", "application/cloudevents", "application/json; charset=utf-16",
    "application/json; charset=nonsense", "text/plain", "text/html", "application/octet-stream",
    "multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form-urlencoded", "*/*", "", ";",
    "application/", "a/b/c", "application/json;charset=\"", "application/cloudevents+json; charset=latin-1",
    "\xff\xfe", "APPLICATION/CLOUDEVENTS+JSON", "image/png", "application/msgpack", "application/avro",
)  # fmt: skip
ENCODINGS = ("gzip", "deflate", "br", "identity", "nonsense", "", "gzip, gzip")


def wire(text: str) -> str:
    """A text as a header's value: its UTF-8 bytes read as Latin-1, without what no server lets through."""
    raw = text.encode("utf-8", "surrogatepass").decode("latin-1")
    return "".join(char for char in raw if char == "\t" or (char >= " " and char != "\x7f")).strip(" \t")


def dumps(value: Any) -> bytes:
    """As JSON; NaN and infinities stay what they are, and lone surrogates become escapes."""
    return json.dumps(value).encode()
