"""Which letters a replay is about, and which of them it can send."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select
from sqlmodel import Session, col, func, or_, select

from shared.store import DeadLetter


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request says of the letters that it means: their ids, or their type, or neither for all that wait."""

    letters: tuple[str, ...] = ()
    type: str | None = None

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Choice:
        """The choice in a request, or in an operation's parameters."""
        return cls(tuple(parameters["letters"]), parameters["type"])

    @property
    def target(self) -> str:
        """A name for it that tells it from others: there is one living replay of a choice."""
        if len(self.letters) == 1:
            return f"letter {self.letters[0]}"
        if self.letters:
            digest = hashlib.sha256(" ".join(sorted(self.letters)).encode()).hexdigest()[:8]
            return f"{len(self.letters)} letters ({digest})"
        return f"letters of {self.type}" if self.type else "all letters"

    def conditions(self, asked_at: datetime, operation: str | None = None) -> list[Any]:
        """For a query of the letters that are meant.

        Args:
            asked_at: what comes later waits for the next request; else an event that fails at once again would be sent
                in a circle. Letters that are named count whether or not they were sent before.
            operation: leave out what this operation has sent.
        """
        conditions: list[Any] = []
        if operation is not None:
            conditions.append(or_(col(DeadLetter.replayed_by).is_(None), col(DeadLetter.replayed_by) != operation))
        if self.letters:
            return [*conditions, col(DeadLetter.id).in_(self.letters)]
        conditions += [col(DeadLetter.replayed_at).is_(None), col(DeadLetter.last_at) <= asked_at]
        return conditions if self.type is None else [*conditions, col(DeadLetter.type) == self.type]


def sendable(now: datetime) -> list[Any]:
    """Conditions for a query of the letters that can be sent."""
    return [col(DeadLetter.hindrance) == "", col(DeadLetter.good_until) > now]


def oldest(conditions: list[Any], limit: int) -> Select[Any]:
    """Those that came first."""
    return select(DeadLetter).where(*conditions).order_by(col(DeadLetter.last_at), col(DeadLetter.id)).limit(limit)


def number(session: Session, conditions: list[Any]) -> int:
    """How many there are."""
    return session.exec(select(func.count()).select_from(DeadLetter).where(*conditions)).one()
