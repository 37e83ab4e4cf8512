"""Public keys of those who issue tokens (JSON Web Key Sets, RFC 7517), kept for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from shared.clock import Clock
from shared.errors import Retry

FRESH = 300.0
"""Seconds for which keys are not asked for again."""
STALE = 3600.0
"""Seconds for which known keys count while their server is away."""
PAUSE = 10.0
"""Seconds between two questions at least: a stranger's tokens with invented key ids must not flood the key server."""

Jwk = Mapping[str, Any]


class Keys:
    """The keys of one issuer.

    Args:
        fetch: the key set as it is now; Retry when its server does not answer.
    """

    def __init__(self, fetch: Callable[[], Mapping[str, Any]], clock: Clock) -> None:
        self._fetch, self._clock = fetch, clock
        self._keys: dict[str, Jwk] = {}
        self._read_at = self._asked_at = float("-inf")
        self._trouble = ""
        self._lock = threading.Lock()

    def find(self, kid: str) -> Jwk | None:
        """The key with this id; None when the issuer has none.

        Raises:
            Retry: that can't be said now: the server is away, or was asked a moment ago.
        """
        if (known := self._fresh(kid)) is not None:
            return known  # without the lock: whoever asks a slow key server must not hold up the others
        with self._lock:
            if (known := self._fresh(kid)) is not None:
                return known
            age = self._clock.monotonic() - self._read_at
            trouble = self._refresh()
            if kid in self._keys and (not trouble or age <= STALE):
                return self._keys[kid]
            if trouble:
                raise Retry(trouble, PAUSE)
            return None

    def _fresh(self, kid: str) -> Jwk | None:
        return self._keys.get(kid) if self._clock.monotonic() - self._read_at <= FRESH else None

    def _refresh(self) -> str:
        """Ask, unless that was done a moment ago; returns why there is nothing new."""
        now = self._clock.monotonic()
        if now - self._asked_at < PAUSE:
            return self._trouble or "the token's key is not known, and the keys were read a moment ago; come again"
        self._asked_at = now
        try:
            found = self._fetch().get("keys")
        except Retry as error:
            self._trouble = str(error)
            return self._trouble
        keys = found if isinstance(found, list) else []
        self._keys = {str(key["kid"]): key for key in keys if isinstance(key, dict) and "kid" in key}
        self._read_at, self._trouble = now, ""
        return ""
