"""`drover drain` empties a host of the real OpenStack, as Nova itself confirms, and `drover undrain` gives it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.support.drover import Drover, Ended
from tests.lab.support.look import ApiLog, Look

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

HOST = "cmp01"
SERVERS = 8
REASON = "new memory, ticket 4711"
SECONDS = 180.0
"""That the drain of so few servers may take on a busy machine."""


@dataclass(frozen=True)
class Emptied:
    """What was there before, what Drover said, and what Nova says afterwards."""

    drover: Drover
    look: Look
    before: dict[str, dict[str, Any]]
    plan: Ended
    untouched: tuple[dict[str, Any], list[dict[str, Any]]]
    """The host's service, and all migrations, after the dry run."""
    drain: Ended
    requests: list[str]
    """What Nova's API was asked for during the drain."""
    after: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def emptied(lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emptied]:
    """One drain of a host with running, paused and stopped servers, which all tests of this file look at."""
    lab_session.reset()
    servers = lab_session.fill(HOST, SERVERS, name="vm")
    lab_session.act(servers[0].id, {"pause": None})
    lab_session.act(servers[1].id, {"os-stop": None})
    lab_session.wait_for_server(servers[0].id, "PAUSED")
    lab_session.wait_for_server(servers[1].id, "SHUTOFF")
    drover = Drover(lab_session.clouds_yaml, tmp_path_factory.mktemp("drain"))
    look, log = Look(lab_session), ApiLog(lab_session.lab.log / "nova.log")
    before = look.servers()
    plan = drover.run("drain", HOST, "--dry-run", "--json")
    untouched = look.service(HOST), look.migrations()
    log.restart()
    drain = drover.run("drain", HOST, "--reason", REASON, "--json", seconds=SECONDS)
    requests = log.requests()
    yield Emptied(drover, look, before, plan, untouched, drain, requests, look.servers())
    drover.close()
    lab_session.reset()


def test_dry_run_plans_and_changes_nothing(emptied: Emptied) -> None:
    """The dry run names an action and a target for every server, and leaves the service and the servers alone."""
    assert emptied.plan.code == 0, emptied.plan.stderr
    plan = emptied.plan.document
    assert (plan["host"], plan["feasible"], plan["shortfall"]) == (HOST, True, None)
    actions = {server["name"]: server["action"] for server in plan["servers"]}
    stopped = {name for name, server in emptied.before.items() if server["status"] == "SHUTOFF"}
    wanted = {name: "cold-migrate" if name in stopped else "live-migrate" for name in emptied.before}
    assert actions == wanted
    assert all(server["to"] not in (None, HOST) and server["seconds"] > 0 for server in plan["servers"])
    service, migrations = emptied.untouched
    assert (service["status"], service["disabled_reason"], migrations) == ("enabled", None, [])


def test_host_is_empty(emptied: Emptied) -> None:
    """After exit code 0 Nova lists no server and no inbound migration on the host, and each server was moved once."""
    assert emptied.drain.code == 0, emptied.drain.stderr
    assert emptied.look.servers_on(HOST) == []
    assert emptied.look.inbound(HOST) == []
    assert emptied.look.moves() == Counter(server["id"] for server in emptied.before.values())


def test_servers_are_as_before(emptied: Emptied) -> None:
    """Every server has the status that it had, on another host, with no task under way."""
    assert {name: server["status"] for name, server in emptied.after.items()} == {
        name: server["status"] for name, server in emptied.before.items()
    }
    assert all(server["host"] != HOST and server["task"] is None for server in emptied.after.values())


def test_document_tells_the_truth(emptied: Emptied) -> None:
    """The document's steps and summary agree with what Nova says."""
    document = emptied.drain.document
    assert (document["kind"], document["state"], document["target"]) == ("drain", "succeeded", HOST)
    assert (document["cloud"], document["reason"]) == ("lab", REASON)
    assert document["requester"]
    told = {step["name"]: (step["subject"], step["to"], step["state"], step["error"]) for step in document["steps"]}
    seen = {name: (server["id"], server["host"], "done", None) for name, server in emptied.after.items()}
    assert told == seen
    summary = document["summary"]
    assert (summary["moved"], summary["left"]) == (SERVERS, [])
    assert summary["seconds"] > 0


def test_few_requests(emptied: Emptied) -> None:
    """By its own log Nova's API got two requests a server and twenty more at most, as many as Drover counts."""
    told = emptied.drain.document["summary"]["api_requests"]
    assert told == len(emptied.requests), Counter(emptied.requests)
    assert told <= 2 * SERVERS + 20, Counter(emptied.requests)


def test_targets_are_balanced(emptied: Emptied, lab_session: LabUnderTest) -> None:
    """The servers are dealt over the targets, with at most one more here than there."""
    placed = Counter(server["host"] for server in emptied.after.values())
    counts = [placed[target] for target in lab_session.hosts if target != HOST]
    assert max(counts) - min(counts) <= 1, placed


def test_everything_is_on_record(emptied: Emptied) -> None:
    """The audit trail has the disabling, each request to Nova and each verified server, with who and why."""
    document = emptied.drain.document
    entries = emptied.drover.audit(document["id"])
    acts = Counter(entry.act for entry in entries)
    assert acts["disable service"] == 1
    assert acts["live-migrate"] + acts["cold-migrate"] >= SERVERS
    assert acts["verify server"] == SERVERS
    assert {entry.who for entry in entries} == {document["requester"]}
    assert {entry.why for entry in entries} == {REASON}


def test_undrain_gives_it_back(emptied: Emptied) -> None:
    """The host stays disabled with the drain's reason until `drover undrain` enables it."""
    service = emptied.look.service(HOST)
    assert service["status"] == "disabled"
    assert service["disabled_reason"].startswith("drover drain ")
    assert REASON in service["disabled_reason"]
    given = emptied.drover.run("undrain", HOST, "--reason", "memory is in", "--json")
    assert (given.code, given.document["state"]) == (0, "succeeded"), given.stderr
    assert emptied.look.service(HOST)["status"] == "enabled"


def test_foreign_reason_is_respected(emptied: Emptied, lab_session: LabUnderTest) -> None:
    """A host that somebody else has disabled is not enabled, by exit code 1 and with their reason in the message."""
    service = emptied.look.service("cmp06")
    change = {"status": "disabled", "disabled_reason": "broken fan"}
    lab_session.conn.compute.put(f"/os-services/{service['id']}", json=change, microversion="2.53")
    refused = emptied.drover.run("undrain", "cmp06", "--reason", "done", "--json")
    assert (refused.code, refused.document["state"]) == (1, "failed")
    assert "broken fan" in refused.document["note"]
    assert emptied.look.service("cmp06")["disabled_reason"] == "broken fan"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("drain", "cmp99", "--reason", "fan"), "cmp99"),
        (("drain", HOST), "--reason"),
        (("drain", HOST, "--reason", "fan", "--cloud", "nimbus"), "nimbus"),
        (("drain", HOST, "--reason", "fan", "--evacuate"), "--fenced"),
    ],
    ids=["host", "reason", "cloud", "evacuation"],
)
def test_wrong_input_changes_nothing(emptied: Emptied, arguments: tuple[str, ...], told: str) -> None:
    """Wrong input ends with exit code 2 and names what is wrong; no operation is stored and no service disabled."""
    known = emptied.drover.operations()
    ended = emptied.drover.run(*arguments, "--json")
    assert (ended.code, ended.stdout) == (2, "")
    assert told in ended.stderr
    assert emptied.drover.operations() == known
    assert emptied.look.service(HOST)["status"] == "enabled"
