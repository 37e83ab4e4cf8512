"""Captures from a RabbitMQ that speaks TLS only: everything is seen, and whom we can't verify is told nothing."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from functions.rpc_trace.analysis import Analysis
from functions.rpc_trace.capture import Capture, connect
from functions.rpc_trace.consumer import QueueReader
from functions.rpc_trace.report import report
from functions.rpc_trace.sighting import Headers, sighting
from shared.errors import DroverError, Permanent, Rejected, Retry
from shared.rabbit import QUEUE, Broker, Management, find_broker
from tests.support.captures import PATIENCE, ROOT, awaited
from tests.support.messaging import Bus, bus_on
from tests.support.rabbit import RabbitMissing
from tests.support.rabbit_tls import Authority, TlsRabbit

pytestmark = pytest.mark.timeout(120)

PASSWORD = "guest-of-tests"
Entry = dict[str, Any]


@pytest.fixture(scope="module")
def brokers() -> Iterator[dict[str, TlsRabbit]]:
    """One that takes any client, and one that demands a certificate; both start at once."""
    found: dict[str, TlsRabbit] = {}
    try:
        for name, demanding in (("open", False), ("demanding", True)):
            found[name] = TlsRabbit(demanding=demanding, wait=False)
        for rabbit in found.values():
            rabbit.wait()
        yield found
    except RabbitMissing as error:
        pytest.fail(str(error), pytrace=False)
    finally:
        for rabbit in found.values():
            rabbit.close()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


def entry(rabbit: TlsRabbit, **more: Any) -> Entry:
    """What brokers.yaml says of it; the client's certificate is shown where it is demanded."""
    found: Entry = {"url": rabbit.url, "management": [rabbit.management], "ca_file": str(rabbit.authority.file)}
    if rabbit.demanding:
        found |= {"cert_file": str(rabbit.client.certificate), "key_file": str(rabbit.client.key)}
    return {key: value for key, value in (found | more).items() if value is not None}


def broker_of(directory: Path, found: Entry) -> Broker:
    """As a function finds it, in a file."""
    return find_broker("tests", {"DROVER_BROKERS_FILE": str(written(directory, found))})


def written(directory: Path, found: Entry) -> Path:
    path = directory / "brokers.yaml"
    path.write_text(yaml.safe_dump({"brokers": {"tests": found}}))
    return path


def is_clean(rabbit: TlsRabbit) -> bool:
    """No queue, no mark, and the firehose off."""
    queues = {row["name"] for row in rabbit.ask("GET", "/queues/%2F?columns=name")}
    marks = [row for row in rabbit.ask("GET", "/global-parameters") if "drover" in row["name"]]
    return QUEUE not in queues and not marks and not rabbit.ask("GET", "/vhosts/%2F")["tracing"]


@contextmanager
def bus_over(rabbit: TlsRabbit) -> Iterator[Bus]:
    """oslo.messaging's own clients and servers, over TLS as well."""
    settings = {"ssl": "true", "ssl_ca_file": str(rabbit.authority.file)}
    if rabbit.demanding:
        settings |= {"ssl_cert_file": str(rabbit.client.certificate), "ssl_key_file": str(rabbit.client.key)}
    query = "&".join(f"{name}={quote(value)}" for name, value in settings.items())
    with bus_on(SimpleNamespace(url=f"{rabbit.url.replace('amqps:', 'amqp:')}?{query}")) as bus:
        yield bus


@pytest.mark.parametrize("name", ["open", "demanding"])
def test_a_full_capture_sees_everything(brokers: dict[str, TlsRabbit], tmp_path: Path, name: str) -> None:
    """Four events a call, of bodies larger than a record of TLS too."""
    rabbit, analysis = brokers[name], Analysis()

    def take(at: float, key: str, headers: Headers, body: bytes) -> None:
        analysis.take(sighting(at, key, headers, body))

    with bus_over(rabbit) as bus:
        bus.serve("compute", "cmp01")
        client = bus.client("compute", "cmp01")
        client.call({}, "ping")
        capture = Capture(broker_of(tmp_path, entry(rabbit)), "test")
        capture.open()
        for number in range(50):
            client.call({}, "ping", number=number, text="x" * 2_000 * number)
        awaited(lambda: not capture.read(take, 0.3) and analysis.statistics.events >= 200, "all was seen")
        ended = capture.close(take, analysis.statistics.events)
    analysis.end(ended.until, ended.dropped)
    found = report(analysis)
    assert (found["events"], found["calls"], found["replies"], found["coverage"]) == (200, 50, 50, 100.0)
    assert is_clean(rabbit)


