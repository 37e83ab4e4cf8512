"""What goes wrong with requests: statuses at will, answers lost after the change was made, a cloud out of reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from lab.simulator.protocol import Request

LOST = "lost"
"""Carried out, but the connection ends without an answer."""
REFUSED = "dropped"
"""Not carried out, and the connection ends without an answer."""


@dataclass
class Rule:
    """One trouble. All of its conditions must hold; `begin` and `times` count the requests for which they do."""

    status: int | None = None
    answer: str | None = None
    service: str | None = None
    method: str | None = None
    path: str = "*"
    """A shell pattern for the path below the service's root."""
    action: str | None = None
    """The first key of the body: "os-migrateLive"."""
    begin: int = 1
    """The first such request that it strikes."""
    every: int = 1
    """From then on every so many."""
    times: int | None = None
    """So many in all; None is always."""
    retry_after: int | None = None
    seen: int = 0
    struck: int = 0

    def strikes(self, service: str, request: Request) -> bool:
        """Whether it strikes this request; counts it."""
        if not (
            self.service in (None, service)
            and self.method in (None, request.method)
            and fnmatchcase(request.path or "/", self.path)
            and (self.action is None or self.action in _keys(request))
        ):
            return False
        self.seen += 1
        late = self.seen - self.begin
        if late < 0 or late % self.every or (self.times is not None and self.struck >= self.times):
            return False
        self.struck += 1
        return True


@dataclass
class Trouble:
    """All that goes wrong with requests."""

    unreachable: bool = False
    rules: list[Rule] = field(default_factory=list)
    failures: list[tuple[int, dict[str, str], str]] = field(default_factory=list)
    """For one request each: status, headers, and a part of "METHOD /path"."""
    lost_verbs: list[str] = field(default_factory=list)
    """For one accepted change each, by `Act.verb`: its answer is lost."""

    def failure(self, service: str, called: str, setting_up: bool) -> tuple[int, dict[str, str]] | None:
        """The failure that was arranged for this request, which is used up.

        Args:
            called: "METHOD /whole/path".
            setting_up: it asks for a token or for versions: only failures meant for exactly that strike.
        """
        for failure in self.failures:
            if failure[2] == called or (failure[2] in called and not setting_up):
                self.failures.remove(failure)
                return failure[0], failure[1]
        return None

    def rule(self, service: str, request: Request) -> Rule | None:
        """The first rule that strikes this request."""
        return next((rule for rule in self.rules if rule.strikes(service, request)), None)

    def loses(self, verbs: list[str]) -> bool:
        """Whether the answer to these accepted changes is to be lost."""
        if verbs and verbs[0] in self.lost_verbs:
            self.lost_verbs.remove(verbs[0])
            return True
        return False


def _keys(request: Request) -> list[str]:
    body = request.body
    return list(body) if isinstance(body, dict) else []
