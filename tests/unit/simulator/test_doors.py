"""Tokens, the front, the control path, the clock, and the HTTP door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests

from lab.errors import LabError
from lab.simulator import run
from lab.simulator.clock import RunningClock, SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.control import Control
from tests.unit.simulator.conftest import Asker
from tests.unit.simulator.test_fleet import snapshot, write

LIST = "/compute/v2.1/os-services"


def test_tokens_expire_and_are_taken_back(cloud: SimulatedCloud, asker: Asker) -> None:
    """401 from the services either way, until there is a new one."""
    assert asker.send("GET", LIST).status == 200
    cloud.keystone.revoke_all()
    assert asker.send("GET", LIST).status == 401
    asker.log_in()
    assert asker.send("GET", LIST).status == 200
    cloud.keystone.token_seconds = -1
    asker.log_in()
    refused = asker.send("GET", LIST)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_drover_goes_on_with_a_new_token(cloud: SimulatedCloud) -> None:
    """openstacksdk asks again by itself."""
    api = cloud.cloud().compute
    api.get("/os-services")
    cloud.keystone.revoke_all()
    assert len(api.get("/os-services", params={"binary": "nova-compute"})["services"]) == 4


def test_a_token_tells_who(cloud: SimulatedCloud, asker: Asker) -> None:
    """Roles and project of the subject; deleted it is unknown."""
    reader = Asker(cloud, "operator")
    url = "/identity/v3/auth/tokens"
    found = asker.send("GET", url, **{"X-Subject-Token": reader.token}).document["token"]
    assert (found["user"]["name"], found["project"]["name"]) == ("operator", "admin")
    assert {role["name"] for role in found["roles"]} == {"drover_operator", "reader"}
    assert asker.send("DELETE", url, **{"X-Subject-Token": reader.token}).status == 204
    assert asker.send("GET", url, **{"X-Subject-Token": reader.token}).status == 404


def test_the_scope_may_be_the_system(cloud: SimulatedCloud) -> None:
    """An administrator's token may be for the system; a plain user's may not."""

    def ask(name: str) -> Any:
        user = {"name": name, "domain": {"id": "default"}, "password": "secret"}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity, "scope": {"system": {"all": True}}}}
        return cloud.front.answer("POST", "/identity/v3/auth/tokens", {}, json.dumps(body).encode(), "http://x")

    assert ask("admin").document["token"]["system"] == {"all": True}
    assert ask("demo").status == 401


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("GET", "/nowhere", b"", 404),
        ("GET", "/compute/v2.1/nowhere", b"", 404),
        ("DELETE", "/compute/v2.1/os-services", b"", 405),
        ("POST", "/identity/v3/auth/tokens", b"{", 400),
        ("POST", "/identity/v3/auth/tokens", b"[]", 400),
    ],
)
def test_what_makes_no_sense(
    cloud: SimulatedCloud, asker: Asker, method: str, url: str, body: bytes, status: int
) -> None:
    """An answer, never an exception."""
    headers = {"X-Auth-Token": asker.token}
    assert cloud.front.answer(method, url, headers, body, "http://cloud.test").status == status


@pytest.mark.parametrize("path", ["/servers", "/servers/{}/action", "/os-server-groups", "/os-aggregates"])
@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b"3", b'"x"', b'{"server": 1}', b'{"evacuate": 3}', b'{"aggregate": []}']
)
def test_bodies_of_the_wrong_shape(cloud: SimulatedCloud, asker: Asker, path: str, body: bytes) -> None:
    """400, and nothing is changed."""
    url = f"/compute/v2.1{path.format(cloud.add_server('cmp01'))}"
    answer = cloud.front.answer("POST", url, {"X-Auth-Token": asker.token}, body, "http://cloud.test")
    assert answer.status == 400
    assert cloud.history == []


def test_the_control_path(cloud: SimulatedCloud, clock: SteppedClock, asker: Asker) -> None:
    """It steps the clock, kills and revives hosts, takes scripts, and tells the history."""
    control = Control(cloud)

    def send(method: str, url: str, body: Any = None) -> tuple[int, Any]:
        answer = control.answer(method, url, b"" if body is None else json.dumps(body).encode())
        return answer.status, answer.document

    server = cloud.add_server("cmp01")
    asker.act(server, {"os-migrateLive": {"host": "cmp02", "block_migration": "auto"}})
    assert send("POST", "/control/clock", {"advance": 10})[0] == 200
    assert cloud.server(server).host == "cmp02"
    assert [act["verb"] for act in send("GET", "/control/history")[1]["acts"]] == ["live-migrate"]
    assert send("GET", "/control/history?after=1")[1] == {"acts": []}
    assert send("GET", "/control")[1]["servers"] == 1
    assert send("POST", "/control/hosts", {"host": "cmp03", "state": "dead"})[0] == 200
    assert not cloud.host("cmp03").up
    assert send("POST", "/control/hosts", {"host": "cmp03", "state": "up"})[0] == 200
    assert send("POST", "/control/faults", {"page": 2}) == (200, {})
    assert cloud.nova.page == 2
    assert send("POST", "/control/tokens", {"revoke": True})[0] == 200
    assert asker.send("GET", LIST).status == 401


@pytest.mark.parametrize(
    ("url", "body", "sentence"),
    [
        ("/control/clock", b'{"advance": -1}', "time can't go back"),
        ("/control/clock", b"{", "Expecting"),
        ("/control/clock", b"[]", "list indices"),
        ("/control/hosts", b'{"host": "x", "state": "dead"}', "expected a host of the fleet"),
        ("/control/faults", b'{"pages": 2}', "the request: pages: Extra inputs"),
        ("/control/faults", b'{"hosts": {"x": {"state": "dead"}}}', "the fleet does not have: x"),
    ],
)
def test_what_the_control_path_refuses(cloud: SimulatedCloud, url: str, body: bytes, sentence: str) -> None:
    """400 and what was expected."""
    answer = Control(cloud).answer("POST", url, body)
    assert answer.status == 400
    assert sentence in answer.document["error"]


def test_a_path_that_the_control_does_not_know(cloud: SimulatedCloud) -> None:
    """404 and the paths that there are."""
    answer = Control(cloud).answer("GET", "/control/none", b"")
    assert (answer.status, "POST /control/clock" in answer.document["error"]) == (404, True)


def test_a_fast_clock_runs_ahead() -> None:
    """It goes a thousand times as fast as the wall's, and can be pushed on."""
    clock = RunningClock(1000)
    begin = clock.now()
    clock.sleep(1)
    assert (clock.now() - begin).total_seconds() >= 1
    clock.advance(3600)
    assert (clock.now() - begin).total_seconds() >= 3601


