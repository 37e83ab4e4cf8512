"""What a failed connection says: what to do about it, for ever or for now."""

from __future__ import annotations

import ssl

import pytest
import requests
from pika.exceptions import AMQPConnectionError, IncompatibleProtocolError
from urllib3.exceptions import MaxRetryError, SSLError

from shared.errors import Permanent, Retry
from shared.rabbit.failures import explained

UNVERIFIED = ssl.SSLCertVerificationError(
    1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)"
)
ELSEWHERE = ssl.SSLCertVerificationError(
    1,
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for "
    "'mq9'. (_ssl.c:1006)",
)
NO_RESPONSE = "StreamLostError: (\"Stream connection lost: SSLEOFError(8, 'EOF occurred in violation of protocol')\",)"


class Several(AMQPConnectionError):
    """As pika wraps what became of its tries: they are attributes, not causes."""

    exceptions = (AMQPConnectionError(UNVERIFIED),)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UNVERIFIED, "can't be verified (self-signed certificate): name the authority"),
        (requests.exceptions.SSLError(MaxRetryError(None, "/", SSLError(UNVERIFIED))), "name the authority"),
        (Several(), "name the authority"),
        (ELSEWHERE, "is for another host (Hostname mismatch, certificate is not valid for 'mq9')"),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert"), "demands a client's certificate"),
        (
            ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] tlsv1 alert unknown ca"),
            "who signed the client's certificate",
        ),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "speaks no TLS at this port"),
    ],
)
def test_what_no_second_try_would_mend(error: Exception, words: str) -> None:
    """However the library has wrapped it: it is permanent, names who, and says what to do."""
    found = explained("RabbitMQ at mq1:5671", error, tls=True)
    assert isinstance(found, Permanent)
    assert str(found).startswith("RabbitMQ at mq1:5671: ")
    assert words in str(found)


def test_a_connection_that_ends_at_once_may_want_a_certificate() -> None:
    """It may as well be a broker that is about to stop: it is asked again."""
    found = explained("RabbitMQ", IncompatibleProtocolError(NO_RESPONSE), tls=True)
    assert isinstance(found, Retry)
    assert "may demand a client's certificate" in str(found)


def test_plain_text_to_a_port_of_tls() -> None:
    """Whoever forgot the s is told; with TLS a reset connection is only that."""
    error = ConnectionResetError(104, "Connection reset by peer")
    assert "write amqps and https" in str(explained("RabbitMQ", error, tls=False))
    assert "amqps" not in str(explained("RabbitMQ", error, tls=True))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "RabbitMQ: [Errno 111] Connection refused"),
        (AMQPConnectionError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (TimeoutError(), "RabbitMQ: TimeoutError"),
    ],
)
def test_a_broker_that_does_not_answer(error: Exception, words: str) -> None:
    """Whatever is known of the reason, and at least its kind."""
    found = explained("RabbitMQ", error, tls=True)
    assert isinstance(found, Retry)
    assert words in str(found)
