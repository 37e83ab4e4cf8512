"""How messages of OVSDB are taken from a stream of bytes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.migrate.network.ovn_look import is_alive
from functions.migrate.network.ovn_values import a_map, a_set, members, pairs, reference, references
from functions.migrate.network.ovn_wire import Address, _Line, _Unfit
from shared.errors import Permanent

ECHO = {"method": "echo", "params": ["there?"], "id": "echo"}
NEWS = {"method": "locked", "params": ["x"], "id": None}
ANSWER = {"id": 1, "error": None, "result": [{"rows": [{"name": "}{ é \\ }"}]}]}


class Pieces:
    """The part of a socket that a line uses: gives the pieces one after another, and keeps what is sent."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self.sent = b""

    def settimeout(self, _: float) -> None:
        """There is nothing to wait for."""

    def recv(self, _: int) -> bytes:
        """The next piece; at the end the line is closed."""
        return next(self._pieces, b"")

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self.sent += data


def line(pieces: Sequence[bytes], seconds: float = 60) -> tuple[_Line, Pieces]:
    """A line on which these pieces come."""
    sock: Any = Pieces(pieces)
    return _Line(Address("tcp", "nb", 6641), sock, time.monotonic() + seconds), sock


@given(st.lists(st.integers(0, 300), max_size=12), st.sampled_from(["", " ", "\n"]))
def test_an_answer_is_found_wherever_the_stream_is_cut(cuts: list[int], space: str) -> None:
    """Questions and news of the server may come first, in any pieces: the question is answered, the answer returned."""
    stream = "".join(json.dumps(it, ensure_ascii=False) + space for it in (ECHO, NEWS, ANSWER)).encode()
    bounds = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(bounds) if start < end]
    it, sock = line(pieces)
    assert it.call("transact", []) == ANSWER["result"]
    assert b'{"result": ["there?"], "error": null, "id": "echo"}' in sock.sent


def test_a_stream_that_ends_or_takes_too_long_is_no_answer() -> None:
    """Neither a closed line nor a late one is taken for an answer."""
    half = json.dumps(ANSWER).encode()[:-3]
    with pytest.raises(_Unfit, match="it closed the connection"):
        line([half])[0].call("transact", [])
    with pytest.raises(_Unfit, match="does not answer in time"):
        line([half], seconds=-1)[0].call("transact", [])


def test_a_request_that_is_refused_as_a_whole_is_permanent() -> None:
    """The server's own words are passed on."""
    with pytest.raises(Permanent, match="unknown database"):
        line([json.dumps({"id": 1, "result": None, "error": "unknown database"}).encode()])[0].call("transact", [])


def test_sets_of_one_are_written_as_their_member() -> None:
    """RFC 7047, 5.1: a set of one, an empty one, and one of several are all read as sets."""
    one, two = reference("1"), reference("2")
    assert references(one) == ("1",)
    assert references(a_set(())) == ()
    assert references(a_set((one, two))) == ("1", "2")
    assert members("text") == ["text"]
    assert pairs(a_map({"key": "value"})) == {"key": "value"}


@pytest.mark.parametrize(
    ("wanted", "answered", "age", "alive"),
    [(7, 7, 1e6, True), (7, 6, 1e6, True), (7, 5, 74, True), (7, 5, 76, False), (7, 0, 1e6, False)],
)
def test_a_chassis_lives_as_neutron_judges_it(wanted: int, answered: int, age: float, alive: bool) -> None:
    """One answer behind is well; more is, for as long as its last answer is younger than 75 s."""
    now = 2e9
    assert is_alive({"nb_cfg": answered, "nb_cfg_timestamp": (now - age) * 1000}, wanted, now) is alive
