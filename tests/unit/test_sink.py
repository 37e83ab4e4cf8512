"""Events on their way to a broker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from cloudevents.http import from_http

from lab.simulator.clock import SteppedClock
from shared.access import Knock
from shared.access.signature import Signature, Signer
from shared.door import _event
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


def test_events_are_signed_at_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves carries a signature that the door takes, and a time, without which it would be refused."""
    wire, clock = Wire(202), SteppedClock()
    monkeypatch.setattr(requests, "post", wire.post)
    HttpSink("http://broker/", Signer(["0123456789abcdef"], clock)).send(EVENT)
    (sent,) = wire.sent
    received = from_http(sent["headers"], sent["data"])
    assert received["time"] == clock.now().isoformat()
    event = _event(received, None)
    assert Signature(["0123456789abcdef"], clock).judge(Knock("POST", {}, "", event)) is not None


def test_the_sink_s_token_is_read_for_each_event(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Kubernetes renews it in its file."""
    wire, file = Wire(202), tmp_path / "token"
    monkeypatch.setattr(requests, "post", wire.post)
    for text in ("one\n", "two\n"):
        file.write_text(text)
        HttpSink("http://broker/", token_file=file).send(EVENT)
    headers = [sent["auth"](requests.Request("POST", "http://broker/").prepare()).headers for sent in wire.sent]
    assert [each["Authorization"] for each in headers] == ["Bearer one", "Bearer two"]


def test_a_token_that_is_not_there_is_for_later(tmp_path: Path) -> None:
    """The event waits, and the message names the setting and the file."""
    with pytest.raises(Retry, match=r"/nothing of DROVER_SINK_TOKEN_FILE can't be read"):
        HttpSink("http://broker/", token_file=tmp_path / "nothing").send(EVENT)


def test_nowhere_takes_everything() -> None:
    """On one machine without a broker the store is enough."""
    Nowhere().send(EVENT)
