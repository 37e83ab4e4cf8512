"""Holding the reins of a drain, while others work in the same cloud: nothing that they do is lost on it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.support.drover import Drover, Ended, left_by_name, steps_by_name, until
from tests.lab.support.look import ENDED_WELL, Look, allow, rename

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

HOST, STUCK = "cmp01", "cmp06"
"""The host that is emptied with pauses, and the one whose drain is cancelled, which takes no server until then."""
NAMES = ("a-first", "b-slow", "c-third", "taken", "wiped", "z-last")
"""On HOST; moved in this order, since all look alike. The pause comes while the slow one moves."""
SHORT = {"DROVER_SLICE_SECONDS": "5", "DROVER_LEASE_SECONDS": "10"}
SECONDS = 240.0
CALM = 6.0
"""Seconds without a new migration that show a pause."""


@dataclass
class Story:
    """What happened, for the tests to look at."""

    drover: Drover
    look: Look
    before: dict[str, dict[str, Any]]
    operation: str
    left_alone: Ended
    """The watch that was left with Ctrl-C."""
    paused: Ended
    """The watch that saw the pause."""
    calm: tuple[int, int]
    """Nova's migrations when the drain was paused, and some seconds later."""
    held: list[str]
    """Servers that were still on the host then."""
    resumed: Ended
    after: dict[str, dict[str, Any]]
    migrations: dict[str, list[dict[str, Any]]]


def boot(lab: LabUnderTest) -> dict[str, str]:
    """The servers of the story, by name."""
    with ThreadPoolExecutor(3) as pool:
        here = pool.submit(lab.fill, HOST, len(NAMES), name="vm")
        inbound = pool.submit(lab.fill, "cmp02", 1, name="newcomer")
        stuck = pool.submit(lab.fill, STUCK, 3, name="stuck")
        ids = {name: server.id for name, server in zip(NAMES, here.result(), strict=True)}
        ids["newcomer"] = inbound.result()[0].id
        stuck.result()
    for name in NAMES:
        rename(lab, ids[name], name)
    allow(lab, STUCK, False)  # else what leaves HOST may land there, and be drained once more
    lab.faults(
        {
            "newcomer": {"seconds": 12},
            "b-slow": {"seconds": 10},
            "taken": {"seconds": 15},
            "stuck-*": {"stalled": True},
        }
    )
    return ids


def paused(drover: Drover, look: Look, operation: str) -> tuple[Ended, Ended, tuple[int, int], list[str]]:
    """Leave the drain with Ctrl-C, watch it again, and pause it when the first server has arrived."""
    watch = drover.start("ops", "watch", operation, "--json")
    until("something moves", 60, lambda: [row for row in look.migrations() if row["source_compute"] == HOST])
    code = watch.signal(signal.SIGINT)
    left_alone = Ended(code, "", watch.stderr)
    watch = drover.start("ops", "watch", operation, "--json")
    until("the first arrived", 90, lambda: look.moves())
    assert drover.run("ops", "pause", operation, "--reason", "a customer called").code == 0
    ended = watch.wait(90)
    seen = len(look.migrations())
    time.sleep(CALM)
    return left_alone, ended, (seen, len(look.migrations())), look.servers_on(HOST)


