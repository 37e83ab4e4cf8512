"""What becomes of an item, written down."""

from __future__ import annotations

from functions.migrate.network.items import ItemStep
from functions.migrate.network.model import ItemState
from functions.migrate.network.slice import NetworkSlice
from functions.migrate.network.targets import NoTarget
from shared.operations import Act


def done(slice: NetworkSlice, item: ItemStep, host: str | None, note: str | None = None) -> None:
    """Another agent carries it."""
    item.put(ItemState.DONE, error=note, finished_at=slice.now)
    slice.later(item.put(to=host or item.step.to), acts=[Act(f"verify {item.sort}", item.id, after={"host": host})])


def gone(slice: NetworkSlice, item: ItemStep) -> None:
    """There is no such thing any more."""
    item.put(ItemState.GONE, error="deleted during the drain", finished_at=slice.now)
    slice.later(item, acts=[Act(f"{item.sort} is gone", item.id)])


def set_aside(slice: NetworkSlice, item: ItemStep, why: NoTarget) -> None:
    """It stays for now: given up after its tries, or nobody could take it to begin with."""
    item.record.way_out = why.way_out
    state = ItemState.FAILED if item.step.attempts else ItemState.LEFT
    slice.later(item.put(state, error=why.reason, finished_at=slice.now, to=None))


def took_away(slice: NetworkSlice, item: ItemStep, there_is: bool, holders: list[str]) -> None:
    """It is not bound to the host any more, and this drain has not seen to it."""
    if not there_is:
        gone(slice, item)
    elif holders:
        done(slice, item, holders[0])
    else:
        done(slice, item, None, "nobody has it any more: others took it away during the drain")
