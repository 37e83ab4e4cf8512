"""`drover drain` and `drover undrain` on the store of this machine."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from cli.engine import Parts
from lab.simulator.clock import SteppedClock
from shared.events import EventData
from shared.operations import Work
from shared.store import OperationState
from tests.unit.cli.conftest import Run
from tests.unit.cli.support import Emptying, Failing

WHY = ("--reason", "new memory")


def test_a_drain_is_followed_to_its_end(run: Run, kind: Emptying) -> None:
    """It exits 0 with a summary and the command that gives the host back on stdout, and the progress on stderr."""
    outcome = run("drain", "cmp01", *WHY)
    assert outcome.code == 0
    assert "cmp01 is empty" in outcome.out
    assert "2 of 2 servers" in outcome.out
    assert "1 min 24 s" in outcome.out
    assert "38" in outcome.out
    assert "drover undrain cmp01 --cloud lab" in outcome.out
    assert "drain cmp01" in outcome.err
    assert kind.slices == 4


def test_json_is_the_document_of_the_issue(run: Run) -> None:
    """--json prints one document with the documented fields and nothing else on stdout."""
    document = run("drain", "cmp01", *WHY, "--json").json
    fields = {"id", "kind", "state", "cloud", "target", "reason", "requester", "steps", "summary"}
    assert fields <= set(document)
    assert set(document["steps"][0]) == {
        "subject", "name", "action", "to", "state", "attempts", "error", "started_at", "finished_at"
    }  # fmt: skip
    assert {"moved", "left", "seconds", "api_requests"} <= set(document["summary"])
    assert (document["kind"], document["state"], document["cloud"], document["target"]) == (
        "drain", "succeeded", "lab", "cmp01"
    )  # fmt: skip
    assert document["reason"] == "new memory"
    assert "@" in document["requester"]


def test_a_feasible_dry_run_exits_0(run: Run, kind: Emptying) -> None:
    """A dry run needs no reason, shows each server with its target and changes nothing."""
    outcome = run("drain", "cmp01", "--dry-run")
    assert outcome.code == 0
    assert "live-migrate" in outcome.out
    assert "Feasible: cmp01 would be empty" in outcome.out
    assert kind.slices == 0
    assert run("ops", "list", "--json").json["operations"] == []


def test_an_infeasible_dry_run_exits_1(run: Run) -> None:
    """It shows the reason, the way out and by how much the cloud is too small."""
    outcome = run("drain", "full", "--dry-run")
    assert outcome.code == 1
    assert "no host can take it" in outcome.out
    assert "free memory" in outcome.out
    assert "512 MB missing" in outcome.out


@pytest.mark.parametrize(("host", "code"), [("cmp01", 0), ("full", 1)])
def test_a_dry_run_in_json_is_the_plan(run: Run, host: str, code: int) -> None:
    """--dry-run --json prints host, feasible, servers and shortfall."""
    outcome = run("drain", host, "--dry-run", "--json")
    assert outcome.code == code
    plan = outcome.json
    assert {"host", "feasible", "servers", "shortfall"} <= set(plan)
    assert plan["feasible"] is (code == 0)
    assert set(plan["servers"][0]) == {"id", "name", "action", "to", "reason", "way_out", "seconds"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drain", "cmp01"), "no --reason"),
        (("drain", "cmp01", "--reason", "  "), "no --reason"),
        (("drain", "cmp9", *WHY), "found no compute host named 'cmp9'"),
        (("drain", "cmp01", *WHY, "--concurrency", "0"), "concurrency"),
        (("drain", "cmp01", *WHY, "--concurrency", "many"), "--concurrency"),
        (("drain", "cmp01", *WHY, "--fenced", "Ann pulled the plug"), "evacuate"),
        (("drain", "cmp01", *WHY, "--deadline", "soon"), "--deadline"),
        (("drain", "cmp01", *WHY, "--on-stall", "pray"), "--on-stall"),
        (("drain", "cmp01", "--reason", "x" * 201), "reason"),
        (("drain", "cmp01", *WHY, "--url", "localhost:8080"), "http://HOST:PORT"),
        (("drain",), "host"),
        (("undrain", "cmp01"), "--reason"),
        (("ops", "show", "nothing"), "there is no operation 'nothing'"),
        (("ops", "pause", "nothing"), "there is no operation 'nothing'"),
        (("ops", "list", "--state", "asleep"), "asleep"),
        (("ops", "list", "--limit", "0"), "limit"),
        (("fly",), "fly"),
    ],
)
def test_wrong_input_exits_2_and_changes_nothing(run: Run, words: tuple[str, ...], said: str) -> None:
    """Every wrong input is named on stderr, without a traceback, and no operation is stored."""
    outcome = run(*words)
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert run("ops", "list", "--json").json["operations"] == []


def test_a_cloud_that_does_not_answer_exits_1(run: Run) -> None:
    """What may work later is no wrong input."""
    outcome = run("drain", "cmp01", *WHY, "--cloud", "away")
    assert outcome.code == 1
    assert "Keystone does not answer" in outcome.err


def test_a_failed_drain_exits_1_and_says_why(run: Run, clock: SteppedClock) -> None:
    """The reason of the failure is in the result."""
    outcome = run("drain", "cmp01", *WHY, parts=Parts(kinds=lambda _function: [Failing()], clock=clock))
    assert outcome.code == 1
    assert "cmp01 has vanished" in outcome.out


def test_a_halted_drain_exits_3_and_says_how_to_go_on(run: Run, kind: Emptying) -> None:
    """What stays is listed with its reason, and the next commands are named."""

    def halt(work: Work) -> None:
        if work.steps:
            step = work.steps["web-1"]
            step.error = "its target refused it"
            work.save(step)
            work.end(OperationState.HALTED, "1 server could not be moved")

    kind.hook = halt
    outcome = run("drain", "cmp01", *WHY)
    assert outcome.code == 3
    assert "1 server could not be moved" in outcome.out
    assert "2 servers left on cmp01" in outcome.out
    assert "drover ops resume" in outcome.out
    assert "its target refused it" in outcome.out


def test_a_halted_drain_in_json_tells_people_on_stderr(run: Run, kind: Emptying) -> None:
    """stdout has the document alone; why it halted and how to go on are on stderr too."""
    kind.hook = lambda work: work.end(OperationState.HALTED, "over budget")
    outcome = run("drain", "cmp01", *WHY, "--json")
    assert outcome.code == 3
    assert outcome.json["note"] == "over budget"
    assert "halted: over budget" in outcome.err
    assert f"drover ops resume {outcome.json['id']}" in outcome.err


def test_a_halted_drain_is_followed_while_something_is_under_way(run: Run, kind: Emptying) -> None:
    """The command leaves only after what runs has ended."""

    def halt(work: Work) -> None:
        if kind.slices == 2:
            work.memo["in_flight"] = 1
            work.end(OperationState.HALTED, "over budget")

    def advance(work: Work) -> float | None:
        kind.slices += 1
        halt(work)
        if kind.slices < 4:
            return 2.0
        work.memo["in_flight"] = 0
        work.save()
        return None

    kind.advance = advance  # type: ignore[method-assign]
    assert run("drain", "cmp01", *WHY).code == 3
    assert kind.slices == 4


def test_options_reach_the_request(run: Run, kind: Emptying) -> None:
    """Each option becomes its field; what is not said is left to the request's defaults."""
    run(
        "drain", "cmp01", *WHY, "--allow-downtime", "--evacuate", "--fenced", "Ann, PDU off", "--concurrency", "3",
        "--inbound", "4", "--cloud-limit", "5", "--max-attempts", "6", "--error-budget", "7",
        "--on-stall", "force-complete", "--deadline", "2h",
    )  # fmt: skip
    request: EventData = kind.prepared[0]
    assert request.model_dump(mode="json", exclude={"requester"}) == {
        "cloud": "lab", "host": "cmp01", "hosts": [], "aggregate": None, "reason": "new memory",
        "dry_run": False, "allow_downtime": True,
        "evacuate": True, "fenced": "Ann, PDU off", "concurrency": 3, "inbound": 4, "cloud_limit": 5,
        "max_attempts": 6, "error_budget": 7, "on_stall": "force-complete", "deadline": "2026-01-01T02:00:00Z",
    }  # fmt: skip


