"""`drover trace` as an operator runs it: a process of its own, a real RabbitMQ, real oslo.messaging traffic."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import oslo_messaging
import pytest

from shared.rabbit import QUEUE
from tests.support.captures import Commands, awaited, broker_of, is_clean, made_clean
from tests.support.messaging import Bus, bus_on
from tests.support.rabbit import Rabbit

pytestmark = pytest.mark.timeout(120)

MARK = "pl4nted"
"""A secret wherever there is room for one; it may be nowhere."""
REQUEST = "req-11111111-2222-3333-4444-555555555555"
CONTEXT = {
    "request_id": REQUEST, "auth_token": f"{MARK}-token", "service_catalog": [{"endpoints": [{"url": f"http://{MARK}"}]}],
    "trace_info": {"hmac_key": f"{MARK}-key"}, "user": MARK,
}  # fmt: skip
GONE = 30.0
"""Seconds after which a capture that was killed may have left nothing."""


class Traffic:
    """Calls with secrets, some of which fail, until `close`."""

    def __init__(self, bus: Bus) -> None:
        self._over = threading.Event()
        self.made = 0
        self._client = bus.client("compute", "cmp01")
        self._thread = threading.Thread(target=self._make, daemon=True)
        self._thread.start()

    def _make(self) -> None:
        while not self._over.wait(0.02):
            self._client.call(CONTEXT, "ping", password=f"{MARK}-password", nested={MARK: [MARK]})
            self._client.cast(CONTEXT, "tell", password=MARK)
            self.made += 1
            try:
                self._client.call(CONTEXT, "boom", text=f"rabbit://nova:{MARK}@mq1:5672/ refused")
            except (ValueError, oslo_messaging.RemoteError):
                continue

    def close(self) -> None:
        self._over.set()
        self._thread.join(30)


@pytest.fixture(scope="module")
def traffic(rabbit: Rabbit) -> Iterator[Traffic]:
    """It goes on during all tests."""
    with bus_on(rabbit) as bus:
        bus.serve("compute", "cmp01")
        found = Traffic(bus)
        yield found
        found.close()


@pytest.fixture
def commands(rabbit: Rabbit, traffic: Traffic, tmp_path: Path) -> Iterator[Commands]:
    """`drover`, on a clean broker, which is clean again afterwards."""
    made_clean(rabbit)
    found = Commands(rabbit, tmp_path)
    yield found
    found.close()
    assert awaited(lambda: is_clean(rabbit), "the broker is as before", GONE)


def summary(output: str) -> dict[str, Any]:
    """Of an operation that was printed as JSON."""
    document = json.loads(output)
    assert document["state"] == "succeeded", document
    found: dict[str, Any] = document["summary"]
    return found


def no_secret_in(directory: Path, *texts: str) -> None:
    """Not in any file, nor in what was printed."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert MARK.encode() not in path.read_bytes(), path
    for text in texts:
        assert MARK not in text


def test_a_full_capture(commands: Commands, rabbit: Rabbit, tmp_path: Path) -> None:
    """The price first, then statistics, verdicts and the request's tree; and no secret in store, logs and output."""
    output, said = commands.run(
        "trace", "start", "--mode", "full", "--seconds", "6", "--request-id", REQUEST, "--json"
    )  # fmt: skip
    found = summary(output)
    report, tree = found["report"], found["request"]
    assert "The price" in said
    assert report["coverage"] == 100.0
    assert set(report["causes"]) == {"server_exception"}
    assert report["failures"] > 10
    assert tree["requests"] == report["calls"] + report["casts"]
    assert {row["method"] for row in report["methods"]} == {"ping", "boom", "tell"}
    assert is_clean(rabbit)
    no_secret_in(tmp_path, output, said)


def test_a_full_capture_as_people_read_it(commands: Commands, tmp_path: Path) -> None:
    """Tables, without secrets."""
    output, said = commands.run("trace", "start", "--mode", "full", "--seconds", "2", "--method", "p*")
    assert "ping" in output
    assert "coverage 100 %" in output
    no_secret_in(tmp_path, output, said)


def test_a_light_capture(commands: Commands, rabbit: Rabbit, tmp_path: Path) -> None:
    """Requests only: rates and methods, and nothing that would need replies; the firehose stays off."""
    process = commands.begin("trace", "start", "--mode", "light", "--seconds", "4", "--json")
    awaited(lambda: QUEUE in queues(rabbit), "the capture's queue is there")
    assert rabbit.ask("GET", "/vhosts/%2F")["tracing"] is False
    output, said = process.communicate(timeout=60)
    report = summary(output)["report"]
    assert (report["mode"], report["coverage"], report["replies"], report["verdicts"]) == ("light", None, None, [])
    assert report["calls"] > 10
    assert report["casts"] > 10
    no_secret_in(tmp_path, output, said)


