"""A drain in which nearly everything goes wrong: each server gets the right action, and what stays gets its reason."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.support.drover import Drover, Ended, Running, left_by_name, steps_by_name, until
from tests.lab.support.look import ENDED_WELL, Look, rename

if TYPE_CHECKING:
    from tests.lab.conftest import LabUnderTest

pytestmark = pytest.mark.lab

HOST, FULL, DYING = "cmp01", "cmp04", "cmp05"
"""The host to be emptied; the target that fills up meanwhile; the target that dies meanwhile."""
GROUP_HOSTS = "cmp01,cmp02,cmp03,cmp05,cmp06"
"""Where the anti-affinity group has members: all hosts but one, which fills up."""
ODD = ("failing", "unlucky", "slow", "locked", "broken", "stopped", "paused", "rescued")
PLAIN = 3
SECONDS = 420.0
"""That the drain may take on a busy machine; two minutes of it are the stalled server's."""
GIANT_MB = 250 * 1024

FAULTS: dict[str, dict[str, Any]] = {
    "failing": {"fail": "migration"},
    "unlucky": {"fail": "pre-check", "times": 1},
    "slow": {"seconds": 8},
    "stalled": {"stalled": True},
}


@dataclass
class Story:
    """What happened, for the tests to look at."""

    drover: Drover
    look: Look
    before: dict[str, dict[str, Any]]
    drain: Ended
    after: dict[str, dict[str, Any]]
    migrations: dict[str, list[dict[str, Any]]]
    """By server's name."""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> dict[str, dict[str, Any]]:
        return steps_by_name(self.drain.document)

    @property
    def left(self) -> dict[str, dict[str, Any]]:
        return left_by_name(self.drain.document)


def boot(lab: LabUnderTest) -> None:
    """The servers, each with what is wrong with it; booted together, since that is quicker, and named afterwards."""
    with ThreadPoolExecutor(3) as pool:
        many = pool.submit(lab.fill, HOST, PLAIN + len(ODD), name="vm")
        group = pool.submit(lab.fill, GROUP_HOSTS, 1, name="pair", policy="anti-affinity")
        large = pool.submit(lab.fill, HOST, 1, name="stalled", flavor="medium")  # the largest is the first to move
        servers, _, _ = many.result(), group.result(), large.result()
    names = [*ODD, *(f"plain-{number}" for number in range(1, PLAIN + 1))]
    ids = {name: server.id for name, server in zip(names, servers, strict=True)}
    for name, server in ids.items():
        rename(lab, server, name)
    lab.act(ids["locked"], {"lock": {"locked_reason": "mine"}})
    lab.act(ids["broken"], {"os-resetState": {"state": "error"}})
    lab.act(ids["stopped"], {"os-stop": None})
    lab.act(ids["paused"], {"pause": None})
    lab.act(ids["rescued"], {"rescue": {}}, expected=200)
    for name, status in (("broken", "ERROR"), ("stopped", "SHUTOFF"), ("paused", "PAUSED"), ("rescued", "RESCUE")):
        lab.wait_for_server(ids[name], status)
    lab.faults(FAULTS)


def giant(lab: LabUnderTest) -> None:
    """One server that takes nearly all memory of a host."""
    flavor = lab.conn.compute.create_flavor(name="giant", vcpus=1, ram=GIANT_MB, disk=1)
    assert flavor.id
    lab.fill(FULL, 1, name="giant", flavor="giant")


