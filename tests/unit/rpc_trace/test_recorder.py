"""What is recorded is analysed as the traffic itself was, and holds no secret."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.recorder import Recorder
from functions.rpc_trace.recording import Recording, headers_of
from functions.rpc_trace.report import report
from functions.rpc_trace.tree import tree_document
from shared.errors import Rejected
from tests.support.firehose import (
    BEGIN,
    CallStory,
    Event,
    analysed,
    cast,
    delivered,
    envelope,
    failure,
    fanout,
    notification,
    published,
)

SECRET = "pl4nted"
REQUEST = "req-11111111-2222-3333-4444-555555555555"


def secrets() -> list[Event]:
    """Traffic with a secret wherever there is room for one."""
    context = {
        "request_id": REQUEST, "auth_token": SECRET, "service_catalog": [{"url": SECRET}],
        "trace_info": {"hmac_key": SECRET}, "user": SECRET,
    }  # fmt: skip
    story = CallStory(
        1, args={"password": SECRET, "nested": {SECRET: SECRET}}, result={"token": SECRET}, context=context
    )
    failed = CallStory(2, BEGIN + 1, failure=failure("Boom", f"rabbit://nova:{SECRET}@mq/"), context=context)
    events = story.events + failed.events + story.heartbeats(0.1)
    events += cast(1, args={"x": SECRET}, **{"_context_auth_token": SECRET})
    noise = envelope({"event_type": "a.b", "payload": {"token": SECRET}, "_context_auth_token": SECRET})
    events += [
        published(BEGIN, "nova", "notifications.info", noise, headers={"auth": SECRET}, user_id=SECRET),
        published(BEGIN, "nova", "foreign", f"not JSON {SECRET}"),
        published(BEGIN, "nova", "foreign", json.dumps({"method": f"{{{SECRET}}}", "_msg_id": f"{{{SECRET}}}"})),
        published(BEGIN, "nova", "compute", envelope({"method": "m", "_reply_q": f"<{SECRET}>", "_msg_id": "odd"})),
    ]
    return events


def recorded(path: Path, events: list[Event], until: float = BEGIN + 300) -> Path:
    """The events through the recorder."""
    with Recorder(path) as recorder:
        for event in events:
            recorder.take(event.at, event.key, headers_of(event.headers), event.body.encode())
        recorder.end(until, 0)
    assert recorder.written == len(events)
    return path


@pytest.mark.parametrize("name", ["capture.jsonl", "capture.jsonl.gz"])
def test_no_secret_is_in_the_file(tmp_path: Path, name: str) -> None:
    """Not of headers, context, arguments, results, exceptions, notifications or foreign bodies."""
    data = recorded(tmp_path / name, secrets()).read_bytes()
    text = gzip.decompress(data) if name.endswith(".gz") else data
    assert len(text) > 1000
    assert SECRET.encode() not in text


def test_no_secret_is_in_the_report_and_the_tree() -> None:
    """The documents are what is shown, stored and sent."""
    analysis = analysed(secrets(), BEGIN + 300, REQUEST)
    assert analysis.trace is not None
    documents = json.dumps([report(analysis), tree_document(analysis.trace)])
    assert "Boom" in documents
    assert SECRET not in documents


def traffic() -> list[Event]:
    """Some of everything."""
    context = {"request_id": REQUEST}
    events = [event for number in range(30) for event in CallStory(number, BEGIN + number / 10, context=context).events]
    events += CallStory(100, args={"long": "x" * 5000, "one": 1, "ß": "ü", "empty": ""}, context=context).events
    events += CallStory(101, failure=failure(), context=context).events
    events += CallStory(102, queues=[]).events[:1] + CallStory(103, context=context).events[:2]
    events += CallStory(104).heartbeats(1.0, 2.0) + CallStory(105).repeated(4)
    events += [event for number in range(9) for event in cast(number) + fanout(number) + notification(number)]
    events += [published(BEGIN, "", "x", "foreign"), published(BEGIN, "x", "x", "")]
    return sorted(events, key=lambda event: event.at)


def test_a_recorded_file_gives_the_report_of_the_traffic_itself(tmp_path: Path) -> None:
    """Counts, sizes, times, verdicts and the tree: nothing that is told was lost with the secrets."""
    live = analysed(traffic(), BEGIN + 300, REQUEST)
    recording = Recording(recorded(tmp_path / "capture.jsonl", traffic()))
    replayed = Analysis(REQUEST)
    for event in recording:
        replayed.take(event)
    replayed.end(recording.ended, recording.dropped)
    assert report(replayed) == report(live)
    assert live.trace is not None
    assert replayed.trace is not None
    assert tree_document(replayed.trace) == tree_document(live.trace)


def test_recording_what_was_recorded_changes_nothing(tmp_path: Path) -> None:
    """A file that is clean already stays as it is."""
    once = recorded(tmp_path / "once", traffic())
    with Recorder(tmp_path / "twice") as recorder:
        for line in map(json.loads, once.read_text().splitlines()[:-1]):
            recorder.take(line["t"], line["routing_key"], headers_of(line["headers"]), line["body"].encode())
        recorder.end(BEGIN + 300, 0)
    bodies = [
        [json.loads(line)["body"] for line in path.read_text().splitlines()] for path in (once, tmp_path / "twice")
    ]
    assert bodies[0] == bodies[1]


def test_a_compressed_body_is_recorded_unpacked_with_the_size_it_was_sent_with(tmp_path: Path) -> None:
    """`kombu_compression` is undone once."""
    story = CallStory(1, args={"x": "a" * 1000})
    body = zlib.compress(story.request.body.encode())
    headers = headers_of(story.request.headers)
    packed = headers_of(
        story.request.headers
        | {"properties": {"headers": {"compression": "application/x-gzip"}, "expiration": "60000"}}
    )
    with Recorder(tmp_path / "capture") as recorder:
        recorder.take(BEGIN, "publish.nova", packed, body)
    (seen,) = Recording(tmp_path / "capture")
    assert (seen.message.method, seen.size) == ("ping", len(body))
    assert seen.expiration == 60.0
    assert headers.exchange_name == seen.headers.exchange_name


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    """It may be the only copy of an incident."""
    (tmp_path / "capture").write_text("precious")
    with pytest.raises(Rejected, match="is there already"):
        Recorder(tmp_path / "capture")
    with pytest.raises(Rejected, match="No such file"):
        Recorder(tmp_path / "nowhere" / "capture")
    assert (tmp_path / "capture").read_text() == "precious"


def test_redelivery_and_servers_survive(tmp_path: Path) -> None:
    """What the broker says of a delivery is kept."""
    story = CallStory(1)
    again = delivered(story.request, 1.0, story.key, redelivered=1)
    recorded(tmp_path / "capture", [story.request, again])
    seen = list(Recording(tmp_path / "capture"))
    assert (seen[1].headers.redelivered, seen[1].queue) == (1, "compute.cmp01")
    assert seen[0].headers.routed_queues == ("compute.cmp01",)
