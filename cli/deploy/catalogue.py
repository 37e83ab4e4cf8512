"""Which event types the functions take, read from their own models."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import functions
from shared.events import OperationCancelRequested, OperationPauseRequested, OperationResumeRequested, Tick
from shared.operations.engine import CONTINUATIONS
from shared.operations.wake import DUE

CONTROL = frozenset(
    each.event_type for each in (OperationPauseRequested, OperationResumeRequested, OperationCancelRequested)
)
"""What people ask of operations. All functions share the store, so that one of them is enough to take it."""

KEEPER = "keeper"
"""The function that gets the ticks and wakes the others."""
HINTS = (Tick.event_type, f".{DUE}")
"""Ends of types that are sent again by themselves: it costs little when one is lost."""

_CONTINUATIONS = tuple(f".{word}" for word in (*CONTINUATIONS, DUE))


@cache
def requests() -> Mapping[str, frozenset[str]]:
    """By function: the requests that only it takes."""
    return {name: frozenset(model.event_type for model in _events(name).REQUESTS) for name in functions.names()}


@cache
def continuations() -> Mapping[str, frozenset[str]]:
    """By function: what asks it for the next slice: its own facts that come back to it, and the keeper's word."""
    return {
        name: frozenset(
            model.event_type for model in _events(name).FACTS if model.event_type.endswith(_CONTINUATIONS)
        )
        for name in functions.names()
    }  # fmt: skip


def taken(function: str) -> frozenset[str]:
    """Every type that a function takes."""
    return requests()[function] | continuations()[function] | CONTROL | {Tick.event_type}


def _events(function: str) -> Any:
    return importlib.import_module(f"functions.{function}.events")
