"""What can come of a request to a cloud, besides its answer and `shared.errors.Retry` (not carried out, try later)."""

from __future__ import annotations

from shared.errors import DroverError, Permanent
from shared.telemetry.redaction import clean_text


class Refused(Permanent):
    """The service refuses the request: nothing was changed, and the same request would be refused again."""

    def __init__(self, status: int, message: str, service: str = "compute") -> None:
        super().__init__(f"{service} refused it ({status}): {message}")
        self.status = status
        """The HTTP status: 400 wrong input, 403 policy or quota, 404 gone, 409 not in this state, 413 over a limit."""
        self.message = message
        """The service's own sentence."""


class AnswerLost(DroverError):
    """The request may or may not have been carried out: read the cloud again before it is repeated."""


def redacted(text: str) -> str:
    """Without the user and password that an address may carry, and without tokens and passwords besides."""
    return clean_text(text)
