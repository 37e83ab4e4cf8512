"""`drover serve`: what it refuses, and that it ends in good order."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from shared.operations import Work
from tests.unit.cli.conftest import Run
from tests.unit.cli.support import Emptying


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::", "example.org"])
def test_it_listens_only_on_this_machine(run: Run, host: str) -> None:
    """There is no authentication, so any address that others can reach is refused, with the reason."""
    outcome = run("serve", "--host", host, "--port", "0")
    assert outcome.code == 2
    assert "authentication" in outcome.err


def test_a_port_in_use_is_explained(run: Run) -> None:
    """The address and what to do are in the message."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = run("serve", "--port", str(port))
    assert outcome.code == 1
    assert f"127.0.0.1:{port}" in outcome.err
    assert "--port" in outcome.err


def test_an_unknown_function_is_refused() -> None:
    """The message lists the functions that there are."""
    from cli.engine import function_kinds
    from shared.errors import Rejected

    with pytest.raises(Rejected, match="migrate"):
        function_kinds("fly")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_its_tick_carries_operations_on_until_a_signal(run: Run, kind: Emptying, number: signal.Signals) -> None:
    """A stored operation is worked on without any request; the signal ends the server with 0 after the slice."""
    operation = run("drain", "cmp01", "--reason", "new memory", "--no-wait").out.strip()

    def press(work: Work) -> None:
        if kind.slices == 3:
            os.kill(os.getpid(), number)

    kind.hook, kind.pace = press, 0.0
    outcome = run("serve", "--port", "0")
    assert outcome.code == 0
    assert "http://127.0.0.1:" in outcome.err
    assert "has stopped" in outcome.err
    assert run("ops", "show", operation, "--json").json["summary"]["moved"] == 2
