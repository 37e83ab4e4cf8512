"""Every function as it is deployed: parliament's application, the door, the gate, the engine and the store that the
environment's settings make, and a simulated cloud behind them. Nothing is replaced."""

from __future__ import annotations

import importlib
import json
import logging
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote_to_bytes

import yaml
from parliament import server
from sqlalchemy import text
from werkzeug.test import TestResponse, run_wsgi_app

import functions
from lab.simulator.run import Simulation, Wish, cloud_entry, start
from shared.door import Door
from shared.events.reference import COMMON
from shared.server import limit_server
from tests.fuzz.identity import Identity

SECRET = "planted-door-secret-0123456789abcdef"
CLOUD, SOURCE, HOSTS = "paris", "cmp07", 8
"""The cloud and the host of the events' examples."""
NOT_YET = "2099-05-01T06:00:00+02:00"
"""A deadline that has not passed, for those of the examples."""
COUNTED = ("operation", "step", "outbox", "audit", "inbox", "dead_letter")
"""The tables."""

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Request:
    """One HTTP request as a server hands it to an application; header values are bytes read as Latin-1."""

    method: str = "POST"
    path: str = "/"
    query: str = ""
    headers: Headers = ()
    body: bytes = b""

    def environ(self) -> dict[str, Any]:
        """By PEP 3333, as waitress does it: equal headers are joined, names with underscores dropped."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.method, "SCRIPT_NAME": "", "QUERY_STRING": self.query,
            "PATH_INFO": unquote_to_bytes(self.path.encode("latin-1", "replace")).decode("latin-1"),
            "SERVER_NAME": "drover", "SERVER_PORT": "8080", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": BytesIO(self.body),
            "wsgi.errors": BytesIO(), "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }  # fmt: skip
        for name, value in self.headers:
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            environ[key] = f"{environ[key]}, {value}" if key in environ else value
        if self.body:
            environ["CONTENT_LENGTH"] = str(len(self.body))
        return environ

    def bearing(self, token: str) -> Request:
        """With a bearer token."""
        return replace(self, headers=(*self.headers, ("Authorization", f"Bearer {token}")))


class Function:
    """One function with its door."""

    def __init__(self, name: str) -> None:
        module = importlib.import_module(f"functions.{name}.func")
        self.name = name
        self.door = Door(module.door.name, module.door.kinds, dead_letters=module.door.dead_letters)
        self.app = server.create(SimpleNamespace(main=self.door.main))
        self.app.logger.setLevel(logging.CRITICAL)

    def ask(self, request: Request) -> TestResponse:
        """Its answer.

        Raises:
            Exception: whatever leaves the application, which nothing ever should.
        """
        body, status, headers = run_wsgi_app(self.app.wsgi_app, request.environ())
        return TestResponse(body, status, headers, None)  # type: ignore[arg-type]

    @cached_property
    def examples(self) -> dict[str, dict[str, Any]]:
        """An example of each event that it takes or sends."""
        own = importlib.import_module(f"functions.{self.name}.examples").EXAMPLES
        found = {name: dict(data) for name, data in {**COMMON.examples, **own}.items()}
        for data in found.values():
            data |= {"deadline": NOT_YET} if "deadline" in data else {}
        return found

    @cached_property
    def schemas(self) -> dict[str, dict[str, Any]]:
        """The JSON schema of each request that it takes."""
        return {name: model.model_json_schema() for name, model in self.door.engine.catalogue.models.items()}


@dataclass
class State:
    """What must not change when something malformed comes: rows by table, and what the cloud was asked to change."""

    rows: Mapping[str, int]
    acts: int


class Bugs(logging.Handler):
    """Keeps what is logged as an error: each is a bug that some input has found."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it, with its traceback."""
        told = record.msg.get("exc_info") if isinstance(record.msg, dict) else None
        text = "".join(traceback.format_exception(told)) if isinstance(told, BaseException) else traceback.format_exc()
        self.found.append(f"{record.getMessage()[:2000]}\n{text}")


class World:
    """The functions, their store and their cloud."""

    def __init__(self, directory: Path, database_url: str) -> None:
        self.identity = Identity()
        self.simulation = _simulation(directory)
        self._before = dict(os.environ)
        for name in [name for name in os.environ if name.startswith(("DROVER_", "OS_", "K_", "OTEL_"))]:
            del os.environ[name]
        os.environ.update(self.identity.settings)
        os.environ.update(
            DROVER_DATABASE_URL=database_url,
            DROVER_DOOR_SECRET=SECRET,
            DROVER_KEYSTONE_URL=f"{self.simulation.door.base}/identity/v3",
            DROVER_LOG_LEVEL="ERROR",
            DROVER_SLICE_SECONDS="0.01",  # one slice for a tick: these have to be many
            OS_CLIENT_CONFIG_FILE=str(directory / "clouds.yaml"),
        )
        limit_server()
        logging.getLogger("parliament.server").setLevel(logging.CRITICAL)
        self.functions = {name: Function(name) for name in functions.names()}
        self.database = [each.door.engine.database for each in self.functions.values()][-1]
        self.known: State | None = None
        """How things are, if nothing has come since they were looked at."""
        self.bugs = Bugs()
        logging.getLogger().handlers[:] = [self.bugs]  # behind the engines, whose logs begin anew

    def state(self) -> State:
        """How things are now."""
        counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in COUNTED)
        with self.database.reading() as session:
            row = session.connection().execute(text(f"SELECT {counts}")).one()
        return State(dict(zip(COUNTED, row, strict=True)), len(self.simulation.cloud.history))

    def close(self) -> None:
        """Stop everything, and give the environment back."""
        for each in self.functions.values():
            each.door.engine.database.close()
        logging.getLogger().removeHandler(self.bugs)
        self.simulation.stop()
        self.identity.close()
        os.environ.clear()
        os.environ.update(self._before)


def _simulation(directory: Path) -> Simulation:
    """A small cloud with a few servers on the host of the examples."""
    capacity = {"vcpus": 64, "memory_mb": 131_072, "disk_gb": 2000}
    uses = {"vcpus": 1, "memory_mb": 2048, "disk_gb": 20}
    needs: dict[str, Any] = {"zone": None, "aggregates": [], "traits": []}
    fleet = {
        "format": "drover.fleet/1",
        "hosts": [{"name": f"cmp{n:02}", "zone": "nova", "capacity": capacity, "accepts": True, "aggregates": ["a"],
                   "traits": []} for n in range(1, HOSTS + 1)],
        "servers": [{"id": f"server-{n}", "host": SOURCE, "project": "p", "status": "ACTIVE", "uses": uses,
                     "requires": needs, "movable": True, "seconds": 30} for n in range(4)],
    }  # fmt: skip
    path = directory / "fleet.json"
    path.write_text(json.dumps(fleet))
    simulation = start(Wish(path, directory, port=0, speed=100))
    entry = cloud_entry(simulation.door.base, "admin")
    (directory / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {CLOUD: entry}}))
    return simulation
