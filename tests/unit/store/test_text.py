"""Text that is kept: whole when it can be, readable when it can't."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.store.text import DIGEST, is_storable, storable

ANY_TEXT = st.text(st.characters(), max_size=200)


def test_what_can_be_kept_is_not_changed() -> None:
    """All scripts, line ends and emoji stay as they are."""
    text = "Straße\n漢字 😀 \\u0000"
    assert storable(text) == text
    assert is_storable(text)


def test_what_cannot_be_kept_is_readable() -> None:
    """NUL and halves of surrogate pairs are written as escapes."""
    assert storable("a\0b\ud800") == "a\\u0000b\\ud800"
    assert not is_storable({"a": ["\0"]})
    assert not is_storable({"\udfff": 1})
    assert is_storable({"a": [1, None, "b", {"c": 1.5}]})


def test_deep_nesting_is_no_problem() -> None:
    """A body of a megabyte can be nested deeper than Python's stack."""
    value: list[object] = ["\0"]
    for _ in range(20_000):
        value = [value]
    assert not is_storable(value)


@given(ANY_TEXT, st.integers(DIGEST, 250))
def test_any_text_can_be_kept(text: str, limit: int) -> None:
    """The result is storable, valid UTF-8, within the limit, and stays the same when done again."""
    kept = storable(text, limit)
    assert is_storable(kept)
    assert len(kept) <= limit
    assert kept.encode("utf-8").decode("utf-8") == kept
    assert storable(kept, limit) == kept
