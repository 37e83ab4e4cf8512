"""docs/events.md: it says what the models say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import Field, ValidationError

import shared
from shared.events import EventData
from shared.events.reference import COMMON, Section, page

ROOT = Path(shared.__file__ or "").parent.parent


class Baked(EventData):
    """A cake | or bread is ready.

    More about it.
    """

    event_type: ClassVar[str] = "io.drover.cake.baked"
    kind: Literal["cake", "bread"] = Field(default="cake", description="What it is.")
    grams: int = Field(description="Its weight.", ge=1, le=5000)
    eaters: list[str] = Field(default_factory=list, description="Who wants some.")


def test_the_page_is_current() -> None:
    """Whoever changes an event's model must run script/events."""
    command = [sys.executable, str(ROOT / "script" / "events"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_type_has_its_fields_and_an_example() -> None:
    """Type, direction, each field with its type, limits, default and meaning, and the example."""
    example = {"kind": "bread", "grams": 500}
    text = page([Section("Kitchen", (), (Baked,), {Baked.event_type: example})])
    assert "| [`io.drover.cake.baked`](#iodrovercakebaked) | out | A cake \\| or bread is ready. |" in text
    assert "Drover sends it. A cake \\| or bread is ready. More about it." in text
    assert '| `kind` | `"cake"` or `"bread"` | `"cake"` | What it is. |' in text
    assert "| `grams` | integer, 1 to 5000 | required | Its weight. |" in text
    assert "| `eaters` | list of string | `[]` | Who wants some. |" in text
    assert '"grams": 500' in text


def test_an_example_must_fit_its_model() -> None:
    """A wrong example does not get into the page."""
    with pytest.raises(ValidationError):
        page([Section("Kitchen", (Baked,), (), {Baked.event_type: {"grams": 0}})])


def test_every_shared_type_has_an_example() -> None:
    """The section that all functions have in common is whole."""
    assert set(COMMON.examples) == {model.event_type for model in (*COMMON.requests, *COMMON.facts)}