@pytest.fixture(scope="module")
def story(lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One drain that is left, paused and resumed, while servers come, go, and are moved by others."""
    lab = lab_session
    lab.reset()
    ids = boot(lab)
    look, drover = Look(lab), Drover(lab.clouds_yaml, tmp_path_factory.mktemp("reins"), **SHORT)
    try:
        before = look.servers()
        lab.live_migrate(ids["newcomer"], HOST)
        lab.wait_for_migration(ids["newcomer"], "running")
        operation = drover.begin(HOST)
        left_alone, stopped, calm, held = paused(drover, look, operation)
        lab.live_migrate(ids["taken"], "cmp05")
        lab.conn.compute.delete(f"/servers/{ids['wiped']}")
        lab.wait_for_migration(ids["taken"], "running")
        resumed = drover.run("ops", "resume", operation, "--json", seconds=SECONDS)
        allow(lab, STUCK, True)
        rows = look.migrations()
        moves = {name: [row for row in rows if row["instance_uuid"] == server] for name, server in ids.items()}
        yield Story(drover, look, before, operation, left_alone, stopped, calm, held, resumed, look.servers(), moves)
    finally:
        drover.close()
        lab.reset()


def test_ctrl_c_leaves_it_safe(story: Story) -> None:
    """Ctrl-C ends the command with code 130 and a text that says how to go on; the drain itself stays as it is."""
    assert story.left_alone.code == 130
    assert f"drover ops watch {story.operation}" in story.left_alone.stderr


def test_pause_starts_nothing_new(story: Story) -> None:
    """A paused drain lets what runs end, starts nothing, and is told with exit code 3."""
    assert (story.paused.code, story.paused.document["state"]) == (3, "paused"), story.paused.stderr
    assert story.paused.document["summary"]["in_flight"] == 0
    assert story.calm[0] == story.calm[1]
    assert {"taken", "wiped", "z-last"} <= set(story.held)


def test_resume_goes_on_to_the_end(story: Story) -> None:
    """Resumed, the drain empties the host; every server was moved once, and is as it was."""
    assert (story.resumed.code, story.resumed.document["state"]) == (0, "succeeded"), story.resumed.stderr
    assert story.look.servers_on(HOST) == []
    for name in set(NAMES) - {"wiped"}:
        assert story.after[name]["host"] != HOST
        assert story.after[name]["status"] == "ACTIVE"
        assert [row["status"] for row in story.migrations[name]] == ["completed"], name
        assert steps_by_name(story.resumed.document)[name]["state"] == "done", name


def test_foreign_migration_is_adopted(story: Story) -> None:
    """A migration that somebody else started is followed as if it were ours, and not asked for again."""
    step = steps_by_name(story.resumed.document)["taken"]
    assert (step["state"], step["to"]) == ("done", "cmp05")
    acts = [entry.act for entry in story.drover.audit(story.operation) if entry.subject == step["subject"]]
    assert "adopt migration" in acts
    assert "live-migrate" not in acts


def test_deleted_server_is_no_problem(story: Story) -> None:
    """A server that is deleted during the drain is told as gone, and was never asked to move."""
    step = steps_by_name(story.resumed.document)["wiped"]
    assert step["state"] == "gone"
    assert story.migrations["wiped"] == []
    assert story.resumed.document["summary"]["left"] == []


def test_arrival_is_moved_too(story: Story) -> None:
    """A server that was on its way to the host when the drain began is moved away again."""
    rows = story.migrations["newcomer"]
    assert [(row["source_compute"], row["status"]) for row in rows] == [("cmp02", "completed"), (HOST, "completed")]
    assert rows[0]["dest_compute"] == HOST
    assert story.after["newcomer"]["host"] != HOST
    acts = [entry.act for entry in story.drover.audit(story.operation)]
    assert "server came during the drain" in acts


def test_cancel_aborts_and_gives_back(story: Story) -> None:
    """Cancelled with --undo, what runs and what waits in Nova's queue is aborted, and the host enabled again."""
    operation = story.drover.begin(STUCK)
    watch = story.drover.start("ops", "watch", operation, "--json")
    ids = {server["id"] for name, server in story.after.items() if name.startswith("stuck")}

    def under_way() -> list[str]:
        rows = [row for row in story.look.migrations() if row["instance_uuid"] in ids]
        return sorted(row["status"] for row in rows)

    until("one runs and one is queued", 60, lambda: under_way() == ["queued", "running"])
    assert story.look.service(STUCK)["status"] == "disabled"
    cancelled = story.drover.run("ops", "cancel", operation, "--undo", "--json", seconds=90)
    assert (cancelled.code, cancelled.document["state"]) == (0, "cancelled"), cancelled.stderr
    assert watch.wait(60).code == 1
    assert under_way() == ["cancelled", "cancelled"]
    now = story.look.servers()
    for name in ("stuck-1", "stuck-2", "stuck-3"):
        assert (now[name]["host"], now[name]["status"], now[name]["task"]) == (STUCK, "ACTIVE", None)
    assert set(left_by_name(cancelled.document)) == {"stuck-1", "stuck-2", "stuck-3"}
    assert story.look.service(STUCK)["status"] == "enabled"


@pytest.mark.skipif("DROVER_LONG" not in os.environ, reason="takes two and a half minutes; DROVER_LONG=1 runs it")
def test_stalled_server_is_forced(lab: LabUnderTest, tmp_path: Path) -> None:
    """With --on-stall force-complete the stalled server is paused until it is over, in its first migration."""
    (server,) = lab.fill(HOST, 1, name="stalled")
    lab.faults({"stalled": {"stalled": True}})
    drover = Drover(lab.clouds_yaml, tmp_path)
    ended = drover.run("drain", HOST, "--reason", "long", "--on-stall", "force-complete", "--json", seconds=SECONDS)
    assert ended.code == 0, ended.stderr
    assert [row["status"] in ENDED_WELL for row in Look(lab).migrations(server.id)] == [True]
    assert "force completion" in [entry.act for entry in drover.audit(ended.document["id"])]