def test_a_metrics_capture(commands: Commands, rabbit: Rabbit, tmp_path: Path) -> None:
    """Counters of queues; no queue is made, no message read."""
    process = commands.begin("trace", "start", "--mode", "metrics", "--seconds", "3", "--json")
    while process.poll() is None:
        assert is_clean(rabbit)
        time.sleep(0.1)
    output, said = process.communicate(timeout=60)
    report = summary(output)["report"]
    assert (report["mode"], report["events"]) == ("metrics", 0)
    assert report["queues"]["number"] >= 2
    no_secret_in(tmp_path, output, said)


def test_the_price_without_a_capture(commands: Commands, rabbit: Rabbit) -> None:
    """A dry run changes nothing."""
    output, _ = commands.run("trace", "start", "--mode", "full", "--dry-run", "--json")
    plan = json.loads(output)
    assert plan["feasible"] is True
    assert "firehose" in plan["price"]
    assert is_clean(rabbit)


@pytest.mark.parametrize("name", ["capture.jsonl", "capture.jsonl.gz"])
def test_recording_and_replaying(commands: Commands, rabbit: Rabbit, tmp_path: Path, name: str) -> None:
    """The file has no secret, and its replay the same answers as a live capture."""
    recorded, said = commands.run("trace", "record", name, "--seconds", "3", "--json")
    assert is_clean(rabbit)
    output, _ = commands.run("trace", "replay", name, "--request-id", REQUEST, "--json")
    report = json.loads(output)
    assert report["events"] == json.loads(recorded)["events"] > 50
    assert (report["coverage"], report["unreadable"], report["dropped"]) == (100.0, 0, 0)
    assert set(report["causes"]) == {"server_exception"}
    assert report["request"]["requests"] == report["calls"] + report["casts"]
    people, _ = commands.run("trace", "replay", name)
    assert "server_exception" in people
    import gzip

    data = (tmp_path / name).read_bytes()
    text = gzip.decompress(data) if name.endswith(".gz") else data
    no_secret_in(tmp_path, recorded, said, output, people, text.decode())


@pytest.mark.parametrize("command", ["start --mode full --seconds 60", "record file"])
def test_kill_9_in_the_middle(commands: Commands, rabbit: Rabbit, command: str) -> None:
    """Within 30 s the firehose is off and the queue gone, as rabbitmqctl sees it."""
    process = commands.begin("trace", *command.split())
    awaited(lambda: is_reading(rabbit), "the capture reads")
    process.kill()
    killed = time.monotonic()
    awaited(lambda: is_clean(rabbit), "nothing is left", GONE)
    assert time.monotonic() - killed < GONE
    assert QUEUE not in rabbit.control("list_queues", "name")
    assert "true" not in rabbit.control("list_vhosts", "name", "tracing")


def test_ctrl_c_ends_it_with_what_was_seen(commands: Commands, rabbit: Rabbit) -> None:
    """At once, and clean."""
    process = commands.begin("trace", "start", "--mode", "full", "--seconds", "60", "--json")
    awaited(lambda: is_reading(rabbit), "the capture reads")
    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=60)
    document = json.loads(output)
    assert document["state"] == "cancelled", said
    assert document["summary"]["report"]["calls"] >= 0
    assert is_clean(rabbit)


def test_two_captures_at_once_are_refused(commands: Commands, rabbit: Rabbit, tmp_path: Path) -> None:
    """Whoever comes second is told, whichever store it has, and the first one is not disturbed."""
    process = commands.begin("trace", "start", "--mode", "full", "--seconds", "8", "--json")
    awaited(lambda: is_reading(rabbit), "the capture reads")
    (tmp_path / "other").mkdir()
    other = Commands(rabbit, tmp_path / "other")
    for arguments in (("trace", "start", "--mode", "full"), ("trace", "record", "file"), ("trace", "start")):
        second = other.begin(*arguments)
        output, said = second.communicate(timeout=60)
        assert second.returncode not in (0, None)
        assert "capture" in output + said
        assert "wait until it has ended" in output + said
    output, _ = process.communicate(timeout=60)
    assert summary(output)["report"]["coverage"] == 100.0
    assert not (tmp_path / "other" / "file").exists()


def is_reading(rabbit: Rabbit) -> bool:
    """Whether the firehose is armed."""
    return bool(rabbit.ask("GET", "/vhosts/%2F")["tracing"])


def queues(rabbit: Rabbit) -> set[str]:
    """Their names."""
    return {row["name"] for row in rabbit.ask("GET", "/queues/%2F?columns=name")}


def test_where_it_is_said_where_rabbitmq_is(rabbit: Rabbit) -> None:
    """The environment's password is in no text that a broker shows of itself."""
    assert "guest-of-tests" not in repr(broker_of(rabbit))
