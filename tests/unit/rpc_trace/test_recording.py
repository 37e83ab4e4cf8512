"""Capture files: whole, packed, cut off, and with lines that nobody should write."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from functions.rpc_trace.recording import END, Recording
from shared.errors import Rejected
from tests.support.firehose import BEGIN, CallStory, Event, write

EVENTS = [event for number in range(50) for event in CallStory(number, BEGIN + number).events]
LAST = json.dumps({"t": BEGIN + 60, "routing_key": END, "exchange": "", "properties": {},
                   "headers": {"properties": {"headers": {"dropped": 7}}}, "body": ""})  # fmt: skip


@pytest.mark.parametrize("name", ["capture.jsonl", "capture.jsonl.gz"])
def test_a_file_gives_what_was_written(tmp_path: Path, name: str) -> None:
    """Every event in its order, packed or not; how far the reading is is known."""
    recording = Recording(write(tmp_path / name, EVENTS, LAST))
    assert [seen.message for seen in recording] == [event.sighting.message for event in EVENTS]
    assert (recording.unreadable, recording.ended, recording.dropped) == (0, BEGIN + 60, 7)
    assert 0 < recording.read <= recording.size


def test_a_file_without_its_last_line_has_no_end(tmp_path: Path) -> None:
    """Nobody knows when such a capture ended."""
    recording = Recording(write(tmp_path / "capture.jsonl", EVENTS))
    assert len(list(recording)) == len(EVENTS)
    assert recording.ended is None


def test_a_packed_file_that_was_cut_off_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    """What could be read before the cut is analysed."""
    path = write(tmp_path / "capture.jsonl.gz", EVENTS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    recording = Recording(path)
    assert 0 < len(list(recording)) < len(EVENTS)
    assert recording.unreadable >= 1


def test_a_packed_file_that_is_broken_in_the_middle_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    """Bytes that can't be unpacked end the reading, not the program."""
    path = write(tmp_path / "capture.jsonl.gz", EVENTS)
    data = bytearray(path.read_bytes())
    middle = len(data) * 3 // 4
    data[middle : middle + 40] = bytes(255 - one for one in data[middle : middle + 40])
    path.write_bytes(data)
    recording = Recording(path)
    try:
        assert len(list(recording)) < len(EVENTS)
    except Rejected:
        pytest.fail("what was read before the break must count")


def test_bad_lines_are_counted_and_left_out(tmp_path: Path) -> None:
    """Lines that are no event do not hide those that are."""
    bad = ["no JSON", "[]", '{"t": 1}', '{"t": "x", "routing_key": "publish.a"}', '{"routing_key": "publish."}']
    recording = Recording(write(tmp_path / "capture.jsonl", EVENTS, *bad, ""))
    assert len(list(recording)) == len(EVENTS)
    assert recording.unreadable == len(bad)


def test_a_line_cut_off_at_the_end_is_one_bad_line(tmp_path: Path) -> None:
    """A recorder that was killed leaves half a line."""
    path = write(tmp_path / "capture.jsonl", EVENTS)
    path.write_bytes(path.read_bytes()[:-100])
    recording = Recording(path)
    assert len(list(recording)) == len(EVENTS) - 1
    assert recording.unreadable == 1


@pytest.mark.parametrize(
    "change",
    [
        {"redelivered": True},
        {"routing_keys": "none"},
        {"connection": None},
        {"properties": []},
        {"exchange_name": 3},
        {"routed_queues": 5},
        {"properties": {"expiration": 60000, "headers": "none"}},
    ],
)
def test_headers_of_other_types_do_not_lose_the_event(tmp_path: Path, change: dict[str, object]) -> None:
    """What is right of a line counts."""
    event = EVENTS[0]
    odd = Event(event.at, event.key, event.headers | change, event.body)
    recording = Recording(write(tmp_path / "capture.jsonl", [odd]))
    (seen,) = recording
    assert seen.message.msg_id == "msg-0"
    assert recording.unreadable == 0


@pytest.mark.parametrize("body", ["\ud800", "\udcff\udcfe"])
def test_a_body_with_half_a_surrogate_is_an_event(tmp_path: Path, body: str) -> None:
    """A program that wrote bytes with surrogate escapes has still seen a message."""
    event = EVENTS[0]
    (seen,) = Recording(write(tmp_path / "capture.jsonl", [Event(event.at, event.key, event.headers, body)]))
    assert seen.message.method is None


def test_a_body_that_is_no_text_is_an_event(tmp_path: Path) -> None:
    """It is foreign, and counted."""
    line = json.loads(EVENTS[0].line) | {"body": {"a": 1}}
    (seen,) = Recording(write(tmp_path / "capture.jsonl", [], json.dumps(line)))
    assert seen.message.method is None


@pytest.mark.parametrize("content", [b"", b"\n\n", b"no JSON at all\n", gzip.compress(b""), b"\x1f\x8bno gzip"])
def test_a_file_without_any_event_is_rejected(tmp_path: Path, content: bytes) -> None:
    """The message says what was expected."""
    path = tmp_path / "capture.jsonl"
    path.write_bytes(content)
    with pytest.raises(Rejected, match=r"capture\.jsonl"):
        list(Recording(path))


def test_a_file_that_is_not_there_is_rejected(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(Rejected, match="nowhere"):
        list(Recording(tmp_path / "nowhere"))
    with pytest.raises(Rejected, match=str(tmp_path)):
        list(Recording(tmp_path))


def test_a_capture_that_saw_nothing_is_no_error(tmp_path: Path) -> None:
    """It ended as it should: the broker was quiet."""
    recording = Recording(write(tmp_path / "capture.jsonl", [], LAST))
    assert list(recording) == []
    assert recording.ended == BEGIN + 60
