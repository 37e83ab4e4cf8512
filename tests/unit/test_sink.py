"""Events on their way to a broker."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from shared.errors import Permanent, Retry
from shared.events import Event
from shared.sink import HttpSink, Nowhere

EVENT = Event("1", "/drover/migrate", "io.drover.drain.started", {"a": "ü"}, "hôte\n", extensions={"droverhop": "1"})


class Wire:
    """Stands for the network: answers with a status or an error, and keeps what was sent."""

    def __init__(self, answer: int | Exception) -> None:
        self.answer = answer
        self.sent: list[dict[str, Any]] = []

    def post(self, url: str, **arguments: Any) -> requests.Response:
        """What `requests.post` does."""
        self.sent.append({"url": url, **arguments})
        if isinstance(self.answer, Exception):
            raise self.answer
        response = requests.Response()
        response.status_code = self.answer
        return response


def send(monkeypatch: pytest.MonkeyPatch, answer: int | Exception) -> Wire:
    """Send one event to a sink that answers so."""
    wire = Wire(answer)
    monkeypatch.setattr(requests, "post", wire.post)
    HttpSink("http://broker/").send(EVENT)
    return wire


@pytest.mark.parametrize("status", [200, 202, 204])
def test_an_event_is_posted_whole(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """In structured mode, where any name can be a subject, with a limit of time, and never as a GET elsewhere."""
    (sent,) = send(monkeypatch, status).sent
    assert sent["url"] == "http://broker/"
    assert sent["headers"]["content-type"] == "application/cloudevents+json"
    assert sent["timeout"]
    assert sent["allow_redirects"] is False
    document = json.loads(sent["data"])
    assert (document["subject"], document["data"], document["droverhop"]) == ("hôte\n", {"a": "ü"}, "1")


@pytest.mark.parametrize(
    "answer",
    [301, 302, 401, 403, 404, 408, 409, 429, 500, 503, requests.ConnectionError("x"), requests.Timeout("x")],
)
def test_what_may_go_better_later_is_tried_again(monkeypatch: pytest.MonkeyPatch, answer: int | Exception) -> None:
    """A sink that is down, wrongly set up or overloaded loses nothing."""
    with pytest.raises(Retry, match="the sink"):
        send(monkeypatch, answer)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_is_wrong_with_the_event_itself_is_not(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """It would block all those behind it for ever."""
    with pytest.raises(Permanent, match=f"the sink answered {status} to a io.drover.drain.started"):
        send(monkeypatch, status)


def test_nowhere_takes_everything() -> None:
    """On one machine without a broker the store is enough."""
    Nowhere().send(EVENT)
