"""A RabbitMQ of the tests' own, on loopback: the lab's, without the rest of the lab."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from lab import config, install, layout, processes, services
from lab.layout import Lab, Options

PATIENCE = 120.0
"""Seconds that it may take until it answers."""


MEMORY = "4GB"
"""Watermark for captures: what tests leave in it must not come near."""


class RabbitMissing(Exception):
    """RabbitMQ is not installed; the message says how to."""


class Rabbit:
    """A broker that runs until `close`."""

    def __init__(self) -> None:
        if not Path(install.rabbitmq_server()).exists():
            raise RabbitMissing(
                "RabbitMQ is missing: script/setup test installs it, or apt-get install rabbitmq-server"
            )
        self.directory = Path(tempfile.mkdtemp(prefix="drover-rabbit-"))
        self.lab = Lab(self.directory, _free_base(), Options(), {"rabbitmq": "guest-of-tests"})
        self.lab.etc.mkdir(parents=True)
        for name, text in config.rabbitmq.files(self.lab).items():
            (self.lab.etc / name).write_text(text)
        for service in services.infrastructure(self.lab)[2:]:
            processes.start(service, self.lab.run, self.lab.log, self.lab.directory)
        self._wait()

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
        url = f"http://127.0.0.1:{self.lab.port('rabbitmq-management')}/api{path}"
        data = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(url, data=data, method=method, headers={"content-type": "application/json"})
        request.add_header("Authorization", "Basic " + base64.b64encode(b"lab:guest-of-tests").decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def control(self, *arguments: str) -> str:
        """Run rabbitmqctl."""
        program = Path(install.rabbitmq_server()).with_name("rabbitmqctl")
        environment = os.environ | config.rabbitmq.environment(self.lab)
        done = subprocess.run(
            [program, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    def _wait(self) -> None:
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

        processes.stop(processes.records(self.lab.run), self.lab.run, grace=5.0)
        shutil.rmtree(self.directory, ignore_errors=True)


def _free_base() -> int:
    """A block of ports that nobody listens on."""
    for base in range(30_000, 60_000, 100):
        if all(_is_free(base + number) for number in layout.PORTS.values()):
            return base
    raise RabbitMissing("no block of free ports on loopback")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
