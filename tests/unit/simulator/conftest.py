"""A small simulated cloud, and somebody who asks it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.protocol import Answer


class Asker:
    """A user with a token, past any client library."""

    def __init__(self, cloud: SimulatedCloud, user: str = "admin") -> None:
        self._cloud = cloud
        self._user = user
        self.token = ""
        self.log_in()

    def log_in(self) -> None:
        """Get a fresh token."""
        user = {"name": self._user, "domain": {"id": "default"}, "password": "secret"}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        self.token = self.send("POST", "/identity/v3/auth/tokens", body).headers["X-Subject-Token"]

    def send(self, method: str, url: str, body: Any = None, version: str = "2.100", **headers: str) -> Answer:
        """One request; gives the answer as it is."""
        sent = {"X-Auth-Token": self.token, "OpenStack-API-Version": f"compute {version}", **headers}
        content = b"" if body is None else json.dumps(body).encode()
        return self._cloud.front.answer(method, url, sent, content, "http://cloud.test")

    def get(self, url: str, version: str = "2.100") -> Any:
        """The document of an answer that is 200."""
        answer = self.send("GET", url, version=version)
        assert answer.status == 200, answer.document
        return answer.document

    def act(self, server: str, action: Any, version: str = "2.100") -> int:
        """An action on a server; gives the status."""
        return self.send("POST", f"/compute/v2.1/servers/{server}/action", action, version).status


@pytest.fixture
def clock() -> SteppedClock:
    """Time that the test lets pass."""
    return SteppedClock()


@pytest.fixture
def cloud(clock: SteppedClock) -> SimulatedCloud:
    """Four hosts."""
    cloud = SimulatedCloud(clock)
    for number in range(1, 5):
        cloud.add_host(f"cmp{number:02}")
    return cloud


@pytest.fixture
def asker(cloud: SimulatedCloud) -> Asker:
    """The administrator."""
    return Asker(cloud)
