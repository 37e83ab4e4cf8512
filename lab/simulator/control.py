"""The control path: how a test or a person steps the clock, breaks things and looks, over HTTP.

    GET  /control              time, counts, and what is planned next
    GET  /control/history      every change that was accepted; ?after=N leaves the first N out
    POST /control/clock        {"advance": seconds}
    POST /control/faults       a faults script as JSON, which replaces the one in force
    POST /control/hosts        {"host": "cmp01", "state": "dead" | "up"}
    POST /control/tokens       {"revoke": true}

No token is asked for: the simulator listens on the loopback address and holds nothing that is worth a secret.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from lab.errors import LabError
from lab.simulator.protocol import Answer
from lab.simulator.script import parse

if TYPE_CHECKING:
    from lab.simulator.cloud import SimulatedCloud

ROOT = "/control"


class Control:
    """Answers below `/control`."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud
        self._verbs: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", ""): self._state,
            ("GET", "/history"): self._history,
            ("POST", "/clock"): self._clock,
            ("POST", "/faults"): self._faults,
            ("POST", "/hosts"): self._hosts,
            ("POST", "/tokens"): self._tokens,
        }

    def answer(self, method: str, url: str, body: bytes) -> Answer:
        """Answer one request; what is wrong with it is told as 400."""
        address = urlsplit(url)
        verb = self._verbs.get((method, address.path.removeprefix(ROOT).rstrip("/")))
        if verb is None:
            known = ", ".join(f"{method} {ROOT}{path}" for method, path in self._verbs)
            return Answer(404, {"error": f"there is no {method} {address.path}; there are {known}"})
        try:
            given = json.loads(body) if body else {name: values[-1] for name, values in parse_qs(address.query).items()}
            with self._cloud.front.lock:
                self._cloud.world.settle()
                return Answer(200, verb(given))
        except (LabError, ValueError, LookupError, TypeError) as error:
            return Answer(400, {"error": str(error) or type(error).__name__})

    def _state(self, _: Any) -> Any:
        world = self._cloud.world
        due = world.next_due
        return {
            "time": world.time.isoformat(),
            "next": due and due.isoformat(),
            "hosts": len(world.hosts),
            "servers": len(world.servers),
            "migrations": len(world.migrations),
            "acts": len(world.history),
            "requests": dict(self._cloud.requests),
        }

    def _history(self, given: Any) -> Any:
        acts = self._cloud.history[int(given.get("after", 0)) :]
        return {"acts": [{"time": act.time.isoformat(), "verb": act.verb, "server": act.server, "target": act.target,
                          "by": act.by} for act in acts]}  # fmt: skip

    def _clock(self, given: Any) -> Any:
        seconds = float(given["advance"])
        if seconds < 0:
            raise ValueError(f"time can't go back: found {seconds}, expected 0 or more seconds")
        self._cloud.clock.advance(seconds)
        self._cloud.world.settle()
        return {"time": self._cloud.world.time.isoformat()}

    def _faults(self, given: Any) -> Any:
        self._cloud.obey(parse(given, "the request"))
        return {}

    def _hosts(self, given: Any) -> Any:
        host, state = given["host"], given["state"]
        if host not in self._cloud.world.hosts or state not in ("dead", "up"):
            raise ValueError(f"found host {host!r} and state {state!r}, expected a host of the fleet, and dead or up")
        (self._cloud.kill_host if state == "dead" else self._cloud.revive_host)(host)
        return {}

    def _tokens(self, _: Any) -> Any:
        self._cloud.keystone.revoke_all()
        return {}
