"""The wire below keystoneauth: counts what is really sent, bounds its time, and knows what was lost on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0

TRANSIENT = frozenset({429, 500, 502, 503, 504})
"""Statuses that may be another one at the next try."""

UNTRUSTED = "shows a certificate that is not trusted: set `cacert` in clouds.yaml to the authority's file"

SLOW = f"did not answer within {READ_SECONDS:.0f} s"

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, so that a lost answer costs nothing."""


@dataclass
class Exchange:
    """One call of an `Api`, which may take several requests: a token, discovery, the call itself."""

    service: str
    lost: bool = False
    """A changing request went out and its answer never came."""
    trouble: str = ""
    """Why the last request got no useful answer; keystoneauth drops this when it looks for versions."""


_exchange: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class Transport(BaseAdapter):
    """Sends through `inner`; mounted for all addresses of one `requests.Session`.

    Every request that leaves is counted by service type in `counter`: tokens under "identity", the discovery of a
    service's versions under that service.
    """

    def __init__(self, inner: BaseAdapter, auth_url: str, counter: Counter[str]) -> None:
        super().__init__()
        self._inner = inner
        self._auth_url = auth_url.rstrip("/")
        self._counter = counter

    @contextmanager
    def exchange(self, service: str) -> Iterator[Exchange]:
        """Attribute the requests of the block to `service`."""
        current = Exchange(service)
        token = _exchange.set(current)
        try:
            yield current
        finally:
            _exchange.reset(token)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request within the time limits.

        Raises:
            requests.RequestException: as `requests` does; the running exchange then says whether a change was lost.
        """
        current = _exchange.get()
        identity = self._is_identity(request.url or "")
        self._counter["identity" if identity or current is None else current.service] += 1
        bounded = timeout or (CONNECT_SECONDS, READ_SECONDS)
        current = current or Exchange("identity")
        try:
            response = self._inner.send(request, stream, bounded, verify, cert, proxies)
        except requests.RequestException as error:
            changing = not identity and request.method not in READS
            current.lost = changing and not _never_sent(error)
            current.trouble = _told(error)
            raise
        current.trouble = f"answers {response.status_code}" if response.status_code in TRANSIENT else ""
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _is_identity(self, url: str) -> bool:
        """Whether Keystone is asked: for a token, or for its versions."""
        plain = url.rstrip("/")
        return urlsplit(plain).path.endswith("/auth/tokens") or plain in {
            self._auth_url, self._auth_url + "/v3", self._auth_url.removesuffix("/v3"),
        }  # fmt: skip


def _told(error: requests.RequestException) -> str:
    """What happened to the connection, without addresses."""
    if isinstance(error, requests.exceptions.SSLError):
        return UNTRUSTED
    return SLOW if isinstance(error, requests.ReadTimeout) else "does not answer (no connection)"


def _never_sent(error: requests.RequestException) -> bool:
    """Whether no connection came about, so that the service can't have seen the request."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