def migrations_by_name(look: Look, servers: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Nova's migrations of each server, oldest first."""
    rows = look.migrations()
    return {name: [row for row in rows if row["instance_uuid"] == server["id"]] for name, server in servers.items()}


def trouble(lab: LabUnderTest, look: Look, running: Running, stalled: str) -> None:
    """What happens while the drain is under way."""
    until("the stalled server moves", 60, lambda: lab.migration(stalled).get("status") == "running")
    lab.kill(DYING, wait=False)
    giant(lab)
    until("the stalled migration was aborted", SECONDS, lambda: lab.migration(stalled)["status"] == "cancelled")
    assert running.alive, running.stderr
    lab.faults({name: fault for name, fault in FAULTS.items() if name != "stalled"}, {DYING: {"state": "dead"}})


@pytest.fixture(scope="module")
def story(lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One drain with all the troubles."""
    lab = lab_session
    lab.reset()
    boot(lab)
    look, drover = Look(lab), Drover(lab.clouds_yaml, tmp_path_factory.mktemp("troubles"))
    before = look.servers()
    plan = drover.run("drain", HOST, "--dry-run", "--json")
    begin = time.monotonic()
    running = drover.start("drain", HOST, "--reason", "troubles", "--error-budget", "5", "--json")
    try:
        trouble(lab, look, running, before["stalled"]["id"])
        drain = running.wait(SECONDS)
    finally:
        drover.close()
    after = look.servers()
    notes = {"plan": plan, "seconds": time.monotonic() - begin}
    yield Story(drover, look, before, drain, after, migrations_by_name(look, after), notes)
    lab.reset()


def test_plan_says_who_stays(story: Story) -> None:
    """The dry run tells beforehand that the host will not be empty, and which servers stay for which reason."""
    plan = story.notes["plan"]
    assert (plan.code, plan.document["feasible"]) == (1, False)
    lines = {line["name"]: line for line in plan.document["servers"]}
    assert {name for name, line in lines.items() if line["action"] == "cannot"} == {"broken", "rescued"}
    assert "RESCUE" in lines["rescued"]["reason"]
    assert "unrescue" in lines["rescued"]["way_out"]
    assert "locked" in lines["locked"]["reason"]
    assert (lines["stopped"]["action"], lines["paused"]["action"]) == ("cold-migrate", "live-migrate")


def test_it_halts_for_a_person(story: Story) -> None:
    """The command ends with exit code 3, and the operation is on record as halted with the names of what stays."""
    assert story.drain.code == 3, story.drain.stderr
    document = story.drain.document
    assert (document["state"], document["intent"]) == ("halted", "pause")
    assert set(story.left) == {"failing", "broken", "rescued"}
    assert all(name in document["note"] for name in story.left)
    stored = story.drover.show(document["id"])
    assert (stored["state"], stored["note"]) == ("halted", document["note"])


def test_reasons_are_in_the_summary(story: Story) -> None:
    """Whatever stays is listed with the reason in the operator's words and with a way out."""
    assert story.left["broken"]["reason"].startswith("in ERROR")
    assert story.left["rescued"]["reason"].startswith("in RESCUE")
    assert story.left["failing"]["reason"]
    assert all(entry["way_out"] for entry in story.left.values())


def test_the_others_are_moved(story: Story) -> None:
    """All other servers are on other hosts, with the status that they had and no task under way."""
    mine = [name for name, server in story.before.items() if server["host"] == HOST and name not in story.left]
    assert len(mine) == PLAIN + 7
    for name in mine:
        now = story.after[name]
        assert now["host"] not in (HOST, DYING), (name, now)
        assert (now["status"], now["task"]) == (story.before[name]["status"], None), name
        assert (story.steps[name]["state"], story.steps[name]["to"]) == ("done", now["host"]), name
    assert story.drain.document["summary"]["moved"] == len(mine)
    assert story.look.servers_on(HOST) == sorted(story.left)


def test_states_are_true_in_nova(story: Story) -> None:
    """Those that stay are in Nova what they were, and nobody was touched who did not belong to the host."""
    for name in story.left:
        now = story.after[name]
        assert (now["host"], now["status"], now["task"]) == (HOST, story.before[name]["status"], None), name
    for name, server in story.before.items():
        if server["host"] != HOST:
            assert story.after[name]["host"] == server["host"], name
            assert story.migrations[name] == [], name


def test_failing_server_is_tried_three_times(story: Story) -> None:
    """The failing server was tried on three targets, then set aside, and the drain went on."""
    step, rows = story.steps["failing"], story.migrations["failing"]
    assert (step["state"], step["attempts"]) == ("failed", 3)
    assert len(rows) == 3
    assert len({row["dest_compute"] for row in rows}) == 3, rows


def test_unlucky_server_goes_elsewhere(story: Story) -> None:
    """A server that one pre-check refuses is moved by the second try."""
    step = story.steps["unlucky"]
    assert (step["state"], step["attempts"]) == ("done", 2)


def test_stalled_server_is_put_last(story: Story) -> None:
    """The stalled migration was aborted after its memory did not fall, and the server moved when all others were."""
    rows = story.migrations["stalled"]
    assert [row["status"] for row in rows] == ["cancelled", "completed"]
    acts = {
        entry.act
        for entry in story.drover.audit(story.drain.document["id"])
        if entry.subject == rows[0]["instance_uuid"]
    }
    assert "abort migration" in acts
    last = max(row["id"] for name, rows in story.migrations.items() for row in rows if name != "failing")
    assert rows[-1]["id"] == last


def test_group_stays_apart(story: Story) -> None:
    """The anti-affinity group's member went to a host without another member that could take it."""
    hosts = [server["host"] for name, server in story.after.items() if name.startswith("pair")]
    assert len(hosts) == len(set(hosts)), hosts


def test_no_server_is_moved_twice(story: Story) -> None:
    """Nova's own list has at most one good migration of each server."""
    assert all(sum(row["status"] in ENDED_WELL for row in rows) <= 1 for rows in story.migrations.values())


def test_host_stays_disabled_on_record(story: Story) -> None:
    """The host is disabled with our reason, and the operation and its audit trail say so."""
    service = story.look.service(HOST)
    assert service["status"] == "disabled"
    document = story.drain.document
    assert service["disabled_reason"] == f"drover drain {document['id'][:8]}: troubles"
    assert [entry.act for entry in story.drover.audit(document["id"])].count("disable service") == 1


def test_dead_target_is_evacuated(story: Story, lab_session: LabUnderTest) -> None:
    """The host that died is evacuated on somebody's word; its server comes back elsewhere in the status it had."""
    mine = [name for name, server in story.look.servers().items() if server["host"] == DYING]
    assert mine == ["pair-cmp05"]
    refused = story.drover.run("drain", DYING, "--evacuate", "--reason", "dead", "--json")
    assert refused.code == 2
    ended = story.drover.run(
        "drain", DYING, "--evacuate", "--fenced", "Ann, PDU outlet 7 off", "--reason", "dead", "--json", seconds=180
    )
    service = story.look.service(DYING)
    assert (service["forced_down"], service["status"]) == (True, "disabled")
    assert steps_by_name(ended.document)["pair-cmp05"]["action"] == "evacuate"
    assert ended.code in (0, 3), ended.stderr
