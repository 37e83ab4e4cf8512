"""The command to a Drover that lets nobody in who does not say who he is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter

from cli.credentials import Credentials, token_of_cloud
from cli.engine import Parts, build
from cli.remote import Remote
from lab.simulator.clock import SteppedClock
from shared.access.assembly import make_gate
from shared.door import Door
from shared.errors import Rejected, Retry
from shared.settings import Settings, load
from shared.sink import Nowhere
from tests.support.doors import EVERYTHING, Web, id_token
from tests.unit.cli.conftest import Run
from tests.unit.cli.support import Wire, functions_app

URL = "https://drover.test"
LIST = ("ops", "list", "--json", "--url", URL)


class Guarded:
    """A served Drover with a gate; `tokens` are those that the person's cloud gives, in turn."""

    def __init__(self, parts: Parts, clock: SteppedClock) -> None:
        self.engine = build(load(), parts.kinds(None), Nowhere(), source="/drover/all", clock=clock)
        self.web = Web(clock)
        self.door = Door("all", list, make_gate(Settings(**EVERYTHING), clock, self.web.session))
        self.door._engine = self.engine
        self.wire = Wire(functions_app(self.door.main))
        self.parts = Parts(kinds=parts.kinds, clock=clock, session=self.session)
        self.tokens: list[str] = []
        self.asked: list[tuple[str | None, str | None]] = []

    def session(self) -> requests.Session:
        """The command's way to it."""
        session = requests.Session()
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, self.wire)
        return session

    def cloud_token(self, cloud: str | None, old: str | None) -> str | None:
        """What the cloud of this machine gives."""
        self.asked.append((cloud, old))
        return self.tokens.pop(0) if self.tokens else None

    @property
    def sent(self) -> list[tuple[str | None, str | None]]:
        """The credentials of each request: bearer and Keystone's."""
        return [(headers.get("Authorization"), headers.get("X-Auth-Token")) for _, headers in self.wire.sent]


