"""What became of a connection that could not be made, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator

from shared.errors import DroverError, Permanent, Retry

AGAIN_SECONDS = 5.0
"""After which a broker that did not answer is asked again."""

AUTHORITY = "name the authority that signed it: ca_file in brokers.yaml, or DROVER_RABBIT_CA_FILE"
CLIENT = "cert_file and key_file in brokers.yaml, or DROVER_RABBIT_CERT_FILE and DROVER_RABBIT_KEY_FILE"

# OpenSSL's own words, which pika and urllib3 hand on within texts of their own; the first that fits counts.
_FOR_EVER = (
    ("mismatch, certificate is not valid", "its certificate is for another host ({}): name it as the certificate does"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate can't be verified ({}): " + AUTHORITY),
    ("CERTIFICATE_REQUIRED", "it demands a client's certificate: name " + CLIENT),
    ("ALERT_UNKNOWN_CA", "it does not know who signed the client's certificate: check " + CLIENT),
    ("ALERT_BAD_CERTIFICATE", "it does not accept the client's certificate: check " + CLIENT),
    ("CERTIFICATE_EXPIRED", "the client's certificate has expired: renew it, and check " + CLIENT),
    ("ALERT_HANDSHAKE_FAILURE", "it refuses TLS with us, maybe for want of a client's certificate: check " + CLIENT),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS at this port: check the port, or amqp and http for amqps and https"),
)  # fmt: skip
_NOW = (
    (
        "EOF occurred in violation of protocol",
        "it ended the TLS connection: it may demand a client's certificate (" + CLIENT + "), or be about to stop",
    ),
)
_PLAIN = "it ended the connection: if it speaks TLS at this port, write amqps and https for amqp and http"
_RESET = ("Connection reset by peer", "Remote end closed connection", "Connection aborted")


def explained(what: str, error: BaseException, *, tls: bool) -> DroverError:
    """The error to raise: Permanent where only another configuration would help, else Retry.

    Args:
        what: who did not answer, without any password.
        tls: whether TLS was asked for.
    """
    text = " ".join(_texts(error))
    for words, meaning in _FOR_EVER:
        if words in text:
            return Permanent(f"{what}: {meaning.format(_reason(text))}")
    for words, meaning in _NOW:
        if words in text:
            return Retry(f"{what}: {meaning}", after=AGAIN_SECONDS)
    if not tls and any(words in text for words in _RESET):
        return Retry(f"{what}: {_PLAIN}", after=AGAIN_SECONDS)
    return Retry(f"{what}: {_plainest(error)}", after=AGAIN_SECONDS)


def _texts(error: BaseException | None) -> Iterator[str]:
    """Of the error, and of all that it stands for."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield f"{type(one).__name__}: {one!r}"
        left += [one.__cause__, one.__context__]
        left += [inner for inner in (*one.args, *getattr(one, "exceptions", ())) if isinstance(inner, BaseException)]


def _reason(text: str) -> str:
    """Why a certificate could not be verified."""
    return text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0].rstrip(".") or "unknown"


def _plainest(error: BaseException) -> str:
    """What it says of itself, or what the last of several says."""
    inner = [one for one in getattr(error, "exceptions", ()) if isinstance(one, BaseException)]
    if inner:
        return _plainest(inner[-1])
    causes = [one for one in error.args if isinstance(one, BaseException)]
    if not str(error) and causes:
        return _plainest(causes[-1])
    return str(error) or type(error).__name__
