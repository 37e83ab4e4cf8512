"""The base of all documented event data, and the check that an event fits its model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import Rejected
from shared.events.event import Event
from shared.telemetry.redaction import clean_text, is_secret

MAX_PROBLEMS = 8
"""Problems of one event that are told; the sender mends these first."""
MAX_SHOWN = 60
"""Characters of a found value or name that are shown."""


class EventData(BaseModel):
    """What an event of one type carries. A field that is not declared is an error: a typing mistake must not pass."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event_type: ClassVar[str]
    """The CloudEvents type, `io.drover.<noun>.<past participle or "requested">`."""


class Catalogue:
    """The event types that a process knows, by name."""

    def __init__(self, models: Iterable[type[EventData]]) -> None:
        self.models: Mapping[str, type[EventData]] = {model.event_type: model for model in models}

    def parse(self, event: Event) -> EventData:
        """The event's data as its model.

        Raises:
            Rejected: the type is unknown, or the data does not fit; the message names every field, what was found and
                what was expected.
        """
        model = self.models.get(event.type)
        if model is None:
            known = ", ".join(sorted(self.models))
            raise Rejected(f"unknown event type {_short(event.type)}; this function takes: {known}")
        data = event.data
        if data in (None, "", b"") and not any(field.is_required() for field in model.model_fields.values()):
            data = {}  # a PingSource without data sends an empty body
        if not isinstance(data, dict):
            found = type(event.data).__name__
            raise Rejected(f"{event.type}: the data is {found}, expected a JSON object (application/json)")
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise Rejected(f"{event.type}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """The problems in one line, without the input's whole value (it could be large, or secret)."""
    problems = error.errors(include_url=False, include_context=False)
    lines = [_problem(problem) for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        lines.append(f"and {len(problems) - MAX_PROBLEMS} more")
    return "; ".join(lines)


def _problem(problem: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "data"
    message = str(problem["msg"]).removeprefix("Value error, ")
    hidden = any(is_secret(part) for part in problem["loc"])
    found = "a value that is not shown" if hidden else _short(problem.get("input"))
    return f"{where[:MAX_SHOWN]}: {message[:1].lower()}{message[1:]}; found {found}"


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = repr(clean_text(value)[:MAX_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
