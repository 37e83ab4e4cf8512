"""The tick key: a secret of little power, for schedules that can carry a text and cannot sign."""

from __future__ import annotations

import base64
import hmac

from shared.access.caller import Caller, Knock, Role
from shared.access.errors import Unauthenticated

EXTENSION = "drovertick"
"""Extension attribute: the key in base64, which is how a Kubernetes Secret holds it."""


class TickKey:
    """Lets time events in. Whoever may read the PingSources has the key; all it can do is to let time pass."""

    name = "tick"
    challenge = ""

    def __init__(self, key: str) -> None:
        self._expected = base64.b64encode(key.encode())

    def judge(self, knock: Knock) -> Caller | None:
        """The schedule, if the event carries the key.

        Raises:
            Unauthenticated: another key.
        """
        if knock.event is None or EXTENSION not in knock.event.extensions:
            return None
        given = knock.event.extensions[EXTENSION].encode("utf-8", "replace")
        if not hmac.compare_digest(self._expected, given):
            raise Unauthenticated(
                f"{EXTENSION} is not the tick key: expected it in base64, as `data` of the Secret has it",
                self.name,
                "bad key",
            )
        return Caller("tick", Role.TICK, self.name)
