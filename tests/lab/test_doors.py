"""A door that asks a real Keystone: who gets in by whose token, and whose name is on record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml
from cloudevents.conversion import to_binary
from keystoneauth1.identity.v3 import ApplicationCredential, Password
from keystoneauth1.session import Session
from parliament import server
from sqlmodel import select
from werkzeug.test import TestResponse

from cli.credentials import Credentials
from cli.remote import Remote
from functions.migrate.func import kinds
from shared.clock import SystemClock
from shared.door import Door, cloud_event
from shared.events import Event
from shared.settings import OTHERS, load
from shared.store import AuditEntry
from tests.unit.cli.support import Wire, functions_app

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = [pytest.mark.lab, pytest.mark.filterwarnings("ignore:to_binary is deprecated")]

PROJECT = "drover-doors"
PASSWORD = "planted-password-of-people"
ROLES = {"looker": "reader", "doer": "drover_operator", "bystander": "drover_bystander"}
"""The people, and the one role that each has on the project."""
SHORT = 4
"""Seconds until a token expires that is to expire; a busy Keystone takes one to make it."""


@dataclass
class People:
    """The users of this test in the lab's Keystone."""

    url: str
    ids: dict[str, str]

    def session(self, name: str, project: str | None = PROJECT) -> Session:
        """Somebody who has logged in."""
        return Session(
            Password(
                self.url, username=name, password=PASSWORD, user_domain_name="Default", unscoped=project is None,
                project_name=project, project_domain_name="Default" if project else None,
            )
        )  # fmt: skip

    def token(self, name: str, project: str | None = PROJECT) -> str:
        """A new token."""
        return str(self.session(name, project).get_token())


@pytest.fixture(scope="module")
def people(lab_session: LabUnderTest) -> Iterator[People]:
    """They live as long as these tests."""
    identity: Any = lab_session.conn.identity
    known = {role.name: role for role in identity.roles()}
    made: list[tuple[Callable[..., Any], Any]] = []

    def make(create: Callable[..., Any], delete: Callable[..., Any], **fields: Any) -> Any:
        found = create(**fields)
        made.append((delete, found))
        return found

    try:
        project = make(identity.create_project, identity.delete_project, name=PROJECT, domain_id="default")
        ids = {}
        for name, role_name in ROLES.items():
            role = known.get(role_name) or make(identity.create_role, identity.delete_role, name=role_name)
            user = make(identity.create_user, identity.delete_user, name=name, password=PASSWORD, domain_id="default")
            identity.assign_project_role_to_user(project, user, role)
            ids[name] = user.id
        yield People(f"{lab_session.lab.url('keystone')}/v3", ids)
    finally:
        for delete, thing in reversed(made):
            delete(thing)


class Place:
    """The migrate function behind its door, as its settings make it."""

    def __init__(self) -> None:
        self.door = Door("migrate", kinds)
        self.client = server.create(SimpleNamespace(main=self.door.main)).test_client()

    def get(self, token: str) -> TestResponse:
        """Read."""
        return self.client.get("/?operations", headers={"X-Auth-Token": token})

    def drain(self, token: str) -> TestResponse:
        """Ask for a drain, in somebody else's name; nothing is done before a tick."""
        data = {"cloud": "lab", "host": "cmp01", "reason": "a test", "requester": "the boss"}
        headers, body = to_binary(cloud_event(Event("1", "/tests", "io.drover.drain.requested", data)))
        return self.client.post("/", data=body, headers={**headers, "X-Auth-Token": token})

    def who(self) -> list[str]:
        """Who is on record."""
        with self.door.engine.database.reading() as session:
            return [entry.who for entry in session.exec(select(AuditEntry)).all()]


@pytest.fixture
def place(
    lab_session: LabUnderTest, people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Place]:
    """The function with a store of its own."""
    for name in OTHERS.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(lab_session.clouds_yaml))
    monkeypatch.setenv("DROVER_DATABASE_URL", f"sqlite:///{tmp_path}/drover.db")
    monkeypatch.setenv("DROVER_KEYSTONE_URL", people.url)
    monkeypatch.setenv("DROVER_KEYSTONE_PROJECTS", f"{PROJECT}@Default")
    place = Place()
    yield place
    place.door.engine.database.close()


def test_the_reader_looks_and_does_not_act(place: Place, people: People) -> None:
    """200 for a read, 403 for a drain, and nothing is on record."""
    token = people.token("looker")
    assert place.get(token).status_code == 200
    assert place.drain(token).status_code == 403
    assert place.who() == []


def test_the_operator_acts_in_his_own_name(place: Place, people: People) -> None:
    """The drain is stored, and the audit names the person that Keystone knows, not the one that the event claims."""
    token = people.token("doer")
    assert place.get(token).status_code == 200
    answer = place.drain(token)
    assert answer.headers["ce-type"] == "io.drover.drain.accepted", answer.text
    assert place.who() == ["doer@Default"]


def test_a_role_that_means_nothing(place: Place, people: People) -> None:
    """A user of the very project who has neither of the roles is not let in."""
    answer = place.get(people.token("bystander"))
    assert answer.status_code == 403
    assert "no role here" in answer.text


def test_scopes_that_do_not_count(place: Place, people: People, lab_session: LabUnderTest) -> None:
    """Not without a scope, nor with that of another project, even for the cloud's own administrator."""
    assert place.get(people.token("doer", project=None)).status_code == 403
    assert place.drain(str(lab_session.conn.session.get_token())).status_code == 403
    assert place.who() == []


def test_a_revoked_token(place: Place, people: People) -> None:
    """It opens nothing when Keystone is asked; one that was let in a moment ago does for a minute at most."""
    session = people.session("doer")
    token = str(session.get_token())
    session.delete(f"{people.url}/auth/tokens", headers={"X-Subject-Token": token})
    assert place.get(token).status_code == 401
    assert place.drain(token).status_code == 401


def test_an_expired_token(place: Place, people: People) -> None:
    """One that was good, and is so no longer although it was looked up well: it ends with its credential."""
    session = people.session("doer")
    ends = datetime.now(UTC) + timedelta(seconds=SHORT)
    wish = {"name": "short", "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    made = session.post(
        f"{people.url}/users/{people.ids['doer']}/application_credentials", json={"application_credential": wish}
    ).json()["application_credential"]
    short = Session(
        ApplicationCredential(
            people.url, application_credential_id=made["id"], application_credential_secret=made["secret"]
        )
    )
    token = str(short.get_token())
    assert place.get(token).status_code == 200
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 1.1)
    assert place.get(token).status_code == 401


@pytest.mark.parametrize("token", ["nonsense", "gAAAAABm" + "x" * 100])
def test_what_is_no_token(place: Place, token: str) -> None:
    """Keystone does not know it."""
    assert place.get(token).status_code == 401


def test_the_command_line_gets_its_token_from_clouds_yaml(
    place: Place, people: People, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is asked for Keystone, logs in as the person of OS_CLOUD, and is let in."""
    person = {"auth_url": people.url, "username": "looker", "password": PASSWORD, "project_name": PROJECT,
              "user_domain_name": "Default", "project_domain_name": "Default"}  # fmt: skip
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(yaml.safe_dump({"clouds": {"here": {"region_name": "lab", "auth": person}}}))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    monkeypatch.setenv("OS_CLOUD", "here")
    url = "https://drover.test"
    session = requests.Session()
    session.mount("https://", Wire(functions_app(place.door.main)))
    remote = Remote(url, SystemClock(), session, Credentials(url, load()))
    assert remote.list({}, 10, None) == {"operations": [], "next": None}
