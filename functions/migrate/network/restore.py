"""OVN's priorities given back, and where OVN's databases are: what drains and undrains have in common."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from functions.migrate.network.ovn_model import Gateway, Look
from functions.migrate.network.ovn_plan import Write, to_restore
from functions.migrate.network.slice import PATIENCE, SLICE_SECONDS
from shared.errors import Permanent
from shared.operations import Act, Work
from shared.settings import PREFIX, SettingsError

if TYPE_CHECKING:
    from functions.migrate.network.ovn import Ovn

FindOvn = Callable[[str], "Ovn | None"]
"""From a cloud's name to its OVN."""

RESTORED = "ovn_restored"
"""Where the memo keeps the gateways whose priorities were given back."""


def find_ovn(cloud: str) -> Ovn | None:
    """The OVN of a cloud; None: the settings name none, and nothing of it is loaded.

    Raises:
        Permanent: the settings can't be used.
    """
    if not any(name.startswith(f"{PREFIX}OVN_") for name in os.environ):
        return None
    from functions.migrate.network.ovn import Ovn

    try:
        return Ovn.of(cloud)
    except SettingsError as error:
        raise Permanent(str(error)) from error


def give_back(work: Work, ovn: Ovn, look: Look, *, lowered_by: str | None = None) -> bool:
    """Restore the host's priorities as far as a drain has lowered them, one transaction for each gateway.

    Args:
        look: a fresh one; it serves all of them.
        lowered_by: the id of the only operation whose doing is undone; None: every drain's.

    Returns:
        Whether all of them were; else there was no time, or this worker was held up: the next slice goes on with a
        look of its own.

    Raises:
        Retry, AnswerLost: as `Ovn.restore`.
        Permanent: the database refuses it.
    """
    begun = work.clock.monotonic()
    restored: list[str] = work.memo.setdefault(RESTORED, [])
    for gateway in look.gateways:
        writes = to_restore(look, gateway)
        if not writes or not (lowered_by is None or is_lowered_by(look, gateway, lowered_by)):
            continue
        if work.clock.monotonic() - begun > SLICE_SECONDS:
            return False
        if gateway.name not in restored:
            restored.append(gateway.name)
        asked = work.clock.monotonic()
        work.save(acts=[Act("restore gateway", gateway.name, gateway.priorities, written(gateway, writes))])
        if work.clock.monotonic() - asked > PATIENCE:
            return False
        ovn.restore(look, gateway)
    return True


def is_lowered_by(look: Look, gateway: Gateway, operation: str) -> bool:
    """Whether this drain has lowered the host there."""
    return any(mine.mark is not None and mine.mark.lowered_by == operation for mine in look.mine(gateway))


def written(gateway: Gateway, writes: Iterable[Write]) -> dict[str, int]:
    """All priorities of a gateway after these writes, by chassis."""
    return gateway.priorities | {write.candidate.chassis: write.priority for write in writes}


def told(work: Work) -> str:
    """What was given back, for people; empty: nothing."""
    number = len(work.memo.get(RESTORED, ()))
    return f"restored: the priority of {number} OVN gateway{'' if number == 1 else 's'}" if number else ""
