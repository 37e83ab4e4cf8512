"""How a request is turned away: each error is one HTTP status. None of them repeats what was presented."""

from __future__ import annotations

import math
from collections.abc import Mapping

from shared.errors import DroverError


class Denied(DroverError):
    """The request is turned away.

    Args:
        message: what was expected, for the answer's body.
        means: the door that refused: broker, signature, tick, keystone, oidc, or none where nothing was presented.
        reason: one word or two for the counter of refusals.
    """

    status = 403

    def __init__(self, message: str, means: str, reason: str) -> None:
        super().__init__(message)
        self.means = means
        self.reason = reason

    @property
    def headers(self) -> Mapping[str, str]:
        """What the answer carries besides."""
        return {}


class Unauthenticated(Denied):
    """Nobody who is known: 401. `counted` failures are limited for each address."""

    status = 401

    def __init__(self, message: str, means: str, reason: str, *, counted: bool = False) -> None:
        super().__init__(message, means, reason)
        self.counted = counted
        self.challenges: tuple[str, ...] = ()

    @property
    def headers(self) -> Mapping[str, str]:
        """The means that there are (RFC 9110, 11.6.1)."""
        return {"WWW-Authenticate": ", ".join(self.challenges) or 'Bearer realm="drover"'}


class Forbidden(Denied):
    """Somebody who is known, and may not do this: 403."""

    status = 403


class TooMany(Denied):
    """More requests than anybody needs: 429, and when to come again."""

    status = 429

    def __init__(self, message: str, means: str, reason: str, after: float) -> None:
        super().__init__(message, means, reason)
        self.after = after

    @property
    def headers(self) -> Mapping[str, str]:
        """In whole seconds (RFC 9110, 10.2.3)."""
        return {"Retry-After": str(max(1, math.ceil(self.after)))}
