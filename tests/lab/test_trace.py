"""The RPC traffic of a real Nova and Neutron, traced, beside an independent reader of the same firehose."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pika
import pytest

from lab.cloud import IMAGE, NETWORK
from shared.rabbit import EXCHANGE, QUEUE, Broker, Management, find_broker
from tests.support.openstack import MICROVERSION

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120
"""Of the capture; it is ended as soon as all is done."""
LIFE = ["schedule_and_build_instances", "live_migrate_instance", "terminate_instance"]
"""What Nova's API asks for, in this order, to boot a server, to migrate it live, and to delete it."""


class Reader(threading.Thread):
    """Counts what the firehose shows of one request, with nothing of Drover's: plain pika, plain JSON."""

    def __init__(self, broker: Broker, request_id: str) -> None:
        super().__init__(daemon=True)
        self._request_id = request_id
        self._connection = pika.BlockingConnection(broker.parameters())
        channel = self._connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, EXCHANGE, "publish.#")
        self._messages = channel.consume(queue, auto_ack=True, inactivity_timeout=0.2)
        self._ended = threading.Event()
        self.counts: Counter[str] = Counter()
        self.methods: Counter[str] = Counter()
        self.calls: set[str] = set()

    def run(self) -> None:
        """Read until `stop`."""
        for method, _properties, body in self._messages:
            if method is not None:
                self._count(json.loads(json.loads(body).get("oslo.message", "{}")))
            elif self._ended.is_set():
                break
        self._connection.close()

    def _count(self, message: dict[str, Any]) -> None:
        ids = (message.get("_context_request_id"), message.get("_context_global_request_id"))
        if "method" in message and self._request_id in ids:
            self.counts["requests"] += 1
            self.counts["calls"] += "_msg_id" in message
            self.methods[message["method"]] += 1
            self.calls.add(message.get("_msg_id", ""))
        elif message.get("ending") and message.get("_msg_id") in self.calls:
            self.counts["replies"] += 1

    def stop(self) -> None:
        """End when nothing comes any more."""
        self._ended.set()
        self.join()


def test_tree_has_what_an_independent_reader_saw(lab: LabUnderTest, clouds_yaml: Path, tmp_path: Path) -> None:
    """A boot, a live migration and a deletion under one id: the same counts, every call paired, all of it seen."""
    broker = find_broker("lab")
    request_id = f"req-{uuid.uuid4()}"
    reader = Reader(broker, request_id)
    command = [sys.executable, "-m", "cli.main", "trace", "start", "--cloud", "lab", "--mode", "full", "--seconds",
               str(SECONDS), "--request-id", request_id, "--json"]  # fmt: skip
    environment = os.environ | {"XDG_STATE_HOME": str(tmp_path)}
    capture = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    lab.wait("captured", lambda: _consumed(broker))
    reader.start()
    live_a_life(lab, {"X-OpenStack-Request-ID": request_id})
    capture.send_signal(signal.SIGINT)
    printed, _ = capture.communicate(timeout=60)
    reader.stop()
    summary = json.loads(printed)["summary"]
    request, report = summary["request"], summary["report"]
    assert {name: request[name] for name in ("requests", "calls", "replies")} == dict(reader.counts)
    assert request["requests"] > 70
    assert request["calls"] == request["replies"]
    assert report["coverage"] == 100.0
    assert {verdict["verdict"] for verdict in report["verdicts"]} <= {"server_exception"}
    assert Counter(_methods(request["tree"])) == reader.methods
    casts = [top["method"] for top in request["tree"] if top["kind"] == "cast"]
    assert [method for method in casts if method in LIFE] == LIFE


def test_nothing_is_left_behind(lab: LabUnderTest, clouds_yaml: Path, tmp_path: Path) -> None:
    """After a recording the firehose is off and the queue gone, and the file holds no token of the cloud's."""
    broker, file = find_broker("lab"), tmp_path / "capture.jsonl"
    command = [sys.executable, "-m", "cli.main", "trace", "record", str(file), "--cloud", "lab", "--seconds", "5"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    management = Management(broker)
    assert list(management.tracing().values()) == [False]
    assert management.queue(QUEUE) is None
    assert "auth_token" not in file.read_text()


def _consumed(broker: Broker) -> bool:
    """Whether the capture reads: RabbitMQ tells it some seconds late."""
    queue = Management(broker).queue(QUEUE)
    return queue is not None and all(Management(broker).tracing().values())


def live_a_life(lab: LabUnderTest, headers: dict[str, str]) -> None:
    """Boot a server, migrate it live, and delete it, each request with these headers."""
    compute = lab.conn.compute
    answer = compute.post("/servers", json={"server": _wish(lab)}, microversion=MICROVERSION, headers=headers)
    assert answer.status_code == 202, answer.text
    server = str(answer.json()["server"]["id"])
    lab.wait_for_server(server, "ACTIVE")
    move = {"os-migrateLive": {"host": "cmp02", "block_migration": "auto"}}
    answer = compute.post(f"/servers/{server}/action", json=move, microversion=MICROVERSION, headers=headers)
    assert answer.status_code == 202, answer.text
    lab.wait_for_migration(server, "completed")
    lab.wait_for_server(server, "ACTIVE")
    assert compute.delete(f"/servers/{server}", headers=headers).status_code == 204
    lab.wait("deleted", lambda: server not in lab.servers())


def _wish(lab: LabUnderTest) -> dict[str, Any]:
    """A small server on cmp01."""
    flavor = lab.conn.compute.find_flavor("small", ignore_missing=False)
    image = lab.conn.image.find_image(IMAGE, ignore_missing=False)
    network = lab.conn.network.find_network(NETWORK, ignore_missing=False)
    place = {"networks": [{"uuid": network.id}], "host": "cmp01"}
    return {"name": "traced", "flavorRef": flavor.id, "imageRef": image.id, **place}


def _methods(nodes: list[dict[str, Any]]) -> Iterator[str]:
    """The method of every node of a tree."""
    for node in nodes:
        yield node["method"]
        yield from _methods(node["children"])
