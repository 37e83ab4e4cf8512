"""`drover drain` of several hosts: how they are named, what is shown, and how it ends."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from cli.engine import Parts
from cli.together import combined, worst
from functions.migrate.events import DrainPlanned, DrainRequested
from lab.simulator.clock import SteppedClock
from shared.errors import Rejected
from shared.events import EventData
from shared.operations import Prepared, Work
from shared.store import OperationState
from tests.unit.cli.conftest import Run, Served
from tests.unit.cli.support import Emptying, GivingBack, plan

WHY = ("--reason", "new switch")
RACK = ("cmp01", "cmp02", "cmp03")


class EmptyingAll(Emptying):
    """Takes several hosts; those named in `halts` halt in their second slice."""

    def __init__(self) -> None:
        super().__init__()
        self.halts: set[str] = set()

    def prepare(self, request: EventData) -> Prepared:
        assert isinstance(request, DrainRequested)
        self.prepared.append(request)
        hosts = request.hosts or list(RACK[:2] if request.aggregate else [request.host])
        if unknown := [host for host in hosts if host not in RACK]:
            raise Rejected(f"found no compute host named {unknown[0]!r}")
        answer = _plan(hosts) if request.dry_run else None
        first, *others = (
            Prepared(request.cloud, host, request.reason, request.requester, {"host": host}, answer) for host in hosts
        )
        return replace(first, together=others)

    def advance(self, work: Work) -> float | None:
        if work.steps and work.operation.target in self.halts:
            work.end(OperationState.HALTED, "over budget")
            return None
        return super().advance(work)


def _plan(hosts: list[str]) -> DrainPlanned:
    """`cmp02` would not be empty."""
    each = [plan("full" if host == "cmp02" else host) for host in hosts]
    servers = [{**server, "host": host} for host, one in zip(hosts, each, strict=True) for server in one.servers]
    feasible = all(one.feasible for one in each)
    parts = [
        {"host": host, "feasible": one.feasible, "shortfall": one.shortfall, "seconds": 3.0}
        for host, one in zip(hosts, each, strict=True)
    ]
    shortfall = next((one.shortfall for one in each if one.shortfall), None)
    return DrainPlanned(
        host=", ".join(hosts), feasible=feasible, servers=servers, shortfall=shortfall, seconds=3.0, hosts=parts
    )


@pytest.fixture
def kind() -> EmptyingAll:
    """The drain."""
    return EmptyingAll()


def test_all_are_followed_to_their_ends(run: Run, kind: EmptyingAll) -> None:
    """It exits 0 when all are empty, with a result for each, and shows how far all are together."""
    outcome = run("drain", *RACK, *WHY)
    assert outcome.code == 0
    for host in RACK:
        assert f"{host} is empty" in outcome.out
    assert "3 of 3 hosts are empty" in outcome.out
    assert "drain cmp01, cmp02, cmp03: 0 of 3 empty" in outcome.err
    request = kind.prepared[0]
    assert isinstance(request, DrainRequested)
    assert (request.hosts, request.host) == (list(RACK), "")


def test_json_is_a_list_of_documents(run: Run) -> None:
    """Each is the document that a single drain prints."""
    outcome = run("drain", *RACK, *WHY, "--json")
    documents = outcome.json["operations"]
    assert [document["target"] for document in documents] == list(RACK)
    assert {document["state"] for document in documents} == {"succeeded"}


def test_one_that_waits_makes_all_wait(run: Run, kind: EmptyingAll) -> None:
    """Exit code 3: the others are empty, and the way on is told for the one that is not."""
    kind.halts = {"cmp02"}
    outcome = run("drain", *RACK, *WHY)
    assert outcome.code == 3
    assert "2 of 3 hosts are empty" in outcome.out
    assert "over budget" in outcome.out
    assert outcome.out.count("drover ops resume") == 1


def test_in_json_people_are_told_on_stderr(run: Run, kind: EmptyingAll) -> None:
    """stdout has the documents alone."""
    kind.halts = {"cmp02"}
    outcome = run("drain", *RACK, *WHY, "--json")
    assert outcome.code == 3
    assert "drain of cmp02: halted: over budget" in outcome.err
    assert outcome.err.count("drover ops resume") == 1


def test_the_worst_one_makes_the_exit_code() -> None:
    """A failure counts for more than one that waits for a person."""

    def documents(*states: str) -> list[dict[str, str]]:
        return [{"state": state} for state in states]

    assert worst(documents("succeeded", "halted", "failed")) == 1
    assert worst(documents("succeeded", "paused")) == 3
    assert worst(documents("succeeded")) == 0


def test_more_than_three_are_counted() -> None:
    """The progress names three hosts, and else their number; the slowest tells the time."""
    documents = [
        {"kind": "drain", "target": f"cmp{number}", "state": "succeeded" if number else "running",
         "summary": {"moved": 2, "eta_seconds": float(number), "in_flight": None}}
        for number in range(4)
    ]  # fmt: skip
    found = combined(documents)
    assert found["target"] == "of 4 hosts: 3 of 4 empty"
    assert (found["summary"]["moved"], found["summary"]["eta_seconds"], found["summary"]["in_flight"]) == (8, 3.0, 0)


def test_a_dry_run_is_one_table(run: Run, kind: EmptyingAll) -> None:
    """It names the host that would not be empty, and exits 1."""
    outcome = run("drain", "cmp01", "cmp02", "--dry-run")
    assert outcome.code == 1
    assert "HOST" in outcome.out
    assert "Not feasible: cmp02 would not be empty, 1 of 2 hosts would" in outcome.out
    assert run("drain", "cmp01", "cmp03", "--dry-run").code == 0
    assert {each["host"] for each in run("drain", "cmp01", "cmp02", "--dry-run", "--json").json["hosts"]} == {
        "cmp01", "cmp02"
    }  # fmt: skip
    assert kind.slices == 0


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rack", "cmp01  # top\n\n# spare: cmp09\ncmp02\ncmp02\n"),
        ("rack.txt", "\ncmp01\ncmp02"),
        ("rack.yaml", "- cmp01\n- cmp02\n"),
        ("rack.yml", "room: 3\nhosts:\n  - cmp01\n  - cmp02\n"),
        ("rack.json", '{"hosts": ["cmp01", "cmp02"]}'),
        ("rack.JSON", '["cmp01", "cmp02"]'),
    ],
)
def test_a_rack_is_a_file(run: Run, kind: EmptyingAll, tmp_path: Path, name: str, text: str) -> None:
    """Names a line, or a list, or a list under `hosts`; a name that comes twice is one host."""
    path = tmp_path / name
    path.write_text(text)
    assert run("drain", "--rack", str(path), *WHY).code == 0
    request = kind.prepared[0]
    assert isinstance(request, DrainRequested)
    assert request.hosts == ["cmp01", "cmp02"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rack", "cmp01\ncmp02 cmp03\n", "line 2: found 'cmp02 cmp03'"),
        ("rack", "# nobody\n", "there is no host in"),
        ("rack.yaml", "hosts:\n  - cmp01\n  - {name: cmp02}\n", "line 3: found a mapping"),
        ("rack.yaml", "hosts: cmp01\n", "line 1: found 'cmp01'"),
        ("rack.yaml", "rooms:\n  - cmp01\n", "line 1: found a mapping"),
        ("rack.yaml", "- cmp01\n- [cmp02]\n", "line 2: found a list"),
        ("rack.yaml", "- cmp01\n-\n", "line 2: found ''"),
        ("rack.yaml", "", "line 1: found nothing"),
        ("rack.yaml", "- a\nb: [\n", "line 2"),
        ("rack.yaml", "\x00", "rack.yaml"),
        ("rack.json", '["cmp01",\n "cmp02"', "line 2"),
        ("rack.json", "[]", "there is no host in"),
        ("rack.json", "[" * 5000, "rack.json: maximum recursion depth"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(run: Run, tmp_path: Path, name: str, text: str, said: str) -> None:
    """Exit code 2, and nothing is stored."""
    path = tmp_path / name
    path.write_text(text)
    outcome = run("drain", "--rack", str(path), *WHY)
    assert outcome.code == 2
    assert said in outcome.err
    assert str(path) in outcome.err
    assert run("ops", "list", "--json").json["operations"] == []


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    """It is named, and so is one that is no text."""
    assert "can't be read" in run("drain", "--rack", str(tmp_path / "none"), *WHY).err
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")
    assert "can't be read" in run("drain", "--rack", str(tmp_path / "binary"), *WHY).err


@pytest.mark.parametrize("words", [(), ("cmp01", "--aggregate", "a"), ("--aggregate", "a", "--rack", "f")])
def test_hosts_are_named_in_one_way(run: Run, words: tuple[str, ...]) -> None:
    """None or several ways are wrong input."""
    outcome = run("drain", *words, *WHY)
    assert outcome.code == 2
    assert "name the hosts to drain in one way" in outcome.err


def test_an_aggregate_is_left_to_the_other_side(run: Run, kind: EmptyingAll) -> None:
    """Who knows the cloud finds out which hosts are meant."""
    assert run("drain", "--aggregate", "rack-7", *WHY).code == 0
    request = kind.prepared[0]
    assert isinstance(request, DrainRequested)
    assert (request.aggregate, request.host, request.hosts) == ("rack-7", "", [])
    assert len(run("ops", "list", "--json").json["operations"]) == 2


def test_one_unknown_host_and_nothing_is_stored(run: Run) -> None:
    """All or none."""
    assert run("drain", "cmp01", "cmp9", *WHY).code == 2
    assert run("ops", "list", "--json").json["operations"] == []


def test_no_wait_prints_the_ids(run: Run, kind: EmptyingAll) -> None:
    """One a line, or as JSON; the next command is told for each."""
    outcome = run("drain", *RACK, *WHY, "--no-wait")
    ids = outcome.out.split()
    assert (outcome.code, len(ids), kind.slices) == (0, 3, 0)
    assert all(f"drover ops watch {one}" in outcome.err for one in ids)
    again = run("drain", *RACK, "--reason", "another", "--no-wait", "--json")
    assert [document["id"] for document in again.json["operations"]] == ids
    assert again.err.count("already") == 3


def test_a_signal_leaves_all_of_them_safe(run: Run, kind: EmptyingAll) -> None:
    """Ctrl-C: the way on is told for each that is not over."""

    def press(work: Work) -> None:
        if kind.slices == 4:
            os.kill(os.getpid(), signal.SIGINT)

    kind.hook = press
    outcome = run("drain", *RACK, *WHY)
    assert outcome.code == 130
    assert outcome.err.count("drover ops pause") == 3


def test_several_are_watched_where_they_are_served(run: Run, served: Served) -> None:
    """The other side works on them; this one waits, and shows the same."""
    outcome = run("drain", *RACK, *WHY, "--url", "http://127.0.0.1:8080", parts=served.parts)
    assert outcome.code == 0, outcome.err
    assert "3 of 3 hosts are empty" in outcome.out
    stored = run("drain", *RACK, *WHY, "--no-wait", "--url", "http://127.0.0.1:8080", parts=served.parts)
    assert "They go on at" in stored.err


def test_one_that_is_cancelled_and_stays_halted_is_given_up(run: Run, kind: EmptyingAll, clock: SteppedClock) -> None:
    """A cancel that has gone wrong is not watched for ever."""

    def halt(work: Work) -> float | None:
        kind.slices += 1
        if work.operation.target == "cmp01":
            work.operation.intent = "cancel"
            work.end(OperationState.HALTED, "went wrong")
        else:
            work.end(OperationState.SUCCEEDED, "")
        return None

    kind.advance = halt  # type: ignore[method-assign]
    parts = Parts(kinds=lambda _function: [kind, GivingBack()], clock=clock)
    assert run("drain", "cmp01", "cmp02", *WHY, parts=parts).code == 3