def test_from_the_command_line(brokers: dict[str, TlsRabbit], tmp_path: Path) -> None:
    """`drover trace start` with the environment's variables, against the broker that demands a certificate."""
    rabbit = brokers["demanding"]
    known = entry(rabbit)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DROVER_", "OS_"))} | {
        "DROVER_RABBIT_URL": known["url"], "DROVER_RABBIT_MANAGEMENT": rabbit.management,
        "DROVER_RABBIT_CA_FILE": known["ca_file"], "DROVER_RABBIT_CERT_FILE": known["cert_file"],
        "DROVER_RABBIT_KEY_FILE": known["key_file"], "OS_CLOUD": "tests", "PYTHONPATH": str(ROOT),
        **{f"XDG_{place}_HOME": str(tmp_path / place) for place in ("STATE", "CACHE", "CONFIG")},
    }  # fmt: skip
    command = [sys.executable, "-m", "cli.main", "trace", "start", "--mode", "full", "--seconds", "3", "--json"]
    with bus_over(rabbit) as bus:
        bus.serve("compute", "cmp01")
        client = bus.client("compute", "cmp01")
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        awaited(lambda: rabbit.ask("GET", "/vhosts/%2F")["tracing"], "the capture is armed", PATIENCE * 2)
        for number in range(20):
            client.call({}, "ping", number=number)
        output, said = process.communicate(timeout=PATIENCE * 2)
    assert process.returncode == 0, said
    found = json.loads(output)["summary"]["report"]
    assert found["coverage"] == 100.0
    assert found["calls"] > 0
    assert PASSWORD not in output + said
    assert awaited(lambda: is_clean(rabbit), "nothing is left")


Change = Callable[[TlsRabbit, Authority], Entry]

CASES: dict[str, tuple[str, Change, type[DroverError], str]] = {
    "another authority": (
        "open", lambda rabbit, stranger: {"ca_file": str(stranger.file)}, Permanent,
        "can't be verified .*: name the authority",
    ),
    "the system's authorities": (
        "open", lambda rabbit, stranger: {"ca_file": None}, Permanent,
        "can't be verified .*: name the authority",
    ),
    "another host": (
        "open", lambda rabbit, stranger: elsewhere(rabbit), Permanent, r"is for another host \(.*127\.0\.0\.1",
    ),
    "no client's certificate": (
        "demanding", lambda rabbit, stranger: {"cert_file": None, "key_file": None}, DroverError,
        "demand.* a client's certificate.*cert_file and key_file",
    ),
    "an unknown client's certificate": (
        "demanding", lambda rabbit, stranger: shown(stranger), Permanent, "does not know who signed the client's",
    ),
    "no TLS": (
        "open", lambda rabbit, stranger: {"ca_file": None} | plain(rabbit), Retry, "if it speaks TLS at this port",
    ),
    "no such authority": (
        "open", lambda rabbit, stranger: {"ca_file": "/nowhere.pem"}, Rejected,
        "found /nowhere.pem, .* expected PEM files",
    ),
    "a key with a password": (
        "demanding", lambda rabbit, stranger: shown(stranger, b"locked"), Rejected,
        "which can't be used .* no password",
    ),
}  # fmt: skip


def elsewhere(rabbit: TlsRabbit) -> Entry:
    """By its address, for which its certificate is not."""
    address = rabbit.management.replace("localhost", "127.0.0.1")
    return {"url": rabbit.url.replace("localhost", "127.0.0.1"), "management": [address]}


def plain(rabbit: TlsRabbit) -> Entry:
    """Without TLS."""
    return {"url": rabbit.url.replace("amqps:", "amqp:"), "management": [rabbit.management.replace("https:", "http:")]}


def shown(authority: Authority, password: bytes | None = None) -> Entry:
    """A client's certificate of another authority."""
    found = authority.issue("intruder", password=password)
    return {"cert_file": str(found.certificate), "key_file": str(found.key)}


