"""A drain in which nearly everything goes wrong: each server gets the right action, and what stays gets its reason."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.support.drover import Drover, Ended, Running, left_by_name, steps_by_name, until
from tests.lab.support.look import ENDED_WELL, Look, rename

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

HOST = "cmp01"
GROUP_HOSTS = "cmp01,cmp02,cmp03,cmp04"
"""Where the anti-affinity group has members: two hosts are left for the one that must leave."""
ODD = ("failing", "unlucky", "slow", "locked", "broken", "stopped", "paused", "rescued")
LARGE = ("orphan", "stalled")
"""The first to move, since they take longest; being placed one after the other, they go to different hosts."""
PLAIN = 1
CANNOT = {"broken", "rescued", "twin-1", "twin-2"}
"""Those that can't be moved as they are; the twins are all of an affinity group, which Nova moves nobody of."""
STAY = CANNOT | {"failing", "orphan"}
"""The orphan is the one whose target dies while it is on its way."""
SECONDS = 480.0
"""That the drain may take on a busy machine; two and a half minutes of it are the stalled server's."""
GIANT_MB = 250 * 1024

FAULTS: dict[str, dict[str, Any]] = {
    "failing": {"fail": "migration"},
    "unlucky": {"fail": "pre-check", "times": 1},
    "slow": {"seconds": 8},
    "stalled": {"stalled": True},
    "orphan": {"spawn": "hang"},
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
    with ThreadPoolExecutor(6) as pool:
        many = pool.submit(lab.fill, HOST, PLAIN + len(ODD), name="vm")
        others = [
            pool.submit(lab.fill, GROUP_HOSTS, 1, name="pair", policy="anti-affinity"),
            pool.submit(lab.fill, HOST, 2, name="twin", policy="affinity"),
            pool.submit(lab.fill, HOST, 1, name="lone", policy="affinity"),
            pool.submit(lab.fill, "cmp05,cmp06", 1, name="resident"),
        ]
        large = pool.submit(lab.fill, HOST, len(LARGE), name="large", flavor="medium")
        servers = [*many.result(), *large.result()]
        for other in others:
            other.result()
    names = [*ODD, *(f"plain-{number}" for number in range(1, PLAIN + 1)), *LARGE]
    ids = {name: server.id for name, server in zip(names, servers, strict=True)}
    for name, server in ids.items():
        rename(lab, server, name)
    lab.act(ids["locked"], {"lock": {"locked_reason": "mine"}})
    lab.act(ids["broken"], {"os-resetState": {"state": "error"}})
    lab.act(ids["paused"], {"pause": None})
    lab.act(ids["rescued"], {"rescue": {}}, expected=200)
    wanted = {"broken": "ERROR", "paused": "PAUSED", "rescued": "RESCUE"}
    for name in ("orphan", "stopped"):
        lab.act(ids[name], {"os-stop": None})
        wanted[name] = "SHUTOFF"
    for name, status in wanted.items():
        lab.wait_for_server(ids[name], status)
    lab.faults(FAULTS)


def giant(lab: LabUnderTest, host: str) -> None:
    """One server that takes nearly all memory of a host."""
    lab.conn.compute.create_flavor(name="giant", vcpus=1, ram=GIANT_MB, disk=1)
    lab.fill(host, 1, name="giant", flavor="giant")


def migrations_by_name(look: Look, servers: dict[str, dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Nova's migrations of each server, oldest first."""
    rows = look.migrations()
    return {name: [row for row in rows if row["instance_uuid"] == server["id"]] for name, server in servers.items()}


def trouble(lab: LabUnderTest, running: Running, ids: dict[str, str]) -> dict[str, str]:
    """What happens while the drain is under way; gives the target that died and the one that filled up."""
    until("the stalled server moves", 60, lambda: lab.migration(ids["stalled"]).get("status") == "running")
    until("the orphan is half-way", 60, lambda: lab.migration(ids["orphan"]).get("status") == "post-migrating")
    dying = str(lab.migration(ids["orphan"])["dest_compute"])
    lab.kill(dying, wait=False)
    full = next(host for host in ("cmp02", "cmp03", "cmp04") if host != dying)
    giant(lab, full)
    until("the stalled migration was aborted", SECONDS, lambda: lab.migration(ids["stalled"])["status"] == "cancelled")
    assert running.alive, running.stderr
    lab.faults({name: fault for name, fault in FAULTS.items() if name != "stalled"}, {dying: {"state": "dead"}})
    return {"dying": dying, "full": full}


@pytest.fixture(scope="module")
def story(lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One drain with all the troubles."""
    lab = lab_session
    lab.reset()
    boot(lab)
    look, drover = Look(lab), Drover(lab.clouds_yaml, tmp_path_factory.mktemp("troubles"))
    before = look.servers()
    plan = drover.run("drain", HOST, "--dry-run", "--json")
    running = drover.start("drain", HOST, "--reason", "troubles", "--json")
    try:
        hosts = trouble(lab, running, {name: server["id"] for name, server in before.items()})
        drain = running.wait(SECONDS)
    finally:
        drover.close()
    after = look.servers()
    notes = {"plan": plan, **hosts}
    yield Story(drover, look, before, drain, after, migrations_by_name(look, after), notes)
    lab.reset()


def test_plan_says_who_stays(story: Story) -> None:
    """The dry run tells beforehand that the host will not be empty, and which servers stay for which reason."""
    plan = story.notes["plan"]
    assert (plan.code, plan.document["feasible"]) == (1, False)
    lines = {line["name"]: line for line in plan.document["servers"]}
    assert {name for name, line in lines.items() if line["action"] == "cannot"} == CANNOT
    assert "RESCUE" in lines["rescued"]["reason"]
    assert "unrescue" in lines["rescued"]["way_out"]
    assert "affinity group" in lines["twin-1"]["reason"]
    assert "shelve" in lines["twin-1"]["way_out"]
    assert "locked" in lines["locked"]["reason"]
    assert (lines["stopped"]["action"], lines["paused"]["action"]) == ("cold-migrate", "live-migrate")


def test_it_halts_for_a_person(story: Story) -> None:
    """The command ends with exit code 3, and the operation is on record as halted with the names of what stays."""
    assert story.drain.code == 3, story.drain.stderr
    document = story.drain.document
    assert (document["state"], document["intent"]) == ("halted", "pause")
    assert set(story.left) == STAY
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
    assert len(mine) == PLAIN + 8
    for name in mine:
        now = story.after[name]
        assert now["host"] not in (HOST, story.notes["dying"]), (name, now)
        assert (now["status"], now["task"]) == (story.before[name]["status"], None), name
        assert (story.steps[name]["state"], story.steps[name]["to"]) == ("done", now["host"]), name
    assert story.drain.document["summary"]["moved"] == len(mine)
    assert story.look.servers_on(HOST) == sorted(STAY - {"orphan"})


def test_states_are_true_in_nova(story: Story) -> None:
    """Those that stay are in Nova what they were, and nobody was touched who did not belong to the host."""
    for name in STAY - {"orphan"}:
        now = story.after[name]
        assert (now["host"], now["status"], now["task"]) == (HOST, story.before[name]["status"], None), name
    for name, server in story.before.items():
        if server["host"] != HOST:
            assert story.after[name]["host"] == server["host"], name
            assert story.migrations[name] == [], name


def test_dead_target_is_named(story: Story) -> None:
    """The server whose target died on the way blocks nobody: it is set aside, and the reason names the dead host."""
    assert story.steps["orphan"]["state"] == "failed"
    assert story.notes["dying"] in story.left["orphan"]["reason"]
    assert story.left["orphan"]["way_out"]


def test_full_target_is_avoided(story: Story) -> None:
    """No server went to the host that filled up, once it was full."""
    arrived = [name for name, server in story.after.items() if server["host"] == story.notes["full"]]
    assert "giant" in arrived
    memory = {"giant": GIANT_MB} | dict.fromkeys(LARGE, 4096)
    assert sum(memory.get(name, 512) for name in arrived) <= 256 * 1024, arrived


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
    """The stalled migration was aborted, and the server tried again after the first try of all the others."""
    rows = story.migrations["stalled"]
    assert [row["status"] for row in rows] == ["cancelled", "completed"]
    audit = story.drover.audit(story.drain.document["id"])
    assert "abort migration" in {entry.act for entry in audit if entry.subject == rows[0]["instance_uuid"]}
    firsts = [others[0]["id"] for name, others in story.migrations.items() if others and name != "stalled"]
    assert rows[-1]["id"] > max(firsts)


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
    """The host that died is evacuated on somebody's word, and what was on it comes back in the status it had."""
    dead, before = story.notes["dying"], story.look.servers()
    mine = {name for name, server in before.items() if server["host"] == dead}
    refused = story.drover.run("drain", dead, "--evacuate", "--reason", "dead", "--json")
    assert (refused.code, "--fenced" in refused.stderr) == (2, True)
    statement = "Ann, PDU outlet 7 off"
    ended = story.drover.run(
        "drain", dead, "--evacuate", "--fenced", statement, "--reason", "dead", "--json", seconds=240
    )
    service, after = story.look.service(dead), story.look.servers()
    assert (service["forced_down"], service["status"]) == (True, "disabled")
    steps = steps_by_name(ended.document)
    assert set(steps) == mine
    assert len(mine) > 1
    for name in mine - {"orphan"}:
        assert (steps[name]["action"], steps[name]["state"]) == ("evacuate", "done"), steps[name]
        assert after[name]["host"] not in (dead, HOST), name
        assert (after[name]["status"], after[name]["task"]) == (before[name]["status"], None), name
    assert ended.code == 3, ended.stderr
    assert set(left_by_name(ended.document)) == {"orphan"}
    audit = story.drover.audit(ended.document["id"])
    assert [entry.after["fenced"] for entry in audit if entry.act == "force service down"] == [statement]
