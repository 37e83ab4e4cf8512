"""A RabbitMQ of the tests' own, on loopback: the lab's, without the rest of the lab."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import config, install, layout, processes, services
from lab.layout import Lab, Options

PATIENCE = 120.0
"""Seconds that it may take until it answers."""


MEMORY = "4GB"
"""Watermark: the lab's is so low that a queue of some 50,000 messages goes to disk, and that no capture may begin."""


class RabbitMissing(Exception):
    """RabbitMQ is not installed; the message says how to."""


class Rabbit:
    """A broker that runs until `close`. Those that differ from the lab's say how in `_settings` and `_environment`.

    Args:
        wait: whether to return only when it answers; else `wait` is to be called.
    """

    scheme = "http"
    """Of the management API."""
    processes: tuple[str, ...] = ("epmd", "rabbitmq")
    """What is started."""

    def __init__(self, *, wait: bool = True) -> None:
        if not Path(install.rabbitmq_server()).exists():
            raise RabbitMissing(
                "RabbitMQ is missing: script/setup test installs it, or apt-get install rabbitmq-server"
            )
        self.directory = Path(tempfile.mkdtemp(prefix="drover-rabbit-"))
        self.lab = Lab(self.directory, _free_base(), Options(), {"rabbitmq": "guest-of-tests"})
        self.lab.etc.mkdir(parents=True)
        for name, text in config.rabbitmq.files(self.lab).items():
            (self.lab.etc / name).write_text(text)
        settings = self._settings(_parsed((self.lab.etc / "rabbitmq.conf").read_text()))
        (self.lab.etc / "rabbitmq.conf").write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
        self.start()
        if wait:
            self.wait()

    def _settings(self, settings: dict[str, str]) -> dict[str, str]:
        """Of rabbitmq.conf, given those of the lab."""
        return settings | {"vm_memory_high_watermark.absolute": MEMORY}

    def _environment(self) -> dict[str, str]:
        """Of the server and rabbitmqctl."""
        return config.rabbitmq.environment(self.lab)

    def start(self) -> None:
        """Start it, and whatever of its processes does not run."""
        running = {record.name for record in processes.records(self.lab.run) if record.alive}
        for service in services.infrastructure(self.lab):
            if service.name in self.processes and service.name not in running:
                environment = self._environment() if service.name == "rabbitmq" else service.environment
                changed = replace(service, environment=environment)
                processes.start(changed, self.lab.run, self.lab.log, self.lab.directory)

    def stop(self, grace: float = 20.0) -> None:
        """End the server; what it has on disk stays."""
        record = processes.record_of(self.lab.run, "rabbitmq")
        processes.stop([record] if record else [], self.lab.run, grace)

    @property
    def node(self) -> str:
        """Its Erlang name."""
        return self._environment()["RABBITMQ_NODENAME"]

    @property
    def url(self) -> str:
        """For pika, vhost /."""
        return f"amqp://lab:guest-of-tests@127.0.0.1:{self.lab.port('rabbitmq')}/%2F"

    @property
    def management(self) -> str:
        """Of the management API."""
        return f"http://lab:guest-of-tests@127.0.0.1:{self.lab.port('rabbitmq-management')}"

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """Ask the management API."""
        url = f"{self.scheme}://127.0.0.1:{self.lab.port('rabbitmq-management')}/api{path}"
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
        request.add_header("Authorization", "Basic " + base64.b64encode(b"lab:guest-of-tests").decode())
        with urllib.request.urlopen(request, timeout=10, context=self._tls()) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _tls(self) -> ssl.SSLContext | None:
        """How to speak with the management API if that speaks TLS."""
        return None

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl."""
        program = Path(install.rabbitmq_server()).with_name("rabbitmqctl")
        environment = os.environ | self._environment()
        done = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def wait(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.ask("GET", "/overview")
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise RabbitMissing(f"RabbitMQ does not answer: {error}; see {self.lab.log}") from error
                time.sleep(0.2)

    def close(self) -> None:
        """Stop it and remove its files."""
        import shutil

        processes.stop(processes.records(self.lab.run), self.lab.run, grace=0.0)
        shutil.rmtree(self.directory, ignore_errors=True)


def _parsed(text: str) -> dict[str, str]:
    """The settings of a rabbitmq.conf."""
    pairs = (line.partition(" = ") for line in text.splitlines() if line)
    return {name: value for name, _, value in pairs}


_GIVEN: set[int] = set()
"""Blocks of ports of this process's brokers, which may not listen yet."""


def _free_base() -> int:
    """A block of ports that nobody listens on."""
    for base in range(30_000, 60_000, 100):
        if base not in _GIVEN and all(_is_free(base + number) for number in layout.PORTS.values()):
            _GIVEN.add(base)
            return base
    raise RabbitMissing("no block of free ports on loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