@pytest.fixture
def guarded(parts: Parts, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guarded]:
    """That server, and a cloud whose tokens the test hands out."""
    guarded = Guarded(parts, clock)
    for name in ("DROVER_TOKEN", "DROVER_PLAIN_HTTP"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("cli.credentials.token_of_cloud", guarded.cloud_token)
    yield guarded
    guarded.engine.database.close()


def test_a_token_of_one_s_own(run: Run, guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """DROVER_TOKEN goes with the first request, and no cloud is asked."""
    monkeypatch.setenv("DROVER_TOKEN", id_token("reader"))
    assert run(*LIST, parts=guarded.parts).json == {"operations": [], "next": None}
    assert [bearer is not None for bearer, _ in guarded.sent] == [True]
    assert guarded.asked == []


def test_the_cloud_s_token_when_it_is_asked_for(run: Run, guarded: Guarded) -> None:
    """The first request goes without; the server asks for a Keystone token, and gets that of OS_CLOUD."""
    guarded.tokens = [guarded.web.person("t1", "reader")]
    assert run(*LIST, parts=guarded.parts).code == 0
    assert guarded.sent == [(None, None), (None, "t1")]
    assert guarded.asked == [("lab", None)]


def test_the_cloud_that_the_request_names(run: Run, guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without OS_CLOUD it is that of --cloud."""
    monkeypatch.delenv("OS_CLOUD")
    guarded.tokens = [guarded.web.person("t1", "drover_operator")]
    drain = ("drain", "cmp01", "--reason", "x", "--cloud", "paris", "--no-wait", "--url", URL)
    assert run(*drain, parts=guarded.parts).code == 0
    assert guarded.asked == [("paris", None)]


def test_a_token_that_ends_on_the_way_is_renewed(guarded: Guarded, clock: SteppedClock) -> None:
    """A watch of hours outlives its token: the old one is told, and a new one taken."""
    guarded.tokens = [guarded.web.person(name, "reader") for name in ("t1", "t2")]
    remote = Remote(URL, clock, guarded.session(), Credentials(URL, load()))
    remote.list({}, 10, None)
    del guarded.web.tokens["t1"]
    clock.advance(61)
    assert remote.list({}, 10, None) == {"operations": [], "next": None}
    assert guarded.asked == [("lab", None), ("lab", "t1")]
    assert [token for _, token in guarded.sent] == [None, "t1", "t1", "t2"]


def test_a_server_that_wants_no_keystone_gets_none(run: Run, guarded: Guarded, clock: SteppedClock) -> None:
    """A 401 of somebody else's does not make the person's token travel."""
    guarded.door._gate = make_gate(Settings(door_secret="0123456789abcdef"), clock)
    guarded.tokens = ["t1"]
    outcome = run(*LIST, parts=guarded.parts)
    assert outcome.code == 2
    assert guarded.asked == []
    assert guarded.sent == [(None, None)]


@pytest.mark.parametrize("address", ["http://drover.test", "http://10.0.0.7:8080"])
def test_no_credential_goes_where_others_listen(
    run: Run, guarded: Guarded, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Exit code 2 before anything is sent; the message says what permits it."""
    monkeypatch.setenv("DROVER_TOKEN", "planted")
    outcome = run("ops", "list", "--url", address, parts=guarded.parts)
    assert outcome.code == 2
    assert "DROVER_PLAIN_HTTP=true" in outcome.err
    assert "planted" not in outcome.err
    assert guarded.sent == []


def test_the_cloud_s_token_neither(run: Run, guarded: Guarded) -> None:
    """What the server asks for by plain HTTP, it does not get."""
    guarded.tokens = [guarded.web.person("t1", "reader")]
    assert run("ops", "list", "--url", "http://drover.test", parts=guarded.parts).code == 2
    assert guarded.sent == [(None, None)]


def test_plain_http_where_somebody_says_so(run: Run, guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """DROVER_PLAIN_HTTP, or this machine's own loopback address, as at the end of an SSH tunnel."""
    monkeypatch.setenv("DROVER_TOKEN", id_token("reader"))
    assert run("ops", "list", "--url", "http://127.0.0.1:9000", parts=guarded.parts).code == 0
    monkeypatch.setenv("DROVER_PLAIN_HTTP", "true")
    assert run("ops", "list", "--url", "http://drover.test", parts=guarded.parts).code == 0


def test_nobody_is_told_what_to_set(run: Run, guarded: Guarded) -> None:
    """401 with nothing to say: exit code 2, and both ways in are named."""
    outcome = run(*LIST, parts=guarded.parts)
    assert outcome.code == 2
    assert f"{URL} refuses you (401)" in outcome.err
    assert "DROVER_TOKEN" in outcome.err
    assert "OS_CLOUD" in outcome.err


def test_a_refused_token_is_not_shown(run: Run, guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which of the credentials it was."""
    monkeypatch.setenv("DROVER_TOKEN", id_token("reader", exp=1))
    outcome = run(*LIST, parts=guarded.parts)
    assert outcome.code == 2
    assert "has expired" in outcome.err
    assert "DROVER_TOKEN is not taken there" in outcome.err
    assert "eyJ" not in outcome.err


def test_a_role_too_low(run: Run, guarded: Guarded) -> None:
    """403: exit code 2 and the role that is missing; nothing is stored."""
    guarded.tokens = [guarded.web.person("t1", "reader")]
    outcome = run("drain", "cmp01", "--reason", "x", "--url", URL, parts=guarded.parts)
    assert outcome.code == 2
    assert "expected the role drover_operator" in outcome.err
    assert run("ops", "list", "--json").json["operations"] == []


def test_too_fast_is_tried_again(
    run: Run, guarded: Guarded, monkeypatch: pytest.MonkeyPatch, clock: SteppedClock
) -> None:
    """429: the command waits as told; a script that drains a whole row of racks comes through."""
    monkeypatch.setenv("DROVER_TOKEN", id_token("admin"))
    token = f"Bearer {id_token('admin')}"
    client = functions_app(guarded.door.main).test_client()
    while client.get("/?operations", headers={"Authorization": token}).status_code == 200:
        pass
    drain = ("drain", "cmp01", "--reason", "x", "--no-wait", "--json", "--url", URL)
    assert run(*drain, parts=guarded.parts).code in (0, 1)
    assert [method for method, _ in guarded.wire.sent].count("POST") == 2


@pytest.fixture
def keystone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """A cloud in clouds.yaml whose Keystone gives a new token each time; `[]` afterwards: it gives none."""
    (tmp_path / "clouds.yaml").write_text(
        "clouds: {paris: {region_name: R, auth: {auth_url: 'https://keystone.test/v3', username: ann, "
        "password: planted, project_name: ops, user_domain_id: default, project_domain_id: default}}}"
    )
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    tokens = ["one", "two"]

    def send(_: HTTPAdapter, request: requests.PreparedRequest, **__: Any) -> requests.Response:
        response = requests.Response()
        response.request, response.url, response.raw = request, str(request.url), BytesIO()
        response.status_code = 201 if request.method == "POST" and tokens else 401 if request.method == "POST" else 300
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": "https://keystone.test/v3/"}]}
        document: Any = {"versions": {"values": [version]}}
        if response.status_code == 201:
            response.headers["X-Subject-Token"] = tokens.pop(0)
            document = {"token": {"expires_at": "2099-01-01T00:00:00Z", "methods": ["password"], "user": {"id": "u"}}}
        response._content = json.dumps(document).encode()
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send)
    return tokens


def test_a_token_of_clouds_yaml(keystone: list[str]) -> None:
    """By the person's own credentials."""
    assert token_of_cloud("paris", None) == "one"
    assert token_of_cloud("paris", "one") == "two"


def test_a_cloud_that_is_not_known_here(keystone: list[str]) -> None:
    """What the server calls a cloud may mean nothing on this machine."""
    assert token_of_cloud("lyon", None) is None
    assert token_of_cloud(None, None) is None


def test_credentials_that_keystone_refuses(keystone: list[str]) -> None:
    """The cloud is named, the password is not."""
    keystone.clear()
    with pytest.raises(Rejected, match="cloud paris: Keystone refuses") as caught:
        token_of_cloud("paris", None)
    assert "planted" not in str(caught.value)


def test_a_keystone_that_is_away(keystone: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again, as everything that does not answer."""

    def send(*_: Any, **__: Any) -> requests.Response:
        raise requests.ConnectionError("refused")

    monkeypatch.setattr(HTTPAdapter, "send", send)
    with pytest.raises(Retry, match="cloud paris: Keystone does not answer"):
        token_of_cloud("paris", None)
