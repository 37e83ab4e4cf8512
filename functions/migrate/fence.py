"""Dead hosts: taken out of service on somebody's word, and watched, so that nothing lives twice when one comes back.

While a host is forced down Nova calls it down whatever it does. That its nova-compute works shows only in its record's
time of change, which every report renews (`nova/servicegroup/drivers/db.py`: `updated_time`). When it works, so may the
servers that are still counted to it: these must not be built again elsewhere.
"""

from __future__ import annotations

from datetime import datetime

from functions.migrate import service
from functions.migrate.slice import Slice
from shared.operations import Act
from shared.store import OperationState

SEEN = "source_seen"
"""Where the memo keeps the last change of the dead host's record: our own."""


def take_dead_host(slice: Slice, statement: str) -> None:
    """Force its service down and disable it; whoever has forced it down before stays the one to take that back."""
    work, nova = slice.work, slice.nova
    found = nova.service(slice.host)
    if not found.forced_down:
        service.force_down(work, nova, found, statement)
        slice.link.forget_fleet()
    elif not work.memo.get(service.FORCED):
        work.save(acts=[Act("found service forced down", slice.host, {"forced_down": True}, {"fenced": statement})])
    service.take(work, nova, found, fenced=bool(work.memo.get(service.FORCED)))
    note_change(slice)


def note_change(slice: Slice) -> None:
    """Remember when the dead host's record changed last, written with the next save; one request."""
    changed = slice.nova.service(slice.host).changed
    slice.work.memo[SEEN] = changed and changed.isoformat()


def has_returned(slice: Slice) -> bool:
    """Whether the dead host works again, to be asked before each evacuation: then the drain halts. One request."""
    if SEEN not in slice.work.memo:
        note_change(slice)
        return False
    seen = slice.work.memo[SEEN]
    changed = slice.nova.service(slice.host).changed
    if changed is None or (seen is not None and changed <= datetime.fromisoformat(seen)):
        return False
    slice.end(
        OperationState.HALTED,
        f"{slice.host} is not dead: its nova-compute has reported at {changed.isoformat()} (or somebody has changed "
        "its service), so the servers that are left may run there. Switch it off again and resume; or cancel this "
        f"drain and `drover undrain {slice.host}`, which waits until it has cleaned up what was evacuated",
    )
    return True
