"""The bodies that oslo.messaging sends, as they are and as they should not be."""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.rpc_trace.message import FOREIGN, argument_sizes, failure_class, name_of, read_body, unpack
from tests.support.firehose import envelope, failure

REQUEST = {
    "method": "ping",
    "namespace": "admin",
    "args": {"x": 1},
    "_msg_id": "m",
    "_unique_id": "u",
    "_reply_q": "reply_1",
    "_context_request_id": "req-1",
    "_context_global_request_id": "req-2",
}


@pytest.mark.parametrize("body", [envelope(REQUEST), json.dumps(REQUEST)], ids=["2.0", "1.0"])
def test_a_request_is_read_in_its_envelope_and_bare(body: str) -> None:
    """Both versions of the envelope give the same fields."""
    message = read_body(body)
    assert (message.method, message.namespace, message.msg_id, message.unique_id) == ("ping", "admin", "m", "u")
    assert (message.reply_q, message.request_id, message.global_request_id) == ("reply_1", "req-1", "req-2")
    assert read_body(body.encode()) == message


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nothing",
        "[]",
        "3",
        '"text"',
        "null",
        "{}",
        '{"oslo.message": "no JSON"}',
        '{"oslo.message": "[1]"}',
        "\ud800",
    ],
)
def test_foreign_bodies_are_foreign(body: str) -> None:
    """What is not of oslo.messaging has no field at all."""
    assert read_body(body) == FOREIGN


@given(st.integers(0, 400))
def test_a_truncated_body_is_foreign(length: int) -> None:
    """Wherever it is cut off, nothing of it counts."""
    body = envelope(REQUEST)
    assert read_body(body[: min(length, len(body) - 1)]) == FOREIGN


@given(st.binary())
def test_no_bytes_make_it_fail(body: bytes) -> None:
    """Whatever comes, something is returned."""
    read_body(body)
    argument_sizes(body)
    failure_class(body.decode("latin-1"))


@pytest.mark.parametrize("value", [3, None, [], {}, True, 1.5])
def test_a_field_of_another_type_does_not_hide_the_others(value: Any) -> None:
    """Each field counts for itself."""
    message = read_body(envelope(REQUEST | {"namespace": value, "_context_request_id": value}))
    assert (message.method, message.msg_id, message.namespace, message.request_id) == ("ping", "m", None, None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud83d", 10**400])
def test_what_python_writes_beside_json_is_read(value: Any) -> None:
    """NaN, infinity, halves of surrogate pairs and long numbers come from Python's encoder; the message counts."""
    for body in (envelope(REQUEST | {"args": {"x": value}}), envelope(REQUEST | {"_context_user": value})):
        assert read_body(body).msg_id == "m"
        assert read_body(body).method == "ping"


def test_deep_nesting_does_no_harm() -> None:
    """A body that would exhaust the stack is read or foreign."""
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert read_body(deep) == FOREIGN
    assert argument_sizes(deep) == {}


PACKERS = {"application/x-gzip": zlib.compress, "application/x-bz2": bz2.compress, "application/x-lzma": lzma.compress}


@pytest.mark.parametrize("name", PACKERS)
def test_compressed_bodies_are_unpacked(name: str) -> None:
    """kombu's compressions are undone."""
    assert read_body(unpack(PACKERS[name](envelope(REQUEST).encode()), name)).method == "ping"


@given(st.sampled_from([*PACKERS, "application/zstd"]), st.binary())
def test_what_cannot_be_unpacked_is_empty_or_foreign(name: str, body: bytes) -> None:
    """Broken and unknown compressions never fail."""
    assert read_body(unpack(body, name)) == FOREIGN


def test_of_an_exception_only_the_class_is_kept() -> None:
    """Neither its text nor its traceback."""
    assert (
        failure_class(failure("ComputeHostNotFound", "secret", "nova.exception"))
        == "nova.exception.ComputeHostNotFound"
    )
    assert failure_class(failure("Boom", module="")) == "Boom"
    assert failure_class("no JSON") == "(unreadable)"
    assert failure_class('{"class": "what a\\nsecret!"}') == "(unreadable)"


def test_arguments_have_names_and_sizes_and_never_values() -> None:
    """The size is that of the value's JSON text."""
    body = envelope({"method": "m", "args": {"password": "secret", "n": 12, "odd\nname": [1, 2]}})
    assert argument_sizes(body) == {"password": 8, "n": 2, "(unreadable)": 6}
    assert argument_sizes(envelope({"method": "m"})) == {}


@pytest.mark.parametrize("text", ["q-agent-notifier.cmp01", "reply_1", "host:nova:7", "a b"])
def test_names_stay(text: str) -> None:
    """Names of methods, queues and classes are shown as they are."""
    assert name_of(text) == text


@pytest.mark.parametrize("text", ["a\x1b[31m", "{}", "x" * 256, "a'b", "a\n"])
def test_what_is_no_name_is_not_repeated(text: str) -> None:
    """Control characters, quotes and long texts are not shown."""
    assert name_of(text) == "(unreadable)"
    assert name_of("") == name_of(None) == ""
