"""Planted secrets: they go in by every way that there is, and come out by none."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from cloudevents.conversion import to_binary
from flask.testing import FlaskClient
from parliament import server
from sqlalchemy import text
from werkzeug.test import TestResponse

from shared.access.signature import Signer
from shared.clock import SystemClock
from shared.door import Door, cloud_event
from shared.errors import Permanent, Retry
from shared.events import Event
from shared.operations import Work
from shared.settings import OTHERS
from shared.store import Database
from tests.support.kinds import Walk
from tests.support.postgres import Postgres

MARK = "pl4nted"
"""What all of them hold; it may be nowhere."""
DOOR = f"{MARK}-door-secret-0123456789"
TICK = f"{MARK}-tick-key-0123456789"
METRICS = f"{MARK}-metrics-token-0123456789"
FERNET = f"gAAAAABnABCDEFGHIJKLMNOP{MARK}-QRSTUVWXYZ"
BEARER = f"eyJhbGciOiJSUzI1NiJ9.{base64.urlsafe_b64encode(b'{}').decode().rstrip('=')}{MARK}.c2lnbmF0dXJl"
SAYINGS = (
    f"can't connect to rabbit://nova:{MARK}@10.0.0.5:5672/nova",
    f"mysql+pymysql://nova:{MARK}@db/nova refused",
    f"login failed: password={MARK}",
    f'the body was {{"auth": {{"password": "{MARK}", "user": "nova"}}}}',
    f"sent X-Auth-Token: {MARK}",
    f"sent Authorization: Bearer {BEARER}",
    f"token {FERNET} is not known",
)
"""How other programs tell secrets in their errors."""


class Elsewhere(ThreadingHTTPServer):
    """Keystone, a broker and a collector of traces in one; what they get is kept."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.got: list[bytes] = []
        self.away = False

    @property
    def url(self) -> str:
        """The address of all of them."""
        return f"http://127.0.0.1:{self.server_port}"