@pytest.mark.parametrize("case", CASES)
def test_who_can_t_be_verified(brokers: dict[str, TlsRabbit], stranger: Authority, tmp_path: Path, case: str) -> None:
    """Over the management API and over AMQP alike it is said what to do, without the password; nothing is changed."""
    name, change, kind, words = CASES[case]
    rabbit = brokers[name]
    bad = entry(rabbit, **change(rabbit, stranger))

    def over_amqp() -> None:
        connect(broker_of(tmp_path, bad).parameters())

    def reading() -> None:
        QueueReader(broker_of(tmp_path, bad).parameters(), QUEUE, lambda *message: None).run(1.0)

    def over_https() -> None:
        Capture(broker_of(tmp_path, bad), "test").open()

    for attempt in (over_https, over_amqp, reading):
        with pytest.raises(kind, match=words) as refused:
            attempt()
        assert PASSWORD not in str(refused.value)
    assert is_clean(rabbit)


def test_a_node_that_can_t_be_verified_over_amqp_alone(brokers: dict[str, TlsRabbit], tmp_path: Path) -> None:
    """The firehose is not armed for a capture that could not be read."""
    rabbit = brokers["open"]
    bad = entry(rabbit, url=rabbit.url.replace("localhost", "127.0.0.1"))
    with pytest.raises(Permanent, match="is for another host"):
        Capture(broker_of(tmp_path, bad), "test").open()
    assert is_clean(rabbit)


class Relay:
    """Hands bytes on to a port of this machine, and keeps what clients have sent, until `close`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            number = len(self.sent)
            self.sent.append(b"")
            threading.Thread(target=self._pump, args=(client, server, number), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, number: int | None) -> None:
        try:
            while data := source.recv(65536):
                if number is not None:
                    self.sent[number] += data
                target.sendall(data)
        except OSError:
            pass
        finally:
            target.close()

    def close(self) -> None:
        self._listener.close()


def test_nothing_is_tried_without_tls(brokers: dict[str, TlsRabbit], tmp_path: Path) -> None:
    """On the wire there is never more than the begin of TLS: no second try, no password."""
    rabbit = brokers["open"]
    relays = [Relay(rabbit.lab.port("rabbitmq")), Relay(rabbit.lab.port("rabbitmq-management"))]
    url = f"amqps://lab:{PASSWORD}@127.0.0.1:{relays[0].port}/%2F"
    broker = broker_of(tmp_path, entry(rabbit, url=url, management=[f"https://127.0.0.1:{relays[1].port}"]))
    with pytest.raises(Permanent):
        connect(broker.parameters())
    with pytest.raises(Permanent):
        Management(broker).nodes()
    for relay in relays:
        relay.close()
        assert len(relay.sent) == 1
        assert relay.sent[0].startswith(b"\x16\x03")  # a record of TLS' handshake
        for secret in (PASSWORD.encode(), base64.b64encode(f"lab:{PASSWORD}".encode()), b"AMQP", b"HTTP/1.1"):
            assert secret not in relay.sent[0]


class Redirecting:
    """Speaks TLS as the broker would, and sends whoever asks to another address, until `close`."""

    def __init__(self, rabbit: TlsRabbit, target: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(rabbit.identity.certificate, rabbit.identity.key)
        self._listener = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self._listener.getsockname()[1]
        self._answer = f"HTTP/1.1 302 Found\r\nLocation: http://localhost:{target}/api\r\nContent-Length: 0\r\n\r\n"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        try:
            client, _ = self._listener.accept()
            client.recv(65536)
            client.sendall(self._answer.encode())
        except OSError:
            return

    def close(self) -> None:
        self._listener.close()


def test_no_redirection_is_followed(brokers: dict[str, TlsRabbit], tmp_path: Path) -> None:
    """It might lead to plain text."""
    rabbit = brokers["open"]
    relay = Relay(rabbit.lab.port("rabbitmq-management"))
    redirecting = Redirecting(rabbit, relay.port)
    broker = broker_of(tmp_path, entry(rabbit, management=[f"https://localhost:{redirecting.port}"]))
    with pytest.raises(Retry, match="302 Found"):
        Management(broker).nodes()
    assert relay.sent == []
    redirecting.close()
    relay.close()
