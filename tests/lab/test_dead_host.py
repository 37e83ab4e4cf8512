"""A host of the real OpenStack dies, is evacuated on somebody's word, comes back, and is given back when it is safe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from lab import computes
from tests.lab.support.drover import Drover, Ended
from tests.lab.support.look import Look

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

HOST = "cmp05"
STATEMENT = "Ann, PDU outlet 7 off"
PRIORITIES = {"vm-1": "low", "vm-4": "high"}
"""The others are normal."""
SECONDS = 240.0


@dataclass(frozen=True)
class Story:
    """What happened, for the tests to look at."""

    drover: Drover
    look: Look
    refused: Ended
    drain: Ended
    after: dict[str, dict[str, Any]]
    waiting: dict[str, Any]
    """The undrain while the host was away."""
    meanwhile: dict[str, Any]
    """The host's service then."""
    undrain: Ended


@pytest.fixture(scope="module")
def story(lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One death and one return."""
    lab_session.reset()
    drover, look = Drover(lab_session.clouds_yaml, tmp_path_factory.mktemp("dead")), Look(lab_session)
    lab_session.fill(HOST, 4, name="vm")
    for name, priority in PRIORITIES.items():
        _prefer(lab_session, look.servers()[name]["id"], priority)
    lab_session.kill(HOST)
    refused = drover.run("drain", HOST, "--evacuate", "--reason", "mainboard")
    drain = drover.run(
        "drain", HOST, "--evacuate", "--fenced", STATEMENT, "--cloud-limit", "1", "--reason", "mainboard", "--json",
        seconds=SECONDS,
    )  # fmt: skip
    after = look.servers()
    undrain = drover.start("undrain", HOST, "--reason", "new mainboard", "--json")
    waiting = lab_session.wait("the undrain waits", lambda: _waiting(drover), SECONDS)
    meanwhile = look.service(HOST)
    computes.revive(lab_session.lab, HOST)
    yield Story(drover, look, refused, drain, after, waiting, meanwhile, undrain.wait(SECONDS))
    drover.close()
    lab_session.reset()


def _prefer(lab: LabUnderTest, server: str, priority: str) -> None:
    body = {"metadata": {"drover:priority": priority}}
    answer = lab.conn.compute.post(f"/servers/{server}/metadata", json=body, microversion="2.90")
    assert answer.status_code == 200, answer.text


def _waiting(drover: Drover) -> dict[str, Any] | None:
    """The undrain, once it says what it waits for."""
    documents = [drover.show(operation) for operation in drover.operations()]
    return next((each for each in documents if each["kind"] == "undrain" and each["note"]), None)


def test_without_a_statement_nothing_happens(story: Story) -> None:
    """Exit code 2, and what is missing is named."""
    assert (story.refused.code, "--fenced" in story.refused.stderr) == (2, True)


def test_all_live_elsewhere_and_not_all_on_one(story: Story) -> None:
    """Each was evacuated once and is as it was; the statement is on record."""
    assert story.drain.code == 0, story.drain.stderr
    hosts = {server["host"] for server in story.after.values()}
    assert HOST not in hosts
    assert len(hosts) > 1
    assert {server["status"] for server in story.after.values()} == {"ACTIVE"}
    audit = story.drover.audit(story.drain.document["id"])
    assert [entry.after["fenced"] for entry in audit if entry.act == "force service down"] == [STATEMENT]


def test_the_urgent_one_was_first(story: Story) -> None:
    """Nova's own list of evacuations has the high priority first and the low one last."""
    names = {server["id"]: name for name, server in story.after.items()}
    order = [names[row["instance_uuid"]] for row in story.look.migrations() if row["source_compute"] == HOST]
    assert (order[0], order[-1]) == ("vm-4", "vm-1")


def test_the_undrain_waits_for_the_clean_up(story: Story) -> None:
    """While the host is away it says so, and the host stays forced down and disabled."""
    assert "has not cleaned up 4 servers" in story.waiting["note"]
    assert (story.meanwhile["forced_down"], story.meanwhile["status"]) == (True, "disabled")


def test_the_host_is_given_back_when_it_has_cleaned_up(story: Story) -> None:
    """The same undrain goes on by itself: up, enabled, without a server, and every evacuation is settled."""
    assert story.undrain.code == 0, story.undrain.stderr
    service = story.look.service(HOST)
    assert (service["state"], service["status"], service["forced_down"]) == ("up", "enabled", False)
    assert story.look.servers_on(HOST) == []
    assert {row["status"] for row in story.look.migrations() if row["source_compute"] == HOST} == {"completed"}
    assert {server["host"] for server in story.look.servers().values()} == {
        server["host"] for server in story.after.values()
    }
