"""The door, through parliament's own Flask application."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cloudevents.conversion import to_binary, to_structured
from cloudevents.http import CloudEvent, from_http
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parliament import server
from structlog.testing import capture_logs
from werkzeug.test import EnvironBuilder, TestResponse, run_wsgi_app

import functions
from shared.access import OpenGate
from shared.door import Door, cloud_event
from shared.errors import Retry
from shared.events import Event
from shared.server import MAX_EVENT
from shared.settings import OTHERS
from shared.store import Database, create
from tests.support.bench import Bench
from tests.support.kinds import Walk

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(database: Database) -> Iterator[Bench]:
    """The engine behind the door."""
    with capture_logs():
        yield Bench(database)


pytestmark = pytest.mark.filterwarnings("ignore:to_binary is deprecated")  # parliament's own call


@pytest.fixture
def client(bench: Bench) -> FlaskClient:
    """Sends requests as a broker or a person does."""
    logging.getLogger("parliament.server").setLevel(logging.ERROR)
    door = Door("test", lambda: [bench.kind], OpenGate())
    door._engine = bench.engine
    app = server.create(SimpleNamespace(main=door.main))
    app.logger.setLevel(logging.ERROR)
    client: FlaskClient = app.test_client()
    return client


def event(type: str = "io.drover.walk.requested", data: Any = None, id: str = "1", **attributes: str) -> CloudEvent:
    """An event for the wire."""
    core = {"type": type, "source": "/test", "id": id, "datacontenttype": "application/json"}
    return CloudEvent({**core, **attributes}, {"target": "cmp01"} if data is None else data)


def post(client: FlaskClient, sent: CloudEvent, structured: bool = False) -> TestResponse:
    """Deliver it."""
    headers, body = to_structured(sent) if structured else to_binary(sent)
    return client.post("/", data=body, headers=headers)


def reply(response: TestResponse) -> CloudEvent:
    """The event in an answer, read as a broker reads it."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return from_http(dict(response.headers), response.data)


def error(response: TestResponse) -> str:
    """The message in an answer to a person."""
    assert response.headers["content-type"] == "application/json"
    return str(json.loads(response.data)["error"])


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
def test_a_request_is_answered_with_an_event(client: FlaskClient, bench: Bench, structured: bool) -> None:
    """Both content modes are taken; the reply is a CloudEvent with its content type, and so is a duplicate's."""
    first = reply(post(client, event(), structured))
    assert (first["type"], first["source"], first["subject"]) == ("io.drover.walk.accepted", "/drover/test", "cmp01")
    assert first.data["operation"] == bench.rows_by_target()["cmp01"]
    assert reply(post(client, event(), structured))["id"] == first["id"]


