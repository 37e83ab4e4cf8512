"""An event as Drover's own code sees it: plain, frozen, and free of any runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent 1.0 with JSON data.

    `source` and `id` together are its identity: whoever sees the pair twice has seen one event twice (CloudEvents 1.0,
    section "id").
    """

    id: str
    source: str
    type: str
    data: Any
    subject: str | None = None
    time: datetime | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The event in the JSON format of CloudEvents, which is also how the store keeps it."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.isoformat() if self.time else None,
            "datacontenttype": "application/json",
            "data": self.data,
            **self.extensions,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Event:
        """The event that `document()` was made from."""
        known = {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data"}
        time = document.get("time")
        return cls(
            id=document["id"],
            source=document["source"],
            type=document["type"],
            data=document.get("data"),
            subject=document.get("subject"),
            time=datetime.fromisoformat(time) if time else None,
            extensions={key: value for key, value in document.items() if key not in known},
        )
