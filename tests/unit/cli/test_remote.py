"""The command with `--url`: CloudEvents to a served Drover, which is the real application without a socket."""

from __future__ import annotations

import os
import signal

import pytest
from flask import Flask

from cli.engine import Parts
from cli.remote import PAUSES, Remote
from lab.simulator.clock import SteppedClock
from shared.errors import Rejected
from shared.operations import Work
from tests.unit.cli.conftest import Run, Served
from tests.unit.cli.support import Emptying, Wire

URL = "http://drover.test:8080"
DRAIN = ("drain", "cmp01", "--reason", "new memory", "--url", URL)


def test_a_drain_elsewhere_is_followed_to_its_end(run: Run, served: Served, kind: Emptying) -> None:
    """The event is posted once, the operation is read until it has ended, and the result is the same document."""
    outcome = run(*DRAIN, "--json", parts=served.parts)
    assert outcome.code == 0
    assert outcome.json["state"] == "succeeded"
    assert [method for method, _ in served.wire.sent].count("POST") == 1
    assert kind.slices == 4


def test_the_address_may_come_from_the_environment(run: Run, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """DROVER_URL does what --url does."""
    monkeypatch.setenv("DROVER_URL", URL)
    assert run("ops", "list", parts=served.parts).code == 0
    assert served.wire.sent[0][0] == "GET"


def test_a_dry_run_elsewhere_is_the_plan(run: Run, served: Served) -> None:
    """The planned event's data is what is shown."""
    outcome = run("drain", "full", "--dry-run", "--json", "--url", URL, parts=served.parts)
    assert outcome.code == 1
    assert outcome.json["host"] == "full"


def test_a_lost_answer_is_asked_for_again_with_the_same_id(run: Run, served: Served) -> None:
    """However often the answer is lost, there is one operation."""
    served.wire.lose = 2
    assert run(*DRAIN, parts=served.parts).code == 0
    ids = {headers["ce-id"] for method, headers in served.wire.sent if method == "POST"}
    assert len(ids) == 1
    assert len(run("ops", "list", "--json").json["operations"]) == 1


def test_nobody_there_exits_1_after_some_tries(run: Run, served: Served) -> None:
    """The message names the address, without its password."""
    served.wire.down = True
    address = "http://ann:secret@drover.test:8080"
    outcome = run("drain", "cmp01", "--reason", "x", "--url", address, parts=served.parts)
    assert outcome.code == 1
    assert "http://drover.test:8080 does not answer" in outcome.err
    assert "secret" not in outcome.err
    assert len(served.wire.sent) == 1 + len(PAUSES)


def test_a_rejection_exits_2_with_its_reason(run: Run, served: Served) -> None:
    """What the function does not take is wrong input here too."""
    outcome = run("drain", "cmp9", "--reason", "x", "--url", URL, parts=served.parts)
    assert outcome.code == 2
    assert "cmp9" in outcome.err


def test_an_unknown_operation_exits_2(run: Run, served: Served) -> None:
    """The function's own 404 is explained, not the HTTP status."""
    outcome = run("ops", "show", "nothing", "--url", URL, parts=served.parts)
    assert outcome.code == 2
    assert "there is no operation 'nothing'" in outcome.err


def test_a_cloud_that_does_not_answer_there_exits_1(run: Run, served: Served) -> None:
    """503 is tried again and then passed on."""
    outcome = run(*DRAIN, "--cloud", "away", parts=served.parts)
    assert outcome.code == 1
    assert "Keystone does not answer" in outcome.err


def test_a_cloud_must_be_named(run: Run, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's clouds.yaml says nothing about the one over there."""
    monkeypatch.delenv("OS_CLOUD")
    outcome = run(*DRAIN, parts=served.parts)
    assert outcome.code == 2
    assert "--cloud NAME" in outcome.err


def test_pause_and_resume_elsewhere(run: Run, served: Served, kind: Emptying) -> None:
    """Both are events; the state is read back."""
    operation = run(*DRAIN, "--no-wait", parts=served.parts).out.strip()
    outcome = run("ops", "pause", operation, "--url", URL, parts=served.parts)
    assert "It is paused" in outcome.err
    assert run("ops", "resume", operation, "--url", URL, parts=served.parts).code == 0


def test_leaving_says_that_it_goes_on(run: Run, served: Served, kind: Emptying) -> None:
    """Ctrl-C ends the watch and nothing else."""

    def press(work: Work) -> None:
        if kind.slices == 2:
            os.kill(os.getpid(), signal.SIGINT)

    kind.hook = press
    outcome = run(*DRAIN, parts=served.parts)
    assert outcome.code == 130
    assert f"goes on at {URL}" in outcome.err


def test_a_watch_outlives_a_restart(run: Run, served: Served, kind: Emptying) -> None:
    """When nobody answers for a while, it is said once, and the watch goes on."""

    def vanish(work: Work) -> None:
        served.wire.down = kind.slices == 2

    kind.hook = vanish
    outcome = run(*DRAIN, parts=served.parts)
    assert outcome.code == 0
    assert outcome.err.count("does not answer") == 1


def test_a_watch_is_given_up_some_time(run: Run, served: Served, kind: Emptying) -> None:
    """After minutes without an answer the command ends with 1."""

    def vanish(work: Work) -> None:
        served.wire.down = True

    kind.hook = vanish
    outcome = run(*DRAIN, parts=served.parts)
    assert outcome.code == 1
    assert "does not answer" in outcome.err


@pytest.mark.parametrize(
    ("status", "said"), [(202, "broker"), (404, "expected a Drover there"), (302, "expected a Drover there")]
)
def test_another_server_is_told_from_a_drover(run: Run, clock: SteppedClock, status: int, said: str) -> None:
    """A broker, or any other web server, at the address is wrong input."""
    import requests

    app = Flask("other")
    app.add_url_rule("/", view_func=lambda: ("", status, {"Location": "/"}), methods=["POST", "GET"])

    def session() -> requests.Session:
        session = requests.Session()
        session.mount("http://", Wire(app))
        return session

    outcome = run(*DRAIN, parts=Parts(clock=clock, session=session))
    assert outcome.code == 2
    assert said in outcome.err


def test_an_answer_that_is_no_json_is_explained(run: Run, clock: SteppedClock) -> None:
    """A page where a document was expected is somebody else's."""
    import requests

    app = Flask("other")
    app.add_url_rule("/", view_func=lambda: "<h1>Welcome</h1>", methods=["GET"])
    session = requests.Session()
    session.mount("http://", Wire(app))
    with pytest.raises(Rejected, match="expected a Drover there"):
        Remote(URL, clock, session).read("1")