@pytest.mark.parametrize("header", ["traceparent", "ce-traceparent"])
def test_the_trace_goes_on(client: FlaskClient, header: str) -> None:
    """Knative keeps it in an HTTP header of its own, others in the event; the reply carries it as its extension."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers, body = to_binary(event())
    answer = client.post("/", data=body, headers={**headers, header: trace})
    assert reply(answer)["traceparent"] == trace


def test_a_tick_without_news_is_answered_with_nothing(client: FlaskClient) -> None:
    """204 and no body: a broker takes any other body that is no event for a failure."""
    response = post(client, event("io.drover.tick", {}))
    assert (response.status_code, response.data) == (204, b"")


def test_a_tick_carries_a_fact_out(client: FlaskClient) -> None:
    """With the hop that keeps the chain of slices bounded."""
    post(client, event())
    answer = reply(post(client, event("io.drover.tick", {}, id="t")))
    assert (answer["type"], answer["droverhop"]) == ("io.drover.walk.completed", "1")


@pytest.mark.parametrize(
    ("type", "data", "answer", "reason"),
    [
        (
            "io.drover.walk.requested",
            {"target": 5},
            "io.drover.walk.rejected",
            "target: input should be a valid",
        ),
        ("io.drover.walk.requested", [], "io.drover.walk.rejected", "the data is list"),
        ("io.drover.wolk.requested", {}, "io.drover.event.rejected", "unknown event type"),
        ("io.drover.operation.pause.requested", {}, "io.drover.operation.pause.rejected", "operation: field required"),
    ],
)
def test_wrong_events_are_answered_with_a_rejection(
    client: FlaskClient, bench: Bench, type: str, data: Any, answer: str, reason: str
) -> None:
    """200: the event is stored and must not come again; the answer says why, and the row too."""
    rejection = reply(post(client, event(type, data)))
    assert rejection["type"] == answer
    assert reason in rejection.data["reason"]
    assert reason in bench.inbox()[0].reason


@pytest.mark.parametrize(
    "body", ["{", "", "nonsense", b"\xff\xfe", "[" * 100_000], ids=["open", "empty", "word", "not UTF-8", "deep"]
)
def test_malformed_json_is_rejected(client: FlaskClient, bench: Bench, body: str | bytes) -> None:
    """The headers make it an event, so it is kept and answered as one."""
    headers, _ = to_binary(event())
    rejection = reply(client.post("/", data=body, headers=headers))
    assert rejection["type"] == "io.drover.walk.rejected"
    assert "expected a JSON object" in rejection.data["reason"]
    assert [row.outcome for row in bench.inbox()] == ["rejected"]


@pytest.mark.parametrize(("version", "found"), [("2.0", "'2.0'"), (None, "nothing")])
def test_another_version_of_cloudevents_is_rejected(client: FlaskClient, version: str | None, found: str) -> None:
    """The message names the header."""
    headers, body = to_binary(event())
    headers.pop("ce-specversion")
    if version:
        headers["ce-specversion"] = version
    assert (
        f"ce-specversion: found {found}, expected 1.0"
        in reply(client.post("/", data=body, headers=headers)).data["reason"]
    )


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("hello", {}),
        ("", {}),
        ('{"target": "cmp01"}', {"Content-Type": "application/json"}),
        ("{", {"Content-Type": "application/cloudevents+json"}),
        ("[]", {"Content-Type": "application/cloudevents-batch+json"}),
        ("{}", {"ce-type": "io.drover.tick"}),
        ("{}", {"ce-type": "io.drover.tick", "ce-id": "1", "ce-specversion": "1.0"}),
    ],
)
def test_what_is_no_event_gets_help(client: FlaskClient, bench: Bench, body: str, headers: dict[str, str]) -> None:
    """A person's POST: 400, what to send instead, and nothing is stored."""
    response = client.post("/", data=body, headers=headers)
    assert response.status_code == 400
    assert "no CloudEvent: expected the headers ce-specversion, ce-id" in error(response)
    assert bench.inbox() == []


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
def test_a_body_of_five_megabytes(client: FlaskClient, bench: Bench, structured: bool) -> None:
    """413, how large it may be, and nothing is stored."""
    response = post(client, event(data={"target": "x" * 5_000_000}), structured)
    assert response.status_code == 413
    assert f"expected at most {MAX_EVENT}" in error(response)
    assert bench.inbox() == []


def test_a_body_without_a_length_is_measured_too(client: FlaskClient) -> None:
    """What comes in chunks has no Content-Length."""
    headers, body = to_binary(event(data={"target": "x" * 2_000_000}))
    builder = EnvironBuilder(method="POST", data=body, headers=list(headers.items()))
    environ = builder.get_environ()
    environ.pop("CONTENT_LENGTH")
    environ["wsgi.input_terminated"] = True  # what a server says that has put the chunks together
    _, status, _ = run_wsgi_app(client.application, environ)
    assert status.startswith("413")


def test_an_unexpected_error_tells_nothing(client: FlaskClient, bench: Bench) -> None:
    """500, so that the event comes again, without the exception's text, which may hold a secret."""
    bench.kind.refusal = RuntimeError("password=hush")
    response = post(client, event())
    assert response.status_code == 500
    assert "hush" not in response.text
    assert "log" in error(response)
    bench.kind.refusal = None
    assert reply(post(client, event()))["type"] == "io.drover.walk.accepted"


def test_not_now(client: FlaskClient, bench: Bench) -> None:
    """503 and when to come again."""
    bench.kind.refusal = Retry("Nova does not answer", 12.4)
    response = post(client, event())
    assert (response.status_code, response.headers["retry-after"]) == (503, "12")
    assert error(response) == "Nova does not answer"


