"""People by the token of their cloud: Keystone says who they are, in which scope, and with which roles."""

from __future__ import annotations

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.access.caller import Caller, Knock, role_of
from shared.access.errors import Denied, Forbidden, TooMany, Unauthenticated
from shared.access.http import Asker
from shared.access.limits import Buckets
from shared.clock import Clock
from shared.errors import Retry

HEADER = "X-Auth-Token"
GOOD = 60.0
"""Seconds for which a good answer counts: this long a revoked token still opens the door."""
BAD = 10.0
"""Seconds for which a refusal counts."""
KEPT = 1000
"""Answers of either sort that are kept."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")


@dataclass(frozen=True, slots=True)
class _Refusal:
    kind: type[Denied]
    message: str
    reason: str

    def error(self) -> Denied:
        if self.kind is Unauthenticated:
            return Unauthenticated(self.message, "keystone", self.reason, counted=True)
        return self.kind(self.message, "keystone", self.reason)


_UNKNOWN = _Refusal(
    Unauthenticated, f"Keystone does not know this {HEADER}, or it has expired: get a new one", "unknown"
)
_EXPIRED = _Refusal(Unauthenticated, f"this {HEADER} has expired: get a new one", "expired")
_SCOPE = _Refusal(
    Forbidden,
    "this token's scope does not count here; expected the system, or a project of DROVER_KEYSTONE_PROJECTS",
    "scope",
)
_ROLE = _Refusal(
    Forbidden, "this token has no role here; expected reader (to look) or drover_operator (to act)", "role"
)


class _Answers:
    """What Keystone said of a token, by the token's digest: tokens themselves are not kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: OrderedDict[str, tuple[float, Caller | _Refusal]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> Caller | _Refusal | None:
        with self._lock:
            until, answer = self._rows.get(digest, (0.0, None))
            return answer if self._clock.monotonic() < until else None

    def put(self, digest: str, answer: Caller | _Refusal, seconds: float) -> None:
        with self._lock:
            self._rows[digest] = (self._clock.monotonic() + seconds, answer)
            self._rows.move_to_end(digest)
            if len(self._rows) > KEPT:
                self._rows.popitem(last=False)


class Keystone:
    """Lets in who has a token.

    Args:
        url: with its version, https://HOST/v3.
        projects: `NAME@DOMAIN` or ids whose scope counts; that of the system always does.
        failures: how many failed attempts each address has left.
    """

    name = "keystone"

    def __init__(self, url: str, projects: Collection[str], asker: Asker, failures: Buckets, clock: Clock) -> None:
        self.challenge = f'Keystone uri="{url}"'
        self._url, self._projects = url, frozenset(projects)
        self._asker, self._failures, self._clock = asker, failures, clock
        self._good, self._bad = _Answers(clock), _Answers(clock)  # apart, so that bad ones push no good one out

    def judge(self, knock: Knock) -> Caller | None:
        """The token's user, if there is a token.

        Raises:
            Unauthenticated: Keystone does not know it, or it has expired.
            Forbidden: its scope or its roles do not count here.
            TooMany: this address has presented too many wrong ones.
            Retry: Keystone is away.
        """
        token = knock.headers.get(HEADER)
        if token is None:
            return None
        if not _TOKEN.fullmatch(token):
            raise _UNKNOWN.error()
        digest = hashlib.sha256(token.encode()).hexdigest()
        answer = self._good.get(digest) or self._bad.get(digest) or self._look_up(token, digest, knock.address)
        if isinstance(answer, _Refusal):
            raise answer.error()
        return answer

    def _look_up(self, token: str, digest: str, address: str) -> Caller | _Refusal:
        wait = self._failures.wait(address)
        if wait:
            raise TooMany("too many wrong tokens from this address; come again", self.name, "failures", wait)
        # A token may always be validated by itself (Keystone's policy identity:validate_token).
        answer = self._asker.get(f"{self._url}/auth/tokens?nocatalog", {HEADER: token, "X-Subject-Token": token})
        if answer.status_code in (401, 403, 404):
            self._bad.put(digest, _UNKNOWN, BAD)
            return _UNKNOWN
        try:
            document = answer.json()["token"]
            left = (datetime.fromisoformat(document["expires_at"]) - self._clock.now()).total_seconds()
            found = self._found(document) if left > 0 else _EXPIRED
        except (ValueError, LookupError, TypeError, AttributeError):
            text = f"Keystone answered {answer.status_code} and no token's document; check DROVER_KEYSTONE_URL"
            raise Retry(text) from None
        if isinstance(found, Caller):
            self._good.put(digest, found, min(GOOD, left))
        else:
            self._bad.put(digest, found, BAD)
        return found

    def _found(self, token: Mapping[str, Any]) -> Caller | _Refusal:
        if not self._counts(token):
            return _SCOPE
        role = role_of(str(each["name"]) for each in token.get("roles", ()))
        if role is None:
            return _ROLE
        user = token["user"]
        return Caller(f"{user['name']}@{user['domain']['name']}", role, self.name)

    def _counts(self, token: Mapping[str, Any]) -> bool:
        if token.get("system", {}).get("all") is True:
            return True
        project = token.get("project")
        if not project:
            return False
        return not self._projects.isdisjoint({project["id"], f"{project['name']}@{project['domain']['name']}"})
