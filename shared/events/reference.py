"""The catalogue of event types as a page for people, made from the models themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from shared.events.common import (
    OperationAnswered,
    OperationCancelRequested,
    OperationPauseRequested,
    OperationResumeRequested,
    RequestRejected,
    Tick,
)
from shared.events.model import EventData

HEADER = """# Event types

Made by `script/events` from the models in `shared/events` and `functions/*/events.py`; don't edit it by hand.

Drover takes and sends [CloudEvents 1.0](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) with JSON
data. `source` and `id` together are an event's identity: one that comes twice has its effect once, and is answered as
the first was. A field that is not listed here is an error. Whatever can't be taken is kept, with the reason, and
answered by a `….rejected` event; delivering it again would not help.

An event by hand, to `drover serve` or to the function's address:

```sh
curl http://127.0.0.1:8080/ -H 'content-type: application/json' -H 'ce-specversion: 1.0' -H 'ce-id: 4711-1' \\
  -H 'ce-source: /tickets' -H 'ce-type: io.drover.drain.requested' \\
  -d '{"cloud": "paris", "host": "cmp07", "reason": "new memory, ticket 4711", "requester": "ann"}'
```

A request is answered at once; its work goes on with each tick. What became of it: `GET /?operation=ID`, and
`GET /?operations` (filters `kind`, `state`, `cloud`, `target`; pages by `limit` and `before`), both JSON. What a broker
could not deliver: `GET /?letters` (filters `type`, `replayed`; pages likewise) and `GET /?letter=ID`, of the keeper.
"""

COMMON_REQUESTS: tuple[type[EventData], ...] = (
    Tick,
    OperationPauseRequested,
    OperationResumeRequested,
    OperationCancelRequested,
)
COMMON_FACTS: tuple[type[EventData], ...] = (OperationAnswered, RequestRejected)


@dataclass(frozen=True, slots=True)
class Section:
    """The events of one function, or those that all functions share."""

    title: str
    requests: Sequence[type[EventData]]
    facts: Sequence[type[EventData]]
    examples: Mapping[str, Mapping[str, Any]]
    """By event type: the data of an example, which must fit the model. Every type needs one."""


COMMON = Section(
    "Every function",
    COMMON_REQUESTS,
    COMMON_FACTS,
    {
        "io.drover.tick": {},
        "io.drover.operation.pause.requested": {
            "operation": "894d445b-625c-4501-abc1-15d70146670c",
            "reason": "customer called",
            "requester": "ann",
        },
        "io.drover.operation.resume.requested": {
            "operation": "894d445b-625c-4501-abc1-15d70146670c",
            "reason": "db-3 is well again",
            "requester": "ann",
        },
        "io.drover.operation.cancel.requested": {
            "operation": "894d445b-625c-4501-abc1-15d70146670c",
            "reason": "wrong host",
            "requester": "ann",
            "undo": True,
        },
        "io.drover.operation.answered": {
            "operation": "894d445b-625c-4501-abc1-15d70146670c",
            "state": "running",
            "intent": "pause",
            "message": "Nothing new starts; what runs is followed to its end.",
        },
        "io.drover.event.rejected": {
            "event": "41",
            "source": "/tickets",
            "type": "io.drover.drain.requested",
            "reason": "found no compute host named 'cmp99'; did you mean cmp09?",
        },
    },
)


def page(sections: Sequence[Section]) -> str:
    """The whole page.

    Raises:
        KeyError: a type has no example.
        ValidationError: an example does not fit its model.
    """
    lines = [HEADER, *_contents(sections)]
    for section in sections:
        lines += ["", f"## {section.title}"]
        for model in section.requests:
            lines += _entry(model, "Drover takes it", section.examples[model.event_type])
        for model in section.facts:
            lines += _entry(model, "Drover sends it", section.examples[model.event_type])
    return "\n".join(lines) + "\n"


def _contents(sections: Sequence[Section]) -> Iterator[str]:
    yield "| type | direction | meaning |"
    yield "|---|---|---|"
    for section in sections:
        for model in (*section.requests, *section.facts):
            direction = "in" if model in section.requests else "out"
            yield f"| [`{model.event_type}`](#{model.event_type.replace('.', '')}) | {direction} | {_first(model)} |"


def _entry(model: type[EventData], direction: str, example: Mapping[str, Any]) -> list[str]:
    lines = ["", f"### {model.event_type}", "", f"{direction}. {_text(model.__doc__ or '')}"]
    if model.model_fields:
        lines += ["", "| field | type | default | meaning |", "|---|---|---|---|"]
        lines += [_row(name, field, model) for name, field in model.model_fields.items()]
    model.model_validate(example)
    return [*lines, "", "```json", json.dumps(example, indent=2), "```"]


def _row(name: str, field: FieldInfo, model: type[EventData]) -> str:
    default = "required" if field.is_required() else f"`{json.dumps(field.get_default(call_default_factory=True))}`"
    schema = model.model_json_schema()
    kind = _kind(schema["properties"][name], schema.get("$defs", {}))
    return f"| `{name}` | {kind} | {default} | {_text(field.description or '')} |"


def _kind(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """A JSON schema's type with its limits, in a few words."""
    if "$ref" in schema:
        return _kind(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "allOf" in schema:
        return _kind(schema["allOf"][0], definitions)
    if "anyOf" in schema:
        return " or ".join(_kind(each, definitions) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}), definitions)}"
    name = "ISO 8601 time with zone" if schema.get("format") == "date-time" else str(schema.get("type", "any"))
    return name + _limits(schema)


def _limits(schema: Mapping[str, Any]) -> str:
    if "minimum" in schema or "maximum" in schema:
        return f", {schema.get('minimum', '')} to {schema.get('maximum', '')}"
    if "minLength" in schema or "maxLength" in schema:
        return f", {schema.get('minLength', 0)} to {schema.get('maxLength', '…')} characters"
    return ""


def _first(model: type[EventData]) -> str:
    return _text((model.__doc__ or "").strip().split("\n\n")[0])


def _text(text: str) -> str:
    """One line; a bar would end a table's cell."""
    return " ".join(text.split()).replace("|", "\\|")