@pytest.mark.parametrize("path", ["/?operations", "/?operation=1"])
def test_a_store_that_is_down(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """503 without the password, for reads and for events; the function itself stays ready."""
    for name in OTHERS.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DROVER_DATABASE_URL", "postgresql://drover:hush@127.0.0.1:1/drover")
    client = server.create(SimpleNamespace(main=Door("test", lambda: [Walk()], OpenGate()).main)).test_client()
    for response in (client.get(path), post(client, event()), post(client, event("io.drover.tick", {}))):
        assert response.status_code == 503
        assert "127.0.0.1:1/drover does not answer" in error(response)
        assert "hush" not in response.text
    assert client.get("/health/readiness").status_code == 200


def test_the_engine_is_assembled_with_the_first_request(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From the settings, once."""
    for name in OTHERS.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DROVER_DATABASE_URL", f"sqlite:///{tmp_path}/new/drover.db")
    made: list[Walk] = []

    def kinds() -> list[Walk]:
        made.append(Walk())
        return made

    door = Door("test", kinds, OpenGate())
    client = server.create(SimpleNamespace(main=door.main)).test_client()
    assert made == []
    assert client.get("/?operations").json == {"operations": [], "next": None}
    assert reply(post(client, event()))["source"] == "/drover/test"
    assert len(made) == 1
    door.engine.database.close()


def test_reads(client: FlaskClient, bench: Bench) -> None:
    """GET answers with JSON: one operation, or pages of them."""
    for number in range(3):
        bench.begin(str(number), target=f"cmp{number}")
        bench.clock.advance(1)
    page = client.get("/?operations&limit=2").json
    assert page is not None
    assert [operation["target"] for operation in page["operations"]] == ["cmp2", "cmp1"]
    rest = client.get(f"/?operations&limit=2&before={page['next']}").json
    assert rest is not None
    assert [operation["target"] for operation in rest["operations"]] == ["cmp0"]
    assert rest["next"] is None
    one = client.get(f"/?operation={page['next']}")
    assert (one.status_code, one.headers["content-type"]) == (200, "application/json")
    assert one.json is not None
    assert one.json["target"] == "cmp1"
    found = client.get("/?operations&target=cmp2&state=planned").json
    assert found is not None
    assert len(found["operations"]) == 1
    assert client.head("/?operations").status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("", 400, "expected GET /?operations"),
        ("?nonsense", 400, "expected GET /?operations"),
        ("?operation=no", 404, "there is no operation 'no'"),
        ("?operation=%00", 404, "there is no operation"),
        ("?operation=1&operations", 400, "unknown filter 'operation'"),
        ("?operations&limit=many", 400, "limit: found 'many', expected a number"),
        ("?operations&limit=²", 400, "limit: found '²'"),
        ("?operations&limit=" + "9" * 6000, 400, "limit: found '999"),
        ("?operations&limit=0", 400, "limit: found 0, expected 1 to 1000"),
        ("?operations&state=gone", 400, "state: found 'gone'"),
        ("?operations&colour=red", 400, "unknown filter 'colour'"),
        ("?operations&target=%00", 400, "target: found a character"),
        ("?operations&before=no", 400, "before: there is no operation 'no'"),
    ],
)
def test_reads_that_make_no_sense(client: FlaskClient, query: str, status: int, message: str) -> None:
    """The answer says what was found and what was expected."""
    response = client.get(f"/{query}")
    assert response.status_code == status
    assert message in error(response)


def test_a_query_that_is_no_text(client: FlaskClient) -> None:
    """A server hands on whatever bytes it was sent; what is not UTF-8 is a mistake of whoever asks."""
    environ = EnvironBuilder(path="/").get_environ() | {"QUERY_STRING": "operation=\xff"}
    body, status, _ = run_wsgi_app(client.application, environ)
    assert status.startswith("400")
    assert b"the query is not valid UTF-8" in b"".join(body)


def test_names_that_no_header_can_hold(client: FlaskClient) -> None:
    """A reply's subject is percent-encoded, as the HTTP binding says; line breaks can't add headers."""
    answer = reply(post(client, event(data={"target": 'hôte "1"\r\nx-evil: 100%'}), structured=True))
    assert answer["subject"] == "h%C3%B4te%20%221%22%0D%0Ax-evil:%20100%25"
    assert answer.data["target"] == 'hôte "1"\r\nx-evil: 100%'


def test_events_survive_the_wire() -> None:
    """What goes out in structured mode is what comes in."""
    sent = Event("1", "/drover/test", "io.drover.walk.started", {"a": "ü"}, "hôte", extensions={"droverhop": "3"})
    headers, body = to_structured(cloud_event(sent))
    received = from_http(headers, body)
    assert (received["id"], received["subject"], received["droverhop"], received.data) == ("1", "hôte", "3", {"a": "ü"})
    assert "time" in received.get_attributes()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
TYPES = st.sampled_from(
    [
        "io.drover.walk.requested",
        "io.drover.tick",
        "io.drover.walk.progressed",
        "io.drover.operation.cancel.requested",
        "io.drover.event.rejected",
    ]
)
FIELDS = st.sampled_from(["target", "steps", "reason", "dry_run", "operation", "requester", "undo", "other"])
DATA = JUNK | st.dictionaries(FIELDS, JUNK, max_size=4)
ATTRIBUTES = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0") | JUNK,
        "id": JUNK,
        "source": st.just("/fuzz") | JUNK,
        "type": TYPES | JUNK,
        "data": DATA,
    },
    optional={
        "subject": JUNK,
        "time": JUNK,
        "datacontenttype": JUNK,
        "droverhop": JUNK,
        "data_base64": st.text(max_size=5),
    },
)
BODIES = ATTRIBUTES.map(lambda value: json.dumps(value).encode()) | JUNK.map(lambda value: json.dumps(value).encode())


@settings(max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES | st.binary(max_size=30), structured=st.booleans())
def test_nothing_that_is_sent_breaks_the_door(client: FlaskClient, body: bytes, structured: bool) -> None:
    """Whatever comes: an event or nothing for what is an event, 400 for what is none; never an unexpected error."""
    kind = "application/cloudevents+json" if structured else "application/json"
    response = client.post("/", data=body, headers={"Content-Type": kind})
    assert response.status_code in (200, 204, 400)
    if response.status_code == 200:
        assert reply(response)["type"].startswith("io.drover.")


HEADER = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)


@settings(max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    id=HEADER,
    source=HEADER,
    type=TYPES | HEADER,
    version=st.just("1.0") | HEADER,
    extras=st.dictionaries(st.sampled_from(["ce-subject", "ce-time", "ce-droverhop", "content-type"]), HEADER),
    body=DATA.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=20),
)
def test_no_headers_break_the_door(
    client: FlaskClient, id: str, source: str, type: str, version: str, extras: dict[str, str], body: bytes
) -> None:
    """The same in binary mode."""
    headers = {"ce-id": id, "ce-source": source, "ce-type": type, "ce-specversion": version, **extras}
    response = client.post("/", data=body, headers=headers)
    assert response.status_code in (200, 204, 400)
    if response.status_code == 200:
        assert reply(response)["type"].startswith("io.drover.")


def load_func(monkeypatch: pytest.MonkeyPatch, function: str | None) -> Any:
    """The image's entry point, loaded as parliament does."""
    monkeypatch.delenv("FUNCTION", raising=False)
    if function is not None:
        monkeypatch.setenv("FUNCTION", function)
    spec = importlib.util.spec_from_file_location("func_under_test", ROOT / "func.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_function_names_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    """`FUNCTION=migrate` serves its door, and its events come from `/drover/migrate`."""
    assert load_func(monkeypatch, "migrate").door.name == "migrate"


def test_an_unknown_function_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message lists the functions that there are."""
    with pytest.raises(SystemExit, match=r"FUNCTION is 'nonsense', expected one of: .*migrate.*unset it"):
        load_func(monkeypatch, "nonsense")


@pytest.mark.parametrize("function", [None, ""])
def test_without_a_name_all_are_served(monkeypatch: pytest.MonkeyPatch, function: str | None) -> None:
    """One process on one machine; with a single function that is the function's own door."""
    door = load_func(monkeypatch, function).door
    names = functions.names()
    assert "migrate" in names
    assert door.name == (names[0] if len(names) == 1 else "all")


def test_several_functions_behind_one_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door of all has the kinds of each."""
    module = load_func(monkeypatch, None)
    doors = {"a": Door("a", lambda: [Walk()]), "b": Door("b", lambda: [Walk(), Walk()])}
    monkeypatch.setattr(module.functions, "names", lambda: ["a", "b"])
    monkeypatch.setattr(module.importlib, "import_module", lambda name: SimpleNamespace(door=doors[name.split(".")[1]]))
    door = module.serve(None)
    assert (door.name, len(door.kinds())) == ("all", 3)
    assert module.serve("b") is doors["b"]


def test_a_store_can_be_opened_again(tmp_path: Path) -> None:
    """A second process on the same file finds the tables as they are."""
    for _ in range(2):
        create(f"sqlite:///{tmp_path}/drover.db").close()
