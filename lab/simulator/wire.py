"""The fast door: a `requests` adapter in front of the simulated cloud, without a socket."""

from __future__ import annotations

from http.client import responses
from typing import Any
from urllib.parse import urlsplit

from requests import ConnectionError, PreparedRequest, Response
from requests.adapters import BaseAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError

from lab.simulator.front import Front
from lab.simulator.protocol import Answer, Dropped

BASE = "http://cloud.test"


class Wire(BaseAdapter):
    """Hands requests to the front, and fails as it is told."""

    def __init__(self, front: Front) -> None:
        super().__init__()
        self.front = front

    def close(self) -> None:
        """Nothing to close."""

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """Answer one request, after everything that was due by now has happened."""
        if self.front.trouble.unreachable:
            raise ConnectionError(
                MaxRetryError(None, "", NewConnectionError(None, "Connection refused"))  # type: ignore[arg-type]
            )
        url = urlsplit(request.url or "")
        body = request.body or b""
        try:
            answer = self.front.answer(
                request.method or "GET",
                url.path + ("?" + url.query if url.query else ""),
                dict(request.headers),
                body.encode() if isinstance(body, str) else body,
                BASE,
            )
        except Dropped:
            raise ConnectionError("Connection aborted: Remote end closed connection without response") from None
        return _response(request, answer)


def _response(request: PreparedRequest, answer: Answer) -> Response:
    response = Response()
    response.status_code = answer.status
    response.reason = responses.get(answer.status, "")
    response._content = answer.encoded()
    response.headers.update({"Content-Type": "application/json", **answer.headers})
    response.request, response.url = request, request.url or ""
    response.encoding = "utf-8"
    return response