class _Answering(BaseHTTPRequestHandler):
    server: Elsewhere

    def do_GET(self) -> None:
        """Keystone knows nobody, and quotes what it was asked, as a chatty one would."""
        self._answer(503 if self.server.away else 401, {"error": {"message": f"unknown: {self.headers}"}})

    def do_POST(self) -> None:
        """Take it."""
        self.server.got.append(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(202, {})

    def _answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Running."""
    running = Elsewhere()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join(5)


class Place:
    """A whole function, assembled from its environment, and everything that comes out of it."""

    def __init__(self, postgres: Postgres, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in OTHERS.values():
            monkeypatch.delenv(name, raising=False)
        settings = {
            "DATABASE_URL": postgres.url.replace("drover@", f"drover:{MARK}@"),
            "DOOR_SECRET": DOOR,
            "DOOR_TICK": TICK,
            "METRICS_TOKEN": METRICS,
            "METRICS_PORT": str(_free_port()),
            "KEYSTONE_URL": f"{elsewhere.url}/v3",
            "OIDC_ISSUER": f"{elsewhere.url}/realm",
            "OIDC_AUDIENCE": "drover",
            "SINK": f"{elsewhere.url}/sink",
            "OTLP_ENDPOINT": elsewhere.url,
            "LOG_LEVEL": "DEBUG",
            "LOG_FORMAT": "json",
        }
        for name, value in settings.items():
            monkeypatch.setenv(f"DROVER_{name}", value)
        self.metrics_port = settings["METRICS_PORT"]
        self.kind = Walk()
        self.door = Door("test", lambda: [self.kind], dead_letters=True)  # keeps even what it does not know
        self.client: FlaskClient = server.create(SimpleNamespace(main=self.door.main)).test_client()
        self.signer = Signer([DOOR], SystemClock())
        self.out: list[str] = []
        self._numbers = iter(range(1, 1000))

    def ask(self, type: str, data: Any, **extensions: str) -> TestResponse:
        """A signed event; its answer is kept."""
        event = Event(str(next(self._numbers)), "/tests", type, data, extensions=extensions)
        return self.post(self.signer.sign(event))

    def post(self, event: Event, **headers: str) -> TestResponse:
        """Any event."""
        sent, body = to_binary(cloud_event(event))
        return self.keep(self.client.post("/", data=body, headers={**sent, **headers}))

    def keep(self, answer: TestResponse) -> TestResponse:
        """Note an answer with its headers."""
        self.out.append(f"{answer.headers} {answer.text}")
        return answer

    def tables(self) -> str:
        """Every row of every table."""
        with self.door.engine.database.reading() as session:
            names = session.connection().execute(
                text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
            )
            rows = [session.connection().execute(text(f'SELECT * FROM "{name}"')).all() for (name,) in names]
        return str(rows)

    def metrics(self) -> str:
        """A scrape."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.metrics_port}/metrics")
        request.add_header("Authorization", f"Bearer {METRICS}")
        with urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def place(
    postgres: Postgres, database: Database, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """The function."""
    place = Place(postgres, elsewhere, monkeypatch)
    yield place
    place.door.engine.database.close()
    logging.getLogger().handlers.clear()


def walk_through_everything(place: Place, elsewhere: Elsewhere) -> None:
    """Put secrets wherever anybody could, and let everything fail in every way."""
    walk = "io.drover.walk.requested"
    fields = ("password", "admin_pass", "token", "my_secret", "credentials", "api_key", "private-key", "Authorization")
    for field in fields:
        place.ask(walk, {"target": "cmp01", field: f"{MARK}"})
        place.ask(walk, {"target": "cmp01", "extra": {field: MARK}})
    for saying in SAYINGS:
        place.ask(walk, {"target": 5, "reason": [saying]})
        place.ask(walk, {"target": "cmp01", "steps": saying})
        place.ask(walk, {"target": "cmp01", "database": saying})
        letter = {"knativeerrordata": base64.b64encode(saying.encode()).decode(), "knativeerrorcode": "500"}
        place.ask("io.drover.unknown.requested", {"text": saying, "password": MARK}, **letter)
        for error in (RuntimeError(saying), Retry(saying), Permanent(saying), KeyError(saying)):
            place.kind.refusal = error
            place.ask(walk, {"target": "cmp02"})
        place.kind.refusal = None
        fail_in_a_slice(place, saying)
    for headers in (
        {"X-Auth-Token": FERNET},
        {"Authorization": f"Bearer {BEARER}"},
        {"Authorization": f"Basic {MARK}"},
    ):
        place.post(Event("p", "/tests", walk, {"target": "cmp01"}), **headers)
        place.keep(place.client.get("/?operations", headers=headers))
    elsewhere.away = True
    place.post(Event("q", "/tests", walk, {"target": "cmp01"}), **{"X-Auth-Token": f"{FERNET}x"})
    place.post(Event("r", "/tests", walk, {"target": "cmp01"}, extensions={"drovertick": TICK}))
    place.post(Event("s", "/tests", walk, {"target": "cmp01"}, extensions={"droversignature": DOOR}))
    key = base64.b64encode(TICK.encode()).decode()
    place.post(Event("t", "/tests", "io.drover.tick", {}, extensions={"drovertick": key}))
    place.keep(place.client.get("/?operations"))


def fail_in_a_slice(place: Place, saying: str) -> None:
    """Operations that wait, end and break with somebody else's words."""
    errors = iter([RuntimeError(saying), Retry(saying, 0.0), Permanent(saying)])

    def script(work: Work) -> float | None:
        work.operation.next_at = None
        raise next(errors)

    place.kind.script = script
    answer = place.ask("io.drover.walk.requested", {"target": f"cmp{hash(saying)}"})
    assert answer.json is not None
    operation = answer.json["operation"]
    for _ in range(3):
        with place.door.engine.database.transaction() as session:
            session.connection().execute(text("UPDATE operation SET next_at = now() - interval '1 day'"))
        place.door.engine.work(0.0)
    read = place.keep(place.client.get(f"/?operation={operation}"))
    assert read.status_code == 401


def test_no_secret_comes_out(place: Place, elsewhere: Elsewhere, capfd: pytest.CaptureFixture[str]) -> None:
    """Not in logs, tables, replies, refusals, metrics, traces or sent events; each of these was looked at."""
    walk_through_everything(place, elsewhere)
    scraped = place.metrics()
    place.door.engine._tracing.close()
    written = capfd.readouterr()
    found = {
        "the log": written.err + written.out,
        "the tables": place.tables(),
        "an answer": "\n".join(place.out),
        "the metrics": scraped,
        "a trace or an event that was sent": b"\n".join(elsewhere.got).decode("latin-1"),
    }
    wanted = {
        "the log": "unexpected error",
        "the tables": "io.drover.unknown.requested",
        "an answer": "io.drover.walk.rejected",
        "the metrics": "drover_refused_total",
        "a trace or an event that was sent": "io.drover.walk.failed",
    }
    assert {where: word for where, word in wanted.items() if word not in found[where]} == {}
    hidden = (MARK, base64.b64encode(MARK.encode()).decode()[:8], base64.b64encode(TICK.encode()).decode())
    leaks = [
        f"{where}: …{text[max(0, match.start() - 100) : match.end() + 20]}…"
        for where, text in found.items()
        for word in hidden
        for match in re.finditer(re.escape(word), text)
    ]
    assert leaks == [], "\n".join(leaks)
