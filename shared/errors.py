"""The two kinds of error that an operation knows; anything else that is raised in a step is a bug.

Both often repeat what a cloud, a broker or a database said, and are stored, logged and sent on.
"""

from __future__ import annotations

from shared.telemetry.redaction import clean_text


class DroverError(Exception):
    """The base of all errors that Drover explains to a person: the message says what was found and what to do."""


class Permanent(DroverError):
    """Trying again would not help: the step ends with this message, without the secrets that it may quote."""

    def __init__(self, message: str) -> None:
        super().__init__(clean_text(message))


class Retry(DroverError):
    """Not now: the step comes back after `after` seconds; the message loses the secrets that it may quote."""

    def __init__(self, message: str, after: float = 10.0) -> None:
        super().__init__(clean_text(message))
        self.after = after


class Rejected(DroverError):
    """An input that Drover does not take; nothing was changed."""
