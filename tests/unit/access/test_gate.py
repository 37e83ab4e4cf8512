"""What a function lets in without any setting, how it is limited, and how much it reads."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from parliament import server
from structlog.testing import capture_logs
from waitress.adjustments import Adjustments
from werkzeug.test import EnvironBuilder, run_wsgi_app

from lab.simulator.clock import SteppedClock
from shared.access import Caller, Knock, Role
from shared.access.caller import may
from shared.access.limits import Buckets, Rate
from shared.door import Door
from shared.events import Event
from shared.server import MAX_EVENT, MAX_TAKEN
from shared.settings import OTHERS
from tests.support.bench import Bench
from tests.support.doors import EVERYTHING, World, token
from tests.support.kinds import Walk

pytestmark = pytest.mark.filterwarnings("ignore:to_binary is deprecated")  # parliament's own call

ROOT = Path(__file__).parents[3]


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment that says nothing but where the store is."""
    for name in [*OTHERS.values(), *(f"DROVER_{key.upper()}" for key in EVERYTHING)]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DROVER_DATABASE_URL", f"sqlite:///{tmp_path}/drover.db")


@pytest.mark.usefixtures("_bare")
def test_a_door_without_settings_lets_nobody_in(tmp_path: Path) -> None:
    """A function that somebody deploys as it is refuses everybody, and does not even open its store."""
    client = server.create(SimpleNamespace(main=Door("test", lambda: [Walk()]).main)).test_client()
    headers = {"ce-id": "1", "ce-source": "/x", "ce-type": "io.drover.tick", "ce-specversion": "1.0"}
    assert client.post("/", data="{}", headers=headers).status_code == 401
    assert client.get("/?operations").status_code == 401
    assert client.get("/health/readiness").status_code == 200
    assert not (tmp_path / "drover.db").exists()


@pytest.mark.usefixtures("_bare")
def test_wrong_settings_let_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """503, and what is wrong is for the log alone: whoever asks is not known."""
    monkeypatch.setenv("DROVER_DOOR_SECRET", "short")
    client = server.create(SimpleNamespace(main=Door("test", lambda: [Walk()]).main)).test_client()
    with capture_logs() as logged:
        answer = client.get("/?operations")
    assert answer.status_code == 503
    assert "DROVER_DOOR_SECRET" not in answer.text
    assert "DROVER_DOOR_SECRET: found 5 characters" in logged[0]["error"]


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("system:serviceaccount:drover:drain-requested-oidc-1", 200),
        ("system:serviceaccount:drover:drain-requested", 403),
        ("system:serviceaccount:drover-2:drain-requested-oidc-1", 403),
        ("system:serviceaccount:evil:drover:drain-requested-oidc-1", 403),
    ],
)
def test_accounts_that_knative_names(bench: Bench, name: str, status: int) -> None:
    """A star stands for the part of a name that Knative chooses, and for nothing of the namespace."""
    world = World(bench, {**EVERYTHING, "broker_senders": "system:serviceaccount:drover:*-oidc-*"})
    assert world.post(authorization=f"Bearer {token(sub=name)}").status_code == status


@pytest.fixture
def _defaults() -> Iterator[None]:
    """The limits are put back."""
    before = Flask.default_config, Adjustments.max_request_body_size, Adjustments.max_request_header_size
    yield
    Flask.default_config = before[0]
    Adjustments.max_request_body_size, Adjustments.max_request_header_size = before[1:]


@pytest.mark.usefixtures("_bare", "_defaults")
def test_the_image_s_entry_point_bounds_what_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is announced as too large is never read; the server takes eight megabytes, not a thousand."""
    monkeypatch.delenv("FUNCTION", raising=False)
    spec = importlib.util.spec_from_file_location("func_under_test", ROOT / "func.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    app = server.create(module)
    assert app.config["MAX_CONTENT_LENGTH"] == MAX_EVENT
    assert Adjustments().max_request_body_size == MAX_TAKEN

    body = io.BytesIO(b"x" * (MAX_EVENT + 1))
    environ = EnvironBuilder(method="POST").get_environ()
    environ.update({"wsgi.input": body, "CONTENT_LENGTH": str(MAX_EVENT + 1)})
    text, status, _ = run_wsgi_app(app, environ)
    assert status.startswith("413")
    assert f"{MAX_EVENT + 1} bytes, expected at most {MAX_EVENT}" in b"".join(text).decode()
    assert body.tell() == 0


@given(
    burst=st.integers(1, 20),
    rate=st.integers(1, 10),
    gaps=st.lists(st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0]), max_size=80),
)
def test_a_bucket_gives_no_more_than_its_rate(burst: int, rate: int, gaps: list[float]) -> None:
    """In any stretch of time: the burst, and the rate times the time; and after waiting as told there is one."""
    clock = SteppedClock()
    buckets = Buckets(Rate(burst, rate), clock)
    taken = 0
    for gap in gaps:
        clock.advance(gap)
        wait = buckets.take("ann")
        taken += wait == 0
        assert taken <= burst + clock.monotonic() * rate + 1e-6
        assert (wait > 0) == (buckets.wait("ann") > 0) or wait == 0
    clock.advance(buckets.wait("ann") + 1e-6)
    assert buckets.take("ann") == 0.0


def test_buckets_are_bounded_and_apart() -> None:
    """One person's haste is not another's, and strangers can't fill the memory."""
    buckets = Buckets(Rate(1, 0.1), SteppedClock(), size=3)
    assert buckets.take("ann") == 0.0
    assert buckets.take("ann") == pytest.approx(10.0)
    assert buckets.take("bob") == 0.0
    for number in range(10):
        buckets.take(str(number))
    assert len(buckets._levels) == 3


TYPES = [
    "io.drover.tick",
    "io.drover.cleanup.requested",
    "io.drover.drain.requested",
    "io.drover.operation.cancel.requested",
    "io.drover.drain.progressed",
    "io.drover.trace-watch.requested",
]
MAY = {
    Role.TICK: {("POST", TYPES[0]), ("POST", TYPES[1]), ("POST", TYPES[5])},
    Role.READER: {("GET", ""), ("HEAD", "")},
    Role.OPERATOR: {
        ("GET", ""),
        ("HEAD", ""),
        ("POST", TYPES[1]),
        ("POST", TYPES[2]),
        ("POST", TYPES[3]),
        ("POST", TYPES[5]),
    },
    Role.DELIVERY: {("POST", type) for type in TYPES},
}


@pytest.mark.parametrize("role", Role)
def test_what_each_role_may(role: Role) -> None:
    """The whole matrix."""
    caller = Caller("x", role, "keystone")
    asked = [("GET", ""), ("HEAD", ""), *(("POST", type) for type in TYPES)]
    allowed = {
        (method, type)
        for method, type in asked
        if may(caller, Knock(method, {}, "", Event("1", "/x", type, {}) if type else None))
    }
    assert allowed == MAY[role]
