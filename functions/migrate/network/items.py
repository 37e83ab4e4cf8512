"""An item as the store keeps it: a step of the network drain, and what only items need to remember."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from functions.migrate.network.model import ENDED_ITEMS, IN_FLIGHT, Action, Item, ItemState, Sort
from functions.migrate.recorded import RecordedStep
from shared.store import Step


class ItemRecord(BaseModel):
    """What an item must not forget, beside the columns of its step. Kept as JSON in `Step.details`."""

    model_config = ConfigDict(extra="ignore")

    sort: Sort
    agent: str
    """Id of the host's agent, or name of its chassis, that carries it."""
    to_agent: str | None = None
    """Id of the agent, or name of the chassis, that is to carry it; `Step.to` is that one's host."""
    reason: str = ""
    """What the plan says about it."""
    way_out: str = ""
    asked_at: datetime | None = None
    """When our last request was about to be sent."""
    added: list[str] = []
    """Agents that it was given to by this drain, and not taken from again."""
    failed: list[str] = []
    """Agents that did not carry it in time, or would not take it."""
    ports: dict[str, bool] = {}
    """A router's ports that were bound to the host before it was taken away here: whether each was active."""
    back: str = ""
    """Why it is brought back to the host, when nobody else carries it; else empty."""


class ItemStep(RecordedStep[ItemRecord]):
    """One item. Changes are written when its step is handed to `Work.save`."""

    model = ItemRecord

    @property
    def id(self) -> str:
        """The item's own id in the cloud."""
        return self.step.subject

    @property
    def sort(self) -> Sort:
        return self.record.sort

    @property
    def state(self) -> ItemState:
        return ItemState(self.step.state)

    @property
    def in_flight(self) -> bool:
        return self.state in IN_FLIGHT

    @property
    def ended(self) -> bool:
        return self.state in ENDED_ITEMS

    @property
    def title(self) -> str:
        """What it is, for people: "router edge-1"."""
        return f"{self.sort} {self.step.name or self.id}"


def planned_steps(items: Iterable[Item], now: datetime) -> list[Step]:
    """The steps of a plan's items, in the plan's order."""
    return [_planned_step(item, now) for item in items]


def _planned_step(item: Item, now: datetime) -> Step:
    record = ItemRecord(
        sort=item.sort, agent=item.agent, to_agent=item.to_agent, reason=item.reason, way_out=item.way_out
    )
    step = Step(
        operation_id="", subject=item.id, name=item.name[:255], action=item.action, to=item.to, state=ItemState.HELD,
        details=record.model_dump(mode="json"),
    )  # fmt: skip
    if item.action is Action.CANNOT:
        step.state, step.error, step.finished_at = ItemState.LEFT, item.reason, now
    return step