def test_no_wait_only_stores_it(run: Run, kind: Emptying) -> None:
    """Its id is all that stdout gets, and stderr says that nobody works on it yet."""
    outcome = run("drain", "cmp01", *WHY, "--no-wait")
    assert outcome.code == 0
    assert kind.slices == 0
    assert f"drover ops watch {outcome.out.strip()}" in outcome.err
    assert run("ops", "watch", outcome.out.strip()).code == 0


def test_no_wait_in_json_is_the_document(run: Run) -> None:
    """The operation as it was stored."""
    assert run("drain", "cmp01", *WHY, "--no-wait", "--json").json["state"] == "planned"


def test_the_same_drain_again_goes_on_with_the_first(run: Run) -> None:
    """A second request for the host is answered with the living operation, which is then worked on."""
    first = run("drain", "cmp01", *WHY, "--no-wait").out.strip()
    outcome = run("drain", "cmp01", "--reason", "another one", "--json")
    assert outcome.code == 0
    assert outcome.json["id"] == first
    assert "already" in outcome.err
    assert "new memory" in outcome.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_slice_end_and_loses_nothing(
    run: Run, kind: Emptying, number: signal.Signals, code: int
) -> None:
    """Ctrl-C in the middle of a slice: its save is done, the exit code is the shell's, and the way on is told."""

    def press(work: Work) -> None:
        if kind.slices == 3:
            os.kill(os.getpid(), number)

    kind.hook = press
    outcome = run("drain", "cmp01", *WHY)
    assert outcome.code == code
    operation = run("ops", "list", "--json").json["operations"][0]["id"]
    for verb in ("watch", "pause", "cancel"):
        assert f"drover ops {verb} {operation}" in outcome.err
    assert run("ops", "show", operation, "--json").json["summary"]["moved"] == 2
    kind.hook = lambda work: None
    assert run("ops", "watch", operation).code == 0


