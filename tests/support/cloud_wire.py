"""The double's wire: a `requests` adapter in front of Keystone, Nova and Placement, without a socket."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import MaxRetryError, NewConnectionError

from tests.support.cloud_reads import BASE, HttpError, Query
from tests.support.cloud_verbs import Answers

__all__ = ["BASE", "Wire"]


class Wire(BaseAdapter):
    """Hands requests to the answers, and fails as it is told."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers
        self.world = answers.world
        self.requests: Counter[str] = Counter()
        self.log: list[str] = []
        """Every request to a service: "GET /compute/v2.1/servers/detail?…"."""
        self.unreachable = False
        self.failures: list[tuple[int, dict[str, str], str]] = []
        self.lost_verbs: list[str] = []
        self._routes = answers.table()

    def close(self) -> None:
        """Nothing to close."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Answer one request, after everything that was due by now has happened."""
        url = urlsplit(request.url or "")
        service = url.path.strip("/").split("/")[0]
        if self.unreachable:
            raise requests.ConnectionError(
                MaxRetryError(None, "", NewConnectionError(None, "Connection refused"))  # type: ignore[arg-type]
            )
        self.requests[service] += 1
        self.log.append(f"{request.method} {url.path}{'?' + url.query if url.query else ''}")
        self.world.settle()
        acts = len(self.world.history)
        response = self._respond(request, service, url.path, dict(parse_qsl(url.query)))
        new = [act.verb for act in self.world.history[acts:]]
        if new and new[0] in self.lost_verbs:
            self.lost_verbs.remove(new[0])
            raise requests.ConnectionError("Connection aborted: Remote end closed connection without response")
        return response

    def _respond(self, request: requests.PreparedRequest, service: str, path: str, query: Query) -> requests.Response:
        called = f"{request.method} {path.rstrip('/')}"
        for failure in self.failures:
            setting_up = service == "identity" or path.rstrip("/").endswith("/v2.1")
            if failure[2] == called or (failure[2] in called and not setting_up):
                self.failures.remove(failure)
                return _response(request, failure[0], {"error": {"message": "injected"}}, failure[1])
        body = json.loads(request.body) if request.body else {}
        version = self._version(request)
        for method, pattern, handle in self._routes:
            match = re.fullmatch(pattern, path.rstrip("/"))
            if method == request.method and match:
                try:
                    status, document = handle(query, body, version, *match.groups())
                except HttpError as error:
                    status = error.status
                    document = {"badRequest": {"code": status, "message": error.message}}
                headers = {"X-Subject-Token": "token-1"} if path.endswith("/auth/tokens") else {}
                return _response(request, status, document, headers)
        return _response(request, 404, {"itemNotFound": {"code": 404, "message": f"no route {path}"}}, {})

    def _version(self, request: requests.PreparedRequest) -> tuple[int, int]:
        asked = request.headers.get("OpenStack-API-Version", "compute 2.1").split()[1]
        major, minor = asked.split(".")
        return int(major), int(minor)


def _response(
    request: requests.PreparedRequest, status: int, document: Any, headers: dict[str, str]
) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.reason = {400: "Bad Request", 404: "Not Found"}.get(status, "")
    response._content = b"" if document is None else json.dumps(document).encode()
    response.headers.update({"Content-Type": "application/json", **headers})
    response.request, response.url = request, request.url or ""
    response.encoding = "utf-8"
    return response
