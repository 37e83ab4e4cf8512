"""What a cloud answers is input like any other: an answer of another form than documented must not look like a bug."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from datetime import datetime
from typing import ParamSpec, TypeVar

from shared.errors import Retry
from shared.telemetry.redaction import clean_text

P = ParamSpec("P")
T = TypeVar("T")

STRANGE = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading JSON raises that has another form than expected."""
AGAIN = 60.0
"""Seconds until the next look: something between Drover and the service may have answered in its place."""
SHOWN = 160
"""Characters of what was found that are told."""


class Unreadable(Retry):
    """A service answered in a form that its API reference does not know; Drover has changed nothing on its account."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what}. Expected what the service's API reference shows: look whether a proxy answers in its place, "
            "and at the service's own log",
            AGAIN,
        )


def readable(function: Callable[P, T]) -> Callable[P, T]:
    """For functions that do nothing but read answers of a cloud: what goes wrong in them is the answer's fault.

    It is logged with its traceback all the same, should it be Drover's.

    Raises:
        Unreadable: an answer has another form; the message says which field, or what was found in it.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except STRANGE as error:
            import structlog

            structlog.get_logger(__name__).warning("a cloud's answer can't be read", exc_info=error)
            raise Unreadable(f"the cloud's answer can't be read: {explained(error)}") from error

    return wrapped


def explained(error: Exception) -> str:
    """What was found, and by which part of Drover."""
    reader = traceback.extract_tb(error.__traceback__)[-1].name.strip("_").replace("_", " ")
    text = f"field {error} is missing" if isinstance(error, KeyError) else str(error)
    return f"{clean_text(text)[:SHOWN]} (in {reader})"


def raised_in(error: Exception, package: str) -> bool:
    """Whether it was this package's code that could not go on, and not what it had called."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and f"/{package}/" in frames[-1].filename.replace("\\", "/")


Plain = str | int | float | bool | datetime | None


def typed(what: str, /, *allowed: type, **values: Plain) -> None:
    """Fields of one record that must be of one of these types.

    Raises:
        TypeError: one is not; the message names it.
    """
    for name, value in values.items():
        if not isinstance(value, allowed):
            expected = " or ".join("nothing" if each is type(None) else each.__name__ for each in allowed)
            raise TypeError(f"{name} of {what} is {value!r:.60}, expected {expected}")