def test_a_second_signal_leaves_at_once(run: Run, kind: Emptying) -> None:
    """Somebody who presses Ctrl-C twice does not wait for the slice; the operation is still there."""

    def press(work: Work) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("the second one must not come back")

    kind.hook = press
    outcome = run("drain", "cmp01", *WHY)
    assert outcome.code == 130
    assert "drover ops watch" in outcome.err


def test_who_waits_for_a_killed_process_is_told_so(run: Run, kind: Emptying) -> None:
    """A lease that nobody gave back blocks the operation for some seconds; the next command says so, and takes over."""

    def killed(work: Work) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    kind.hook = killed
    operation = run("drain", "cmp01", *WHY).err.split("drover ops watch ")[1].split()[0]
    kind.hook = lambda work: None
    outcome = run("ops", "watch", operation)
    assert outcome.code == 0
    assert outcome.err.count("lease has ended") == 1


def test_undrain_gives_the_host_back(run: Run) -> None:
    """It exits 0 and says so."""
    outcome = run("undrain", "cmp01", "--reason", "memory is in")
    assert outcome.code == 0
    assert "cmp01 is in service again" in outcome.out


def test_a_bug_is_one_paragraph_and_its_traceback_is_in_the_log(run: Run, state: Path, kind: Emptying) -> None:
    """Nobody has to read a traceback on the terminal, and nobody has to do without one."""

    def broken(request: EventData) -> None:
        raise ZeroDivisionError("by zero")

    kind.prepare = broken  # type: ignore[assignment, method-assign]
    outcome = run("drain", "cmp01", *WHY)
    assert outcome.code == 1
    assert "ZeroDivisionError: by zero" in outcome.err
    assert "Traceback" not in outcome.err
    assert "Traceback" in (state / "drover" / "drover.log").read_text()


def test_a_store_that_cannot_be_opened_exits_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that does not answer is explained."""
    monkeypatch.setenv("DROVER_DATABASE_URL", "sqlite:////dev/null/drover.db")
    outcome = run("ops", "list")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err


def test_a_wrong_setting_exits_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that can't be used is named."""
    monkeypatch.setenv("DROVER_SLICE_SECONDS", "never")
    outcome = run("ops", "list")
    assert outcome.code == 2
    assert "DROVER_SLICE_SECONDS" in outcome.err
