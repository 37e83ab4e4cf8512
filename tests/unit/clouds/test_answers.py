"""Answers of another form than the services document."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from shared.clouds import AnswerLost
from shared.clouds.answers import Unreadable, typed
from shared.errors import DroverError, Retry
from shared.fleet.reader import read_fleet, read_migrations, read_servers

Change = Callable[[Any], Any]


@pytest.fixture
def fake() -> SimulatedCloud:
    """A cloud of two hosts, with a server in a group."""
    fake = SimulatedCloud(SteppedClock())
    fake.add_host("cmp01")
    fake.add_host("cmp02")
    fake.add_server("cmp01", name="web-1", group=fake.add_group())
    return fake


def answering(fake: SimulatedCloud, path: str, change: Change | bytes) -> SimulatedCloud:
    """The cloud, whose answers to paths that end so are changed."""
    plain = fake.wire.send

    def send(request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        response = plain(request, *args, **kwargs)
        if request.path_url.partition("?")[0].endswith(path):
            response._content = change if isinstance(change, bytes) else json.dumps(change(response.json())).encode()
        return response

    fake.wire.send = send  # type: ignore[method-assign]
    return fake


def without(name: str) -> Change:
    """The first server loses a field."""

    def change(document: Any) -> Any:
        del document["servers"][0][name]
        return document

    return change


def saying(key: str, **fields: Any) -> Change:
    """The first entry of a list says something else."""

    def change(document: Any) -> Any:
        document[key][0] |= fields
        return document

    return change


@pytest.mark.parametrize("body", [b"<html>busy</html>", b'{"servers":', b"\xff\xfe", b"[" * 100_000])
def test_an_answer_that_is_no_json_is_for_later(fake: SimulatedCloud, body: bytes) -> None:
    """A proxy's page of status 200, or half an answer: the read is tried again, then left to the next slice."""
    cloud = answering(fake, "/servers/detail", body).cloud()
    with pytest.raises(Retry, match=r"compute of cloud fake, GET /servers/detail: the answer \(200\) is no JSON"):
        cloud.compute.get("/servers/detail")
    assert sum("/servers/detail" in line for line in fake.front.log) == 3


def test_a_change_whose_answer_is_no_json_may_have_been_made(fake: SimulatedCloud) -> None:
    """As with an answer that never came: the cloud has to be read."""
    cloud = answering(fake, "/os-aggregates", b"<html>").cloud()
    with pytest.raises(AnswerLost, match="may or may not have been carried out"):
        cloud.compute.post("/os-aggregates", json={"aggregate": {"name": "a"}})


@pytest.mark.parametrize(
    ("path", "change", "told"),
    [
        ("/servers/detail", without("status"), "field 'status' is missing"),
        ("/servers/detail", without("flavor"), "field 'flavor' is missing"),
        ("/servers/detail", saying("servers", name=None), "name of a server is None, expected str"),
        ("/servers/detail", saying("servers", created="yesterday"), "yesterday"),
        ("/servers/detail", lambda _: {"servers": None}, "servers holds something else than a list of objects"),
        ("/servers/detail", lambda _: {"servers": ["web-1"]}, "servers holds something else than a list of objects"),
        ("/servers/detail", lambda _: [], "list indices"),
        ("/os-services", saying("services", host=None), "host of a service is None"),
        ("/os-services", lambda _: {"services": 5}, "not iterable"),
        ("/os-server-groups", saying("server_groups", id=[]), "can't be read"),
        ("/allocation_candidates", lambda _: {"provider_summaries": {"x": {}}}, "field 'resources' is missing"),
        (
            "/allocation_candidates",
            lambda _: {"provider_summaries": {"x": {"resources": {"VCPU": {"capacity": 10**30, "used": 0}}}}},
            "an amount is 1000000000000000000000000000000",
        ),
    ],
)
def test_what_cannot_be_read_is_told(fake: SimulatedCloud, path: str, change: Change, told: str) -> None:
    """The error is for people, comes back later, and is in the log with its traceback."""
    with capture_logs() as logs, pytest.raises(Unreadable, match="can't be read") as caught:
        read_fleet(answering(fake, path, change).cloud(), "cmp01")
    assert told in str(caught.value)
    assert logs[0]["exc_info"]


def test_rows_of_migrations_are_looked_at_as_well(fake: SimulatedCloud) -> None:
    """One without a time of its creation is refused."""
    row = {"id": 1, "uuid": "u", "instance_uuid": "i", "status": "running", "created_at": None}
    with pytest.raises(Unreadable, match="migration 1 has no created_at"):
        read_migrations(answering(fake, "/os-migrations", lambda _: {"migrations": [row]}).cloud())


def test_pages_that_lead_in_a_circle_end(fake: SimulatedCloud) -> None:
    """A next link to a page that was read is an error, not an endless reading."""

    def circle(document: Any) -> Any:
        link = {"rel": "next", "href": "http://cloud.test/compute/v2.1/servers/detail?all_tenants=true&limit=1000"}
        return document | {"servers_links": [link]}

    with pytest.raises(Unreadable, match="is one that was read already"):
        read_servers(answering(fake, "/servers/detail", circle).cloud())


def test_a_list_of_groups_that_knows_no_offset_ends(fake: SimulatedCloud) -> None:
    """A hundred groups, the same ones whatever is asked for."""
    groups = [{"id": f"g{number}", "policy": "affinity", "members": []} for number in range(100)]
    fleet = read_fleet(answering(fake, "/os-server-groups", lambda _: {"server_groups": groups}).cloud())
    assert len(fleet.groups) == 100


@pytest.mark.parametrize("path", ["/identity/v3", "/compute/v2.1", "/compute", "/auth/tokens"])
@pytest.mark.parametrize(
    "change", [lambda _: [], lambda _: {"versions": 5}, lambda _: {"token": {"catalog": 5}}, b"<html>"]
)
def test_a_catalogue_that_cannot_be_read_is_told(fake: SimulatedCloud, path: str, change: Change | bytes) -> None:
    """Whatever a cloud says of its services, an error is one for people."""
    cloud = answering(fake, path, change).cloud()
    with suppress(DroverError):  # what it does not look at, or can do without, may say what it likes
        read_fleet(cloud)


def test_the_first_wrong_field_is_named() -> None:
    """With what was found, cut short, and what was expected."""
    typed("a thing", str, type(None), name="x", reason=None)
    with pytest.raises(TypeError, match=r"reason of a thing is 5, expected str or nothing"):
        typed("a thing", str, type(None), name="x", reason=5)
