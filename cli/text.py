"""Small pieces of text: what comes from a cloud made harmless, times and sizes as people say them."""

from __future__ import annotations

import sys

from rich.console import Console

PIPE_WIDTH = 200
"""Columns of a table that goes to a file or a pipe, where no window sets the width."""


def clean(value: object) -> str:
    """One line without control characters: names of servers are their owners', and must not steer the terminal."""
    return "".join(char if char.isprintable() else " " for char in str(value)).strip()


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def count(number: int, noun: str) -> str:
    """`1 server`, `20 servers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def output() -> Console:
    """Where results go: stdout."""
    console = Console(file=sys.stdout, markup=False, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, markup=False, highlight=False, width=PIPE_WIDTH)


def side() -> Console:
    """Where everything else goes: stderr."""
    return Console(file=sys.stderr, markup=False, highlight=False)
