"""The front of the simulated cloud: finds the service, checks the token, lets faults strike, keeps the log."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from lab.simulator.keystone import UNAUTHORIZED, Keystone
from lab.simulator.life import Life
from lab.simulator.protocol import Answer, Dropped, HttpError, Request, Service, parse_query
from lab.simulator.trouble import LOST, REFUSED, Trouble

LOG = 100_000
"""So many requests are kept in the log; older ones are forgotten."""


class Front:
    """Answers requests to any of the services, one at a time."""

    def __init__(self, world: Life, keystone: Keystone, services: list[Service]) -> None:
        self.world = world
        self.keystone = keystone
        self.trouble = Trouble()
        self.requests: Counter[str] = Counter()
        self.log: list[str] = []
        """Every request to a service: "GET /compute/v2.1/servers/detail?…"."""
        self.lock = threading.RLock()
        self._services = {service.root: service for service in [keystone, *services]}

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes, base: str) -> Answer:
        """Answer one request, after everything that was due by now has happened.

        Args:
            method: GET, POST, …
            url: the path with the query.
            headers: as they came.
            body: as it came.
            base: the address of the cloud as the caller knows it, "http://127.0.0.1:23000".

        Raises:
            Dropped: the connection is to be closed without an answer.
        """
        with self.lock:
            return self._answer(method, url, {k.lower(): v for k, v in headers.items()}, body, base)

    def _answer(self, method: str, url: str, headers: Mapping[str, str], body: bytes, base: str) -> Answer:
        address = urlsplit(url)
        path = address.path.rstrip("/")
        name = path.strip("/").split("/")[0]
        self.requests[name] += 1
        self.log.append(f"{method} {address.path}{'?' + address.query if address.query else ''}")
        if len(self.log) > 2 * LOG:
            del self.log[:LOG]
        self.world.settle()
        query, fields = parse_query(address.query)
        service = self._service(path)
        if service is None:
            return Answer(404, {"error": {"code": 404, "message": f"there is no service at {path}"}})
        request = Request(method, path[len(service.root) :], query, headers, body, base, fields=fields)
        return self._served(service, request, f"{method} {path}", name)

    def _service(self, path: str) -> Service | None:
        return next(
            (service for root, service in self._services.items() if path == root or path.startswith(root + "/")), None
        )

    def _served(self, service: Service, request: Request, called: str, name: str) -> Answer:
        opening = service is self.keystone or request.path in ("", "/v2.0")
        failure = self.trouble.failure(service.name, called, opening)
        if failure is not None:
            return Answer(failure[0], {"error": {"message": "injected"}}, failure[1])
        rule = self.trouble.rule(service.name, request)
        if rule is not None and rule.answer == REFUSED:
            raise Dropped
        if rule is not None and rule.status is not None:
            headers = {} if rule.retry_after is None else {"Retry-After": str(rule.retry_after)}
            return Answer(rule.status, {"error": {"code": rule.status, "message": "injected by a fault"}}, headers)
        acts = len(self.world.history)
        answer = self._authorized(service, request, opening)
        if self.trouble.loses([act.verb for act in self.world.history[acts:]]) or (rule and rule.answer == LOST):
            raise Dropped
        return answer

    def _authorized(self, service: Service, request: Request, opening: bool) -> Answer:
        if opening:
            with suppress(HttpError):
                request.caller = self.keystone.caller(request)
        else:
            try:
                request.caller = self.keystone.caller(request)
            except HttpError:
                document = {"error": {"code": 401, "title": "Unauthorized", "message": UNAUTHORIZED}}
                challenge = f'Keystone uri="{request.base}{self.keystone.root}"'
                return Answer(401, document, {"WWW-Authenticate": challenge})
        self.world.caller = request.caller.name if request.caller else ""
        return service.answer(request)
