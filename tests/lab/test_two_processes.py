"""Two processes on one PostgreSQL empty two hosts: they share the work, no step runs twice, and one may die."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.support.drover import Drover, Running, until
from tests.lab.support.look import ENDED_WELL, Look, most_at_once
from tests.support.postgres import Postgres

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = [pytest.mark.lab, pytest.mark.postgres]

HOSTS = ("cmp01", "cmp02")
SERVERS = 4
"""On each of the hosts."""
LIMIT = 3
"""Migrations at once in the whole cloud; without it the two drains would have four."""
SECONDS = 240.0
SHORT = {"DROVER_SLICE_SECONDS": "5", "DROVER_LEASE_SECONDS": "10"}
SERVES = re.compile(r"http://127\.0\.0\.1:\d+")


class Worker:
    """One `drover serve`."""

    def __init__(self, drover: Drover) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._metrics = listener.getsockname()[1]
        self._running: Running = drover.start("serve", "--port", "0", DROVER_METRICS_PORT=str(self._metrics))

    def ready(self) -> bool:
        """Whether it serves; once it does, `url` is known."""
        assert self._running.alive, self._running.stderr
        return SERVES.search(self._running.stderr) is not None

    @property
    def url(self) -> str:
        found = SERVES.search(self._running.stderr)
        assert found
        return found.group()

    @property
    def slices(self) -> int:
        """Slices of drains that this process has worked, by its own metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found = re.search(r'^drover_slice_seconds_count\{kind="drain"\} (\S+)$', text, re.MULTILINE)
        return int(float(found.group(1))) if found else 0

    def kill(self) -> None:
        self._running.kill()


@dataclass
class Shared:
    """What the two have done."""

    drover: Drover
    look: Look
    before: dict[str, dict[str, Any]]
    operations: dict[str, str]
    """By host."""
    second: dict[str, Any]
    """What a second drain of the first host was answered with."""
    slices: tuple[int, int]
    """Of each process, until one was killed."""
    moved_before: int
    """Servers that had arrived when it was killed."""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of this test's own."""
    server = Postgres()
    yield server
    server.close()


def scene(lab: LabUnderTest, drover: Drover, workers: tuple[Worker, Worker]) -> Shared:
    """Both drains, with one of the two processes killed half-way."""
    look = Look(lab)
    before = look.servers()
    until("both serve", 60, lambda: all(worker.ready() for worker in workers))
    limit = ("--cloud-limit", str(LIMIT))
    operations = {host: drover.begin(host, *limit) for host in HOSTS}
    answer = drover.run("drain", HOSTS[0], "--reason", "me too", "--no-wait", "--json", "--url", workers[1].url)
    until("half of them arrived", SECONDS, lambda: look.moves().total() >= SERVERS)
    slices = (workers[0].slices, workers[1].slices)
    workers[0].kill()
    moved = look.moves().total()
    for operation in operations.values():
        ended = drover.run("ops", "watch", operation, "--json", "--url", workers[1].url, seconds=SECONDS)
        assert ended.code == 0, ended.stderr
    return Shared(drover, look, before, operations, answer.document, slices, moved)


@pytest.fixture(scope="module")
def shared_work(
    lab_session: LabUnderTest, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """Two drains by two processes, which all tests of this file look at."""
    lab_session.reset()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda host: lab_session.fill(host, SERVERS, name=f"vm-{host}"), HOSTS))
    drover = Drover(lab_session.clouds_yaml, tmp_path_factory.mktemp("two"), postgres.url, **SHORT)
    try:
        workers = Worker(drover), Worker(drover)
        yield scene(lab_session, drover, workers)
    finally:
        drover.close()
        lab_session.reset()


def test_both_hosts_are_empty(shared_work: Shared) -> None:
    """Both drains end well, and Nova lists nothing on either host; every server has the status that it had."""
    for host, operation in shared_work.operations.items():
        document = shared_work.drover.show(operation)
        assert (document["state"], document["summary"]["moved"]) == ("succeeded", SERVERS), document["note"]
        assert shared_work.look.servers_on(host) == []
    after = shared_work.look.servers()
    statuses = {name: (server["status"], server["task"]) for name, server in after.items()}
    assert statuses == {name: (server["status"], None) for name, server in shared_work.before.items()}


def test_no_step_runs_twice(shared_work: Shared) -> None:
    """Each server was asked for once by the audit trail, and moved once by Nova's list."""
    servers = Counter(server["id"] for server in shared_work.before.values())
    entries = [entry for operation in shared_work.operations.values() for entry in shared_work.drover.audit(operation)]
    assert Counter(entry.subject for entry in entries if entry.act == "live-migrate") == servers
    assert Counter(entry.subject for entry in entries if entry.act == "verify server") == servers
    rows = shared_work.look.migrations()
    assert Counter(row["instance_uuid"] for row in rows) == servers
    assert all(row["status"] in ENDED_WELL for row in rows)


def test_both_processes_worked(shared_work: Shared) -> None:
    """Both processes took slices before one was killed, and the other one did what was left."""
    assert min(shared_work.slices) > 0, shared_work.slices
    assert SERVERS <= shared_work.moved_before < 2 * SERVERS


def test_drains_avoid_each_other(shared_work: Shared) -> None:
    """Neither drain sends a server to the host that the other one empties."""
    targets = {row["dest_compute"] for row in shared_work.look.migrations()}
    assert targets.isdisjoint(HOSTS)


def test_cloud_wide_limit_is_shared(shared_work: Shared) -> None:
    """By Nova's own times no more migrations overlap than the cloud-wide limit allows."""
    assert 2 <= most_at_once(shared_work.look.migrations()) <= LIMIT


def test_second_drain_is_answered_with_the_first(shared_work: Shared) -> None:
    """Another request for a host that is being drained gets the operation that runs."""
    assert shared_work.second["id"] == shared_work.operations[HOSTS[0]]
    assert shared_work.second["reason"] == "acceptance"
