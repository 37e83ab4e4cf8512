"""Exit codes: how a script sees what became of an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DONE = 0
"""What was asked for is done; a dry run: it could be."""
FAILED = 1
"""It failed or was cancelled, or Drover or the cloud could not be reached; a dry run: the host would not be empty."""
WRONG = 2
"""The input can't be used; nothing was changed."""
WAITING = 3
"""It has halted or was paused, and waits for a person."""
INTERRUPTED = 130
"""Ctrl-C: the operation is as it was, and goes on when somebody asks."""

TEXT = (
    "Exit codes: 0 done (dry run: feasible); 1 failed, cancelled or not reachable (dry run: not feasible); "
    "2 wrong input, nothing was changed; 3 halted or paused, waits for a person; 130 left with Ctrl-C."
)
"""The same for `--help`."""

ENDED = frozenset({"succeeded", "failed", "cancelled"})
STOPPED = frozenset({"halted", "paused"})


def is_over(document: Mapping[str, Any]) -> bool:
    """Whether there is nothing left to watch: it has ended, or it waits for a person and nothing is under way."""
    if document["state"] in ENDED:
        return True
    waits = document["state"] in STOPPED and document["intent"] == "pause"
    return waits and not document["summary"].get("in_flight")


def has_halted_in_cancel(document: Mapping[str, Any]) -> bool:
    """Whether it looks halted although somebody cancelled it: either that is about to be acted on, or went wrong."""
    return document["state"] == "halted" and document["intent"] == "cancel" and not document["summary"].get("in_flight")


def code_of(document: Mapping[str, Any], wanted: str = "succeeded") -> int:
    """The exit code for an operation's document; `wanted` is the state that the person asked for."""
    state = document["state"]
    if state == wanted:
        return DONE
    return WAITING if state in STOPPED else FAILED
