"""The base of all documented event data, and the check that an event fits its model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import Rejected
from shared.events.event import Event


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
            raise Rejected(f"unknown event type {event.type!r}; this function takes: {', '.join(sorted(self.models))}")
        if not isinstance(event.data, dict):
            found = type(event.data).__name__
            raise Rejected(f"{event.type}: the data is {found}, expected a JSON object (application/json)")
        try:
            return model.model_validate(event.data)
        except ValidationError as error:
            raise Rejected(f"{event.type}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    """Every problem in one line, without the input's whole value (it could be large, or secret)."""
    lines = []
    for problem in error.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in problem["loc"]) or "data"
        found = _short(problem.get("input"))
        lines.append(f"{where}: {problem['msg'][0].lower()}{problem['msg'][1:]}; found {found}")
    return "; ".join(lines)


def _short(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