@pytest.fixture
def simulation(tmp_path: Path) -> Any:
    """A small fleet on a free port, with a clock that stands still."""
    found = run.start(run.Wish(write(tmp_path, snapshot()), tmp_path / "dir", port=0, speed=0))
    yield found
    found.stop()


def test_over_http(simulation: run.Simulation) -> None:
    """openstacksdk finds everything by the clouds.yaml; connections serve several requests."""
    import yaml

    clouds = yaml.safe_load(simulation.clouds_yaml.read_text())["clouds"]
    assert set(clouds) == {"simulated", "simulated-operator", "simulated-reader", "simulated-user"}
    assert simulation.clouds_yaml.stat().st_mode & 0o077 == 0
    base = simulation.door.base
    with requests.Session() as session:
        user = {"name": "admin", "domain": {"id": "default"}, "password": "secret"}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
        answer = session.post(f"{base}/identity/v3/auth/tokens", json=body, timeout=10)
        session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        urls = {e["endpoints"][0]["url"] for e in answer.json()["token"]["catalog"]}
        assert f"{base}/compute/v2.1" in urls
        assert len(session.get(f"{base}{LIST}", timeout=10).json()["services"]) == 4
        assert session.head(f"{base}/identity/v3/auth/tokens", timeout=10, headers={
            "X-Subject-Token": session.headers["X-Auth-Token"]}).content == b""  # fmt: skip
        assert session.get(f"{base}/control", timeout=10).json()["hosts"] == 2


@pytest.mark.parametrize("answer", ["lost", "dropped"])
def test_a_lost_answer_over_http(simulation: run.Simulation, answer: str) -> None:
    """The connection ends without a byte."""
    base = simulation.door.base
    requests.post(f"{base}/control/faults", json={"requests": [{"answer": answer}]}, timeout=10)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base}/identity/v3", timeout=10)


def test_a_port_that_is_taken(simulation: run.Simulation, tmp_path: Path) -> None:
    """The message names the port, who has it, and the option."""
    port = int(simulation.door.base.rpartition(":")[2])
    with pytest.raises(LabError, match=rf"port {port} is taken: used by .*--port-base"):
        run.start(run.Wish(simulation.clouds_yaml.parent.parent / "fleet.json", tmp_path, port=port))
