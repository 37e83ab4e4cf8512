"""A tiny real kind of operation, and a way to a served Drover that opens no socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Flask
from requests.adapters import BaseAdapter

from functions.migrate.events import DrainPlanned, DrainRequested, UndrainRequested
from shared.errors import Permanent, Rejected, Retry
from shared.events import EventData
from shared.operations import Prepared, Work
from shared.store import Operation, OperationState, Step


class Emptying:
    """Moves two servers, one each two seconds; `hook` is called in every slice and may do what it likes."""

    name = "drain"
    requests: Sequence[type[EventData]] = (DrainRequested,)

    def __init__(self) -> None:
        self.hook: Callable[[Work], None] = lambda work: None
        self.slices = 0
        self.pace = 2.0  # seconds of one move
        self.prepared: list[EventData] = []

    def prepare(self, request: EventData) -> Prepared:
        assert isinstance(request, DrainRequested | UndrainRequested)
        self.prepared.append(request)
        if request.cloud == "away":
            raise Retry("cloud away: Keystone does not answer")
        if request.host not in ("cmp01", "full"):
            raise Rejected(f"found no compute host named {request.host!r}; there are 2 hosts: cmp01, full")
        dry = isinstance(request, DrainRequested) and request.dry_run
        parameters = request.model_dump(mode="json")
        answer = plan(request.host) if dry else None
        return Prepared(request.cloud, request.host, request.reason, request.requester, parameters, answer)

    def advance(self, work: Work) -> float | None:
        self.slices += 1
        if work.cancelled:
            work.end(OperationState.CANCELLED, "nothing was under way")
            return None
        self.hook(work)
        if not work.may_start:
            return None
        if not work.steps:
            names = ("web-1", "web-2")
            work.add([_step(work.operation.id, name) for name in names])
            return self.pace
        for step in work.steps.values():
            if step.state == "held":
                step.state, step.attempts = "done", step.attempts + 1
                work.save(step)
                return self.pace
        work.end(OperationState.SUCCEEDED, "")
        return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        moved = [step for step in steps if step.state == "done"]
        held = [step for step in steps if step.state == "held"]
        left = [{"server": step.subject, "name": step.name, "reason": step.error or "waits"} for step in held]
        ended = operation.state in ("succeeded", "failed", "cancelled", "halted")
        return {
            "moved": len(moved), "left": left if ended else [], "seconds": 84.0, "api_requests": 38,
            "total": len(steps) or None, "memory_mb_moved": 512 * len(moved), "eta_seconds": 2.0 * len(held),
            "in_flight": operation.memo.get("in_flight", 0),
        }  # fmt: skip


def _step(operation: str, name: str) -> Step:
    return Step(operation_id=operation, subject=name, name=name, action="live-migrate", to="cmp02", state="held")


class GivingBack(Emptying):
    """The undrain that belongs to it."""

    name = "undrain"
    requests: Sequence[type[EventData]] = (UndrainRequested,)

    def advance(self, work: Work) -> float | None:
        work.end(OperationState.SUCCEEDED, "")
        return None

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        return {"api_requests": 2}


class Failing(Emptying):
    """A drain that can't be done."""

    def advance(self, work: Work) -> float | None:
        raise Permanent("cmp01 has vanished")


def plan(host: str) -> DrainPlanned:
    """What the dry run answers: feasible unless the host is `full`."""
    fits = host != "full"
    server = {
        "id": "1", "name": "web-1", "action": "live-migrate" if fits else "cannot", "to": "cmp02" if fits else None,
        "reason": "" if fits else "no host can take it", "way_out": "" if fits else "free memory", "seconds": 3.0,
    }  # fmt: skip
    lack = {"servers": ["1"], "missing": {"MEMORY_MB": 512}, "text": "1 server fits on no host (web-1): 512 MB missing"}
    return DrainPlanned(host=host, feasible=fits, servers=[server], shortfall=None if fits else lack, seconds=3.0)


class Wire(BaseAdapter):
    """requests' way to a Flask application in this process; `lose` answers are done but never arrive."""

    def __init__(self, app: Flask) -> None:
        super().__init__()
        self._client = app.test_client()
        self.lose = 0
        self.down = False
        self.sent: list[tuple[str, Mapping[str, str]]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self.sent.append((str(request.method), dict(request.headers)))
        if self.down:
            raise requests.ConnectionError("refused")
        parts = urlsplit(str(request.url))
        answer = self._client.open(
            f"{parts.path or '/'}?{parts.query}",
            method=request.method,
            headers=dict(request.headers),
            data=request.body,
        )
        if self.lose:
            self.lose -= 1
            raise requests.ReadTimeout("lost")
        response = requests.Response()
        response.status_code, response.reason = answer.status_code, answer.status.partition(" ")[2]
        response.headers.update(answer.headers)
        response._content = answer.data
        response.url, response.request, response.raw = str(request.url), request, BytesIO()
        return response

    def close(self) -> None:
        """Nothing is open."""


def functions_app(main: Callable[[Any], Any]) -> Flask:
    """The application that parliament makes of a function."""
    from parliament.server import create

    app: Flask = create(SimpleNamespace(main=main))
    return app
