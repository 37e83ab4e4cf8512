"""Real oslo.messaging clients and servers on a real RabbitMQ, which do as a test says."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import oslo_messaging
from oslo_config import cfg

from tests.support.rabbit import Rabbit

PATIENCE = 20.0
"""Seconds that anything may take on a busy machine."""
EXCHANGE = "openstack"
"""oslo.messaging's own default."""

CALLER = """
import logging, sys
import oslo_messaging
from oslo_config import cfg
url, topic, server, method, timeout = sys.argv[1:]
cfg.CONF([], project="caller")
logging.disable()
transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=url)
target = oslo_messaging.Target(topic=topic, server=server)
client = oslo_messaging.get_rpc_client(transport, target, timeout=float(timeout))
client.call({}, method)
"""


class Gate:
    """An endpoint's place to wait: a test sees who came in, and lets them out."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def wait(self) -> None:
        """Stay until the test says so, or the bus is closed; never shorter: the reply would come into another test."""
        self.entered.set()
        self.open.wait()


class Endpoint:
    """The methods that a server offers."""

    def __init__(self, gates: Mapping[str, Gate]) -> None:
        self._gates = gates

    def ping(self, ctxt: Any, **args: Any) -> Any:
        """Answer with what came."""
        return args

    def boom(self, ctxt: Any, text: str = "") -> None:
        """Fail."""
        raise ValueError(text)

    def late(self, ctxt: Any, seconds: float) -> None:
        """Take so long."""
        threading.Event().wait(seconds)

    def hold_stuck(self, ctxt: Any) -> None:
        """Wait at a gate."""
        self._gates["hold_stuck"].wait()

    def hold_gone(self, ctxt: Any) -> None:
        """Wait at another gate."""
        self._gates["hold_gone"].wait()

    def hold_dead(self, ctxt: Any) -> None:
        """Wait at a third gate."""
        self._gates["hold_dead"].wait()

    def tell(self, ctxt: Any, **args: Any) -> None:
        """Take a cast."""


class Bus:
    """Clients and servers of one process on one broker, until `close`."""

    def __init__(self, rabbit: Rabbit) -> None:
        for name in ("oslo", "oslo_messaging", "amqp"):  # they log each fault that a test makes
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self.url = rabbit.url.replace("amqp:", "rabbit:").replace("%2F", "")
        cfg.CONF([], project="drover-tests")  # oslo.messaging registers some options nowhere else
        self.transport = oslo_messaging.get_rpc_transport(cfg.CONF, url=self.url)
        self.gates = {name: Gate() for name in ("hold_stuck", "hold_gone", "hold_dead")}
        self._servers: list[Any] = []
        self._callers: list[subprocess.Popen[bytes]] = []

    def serve(self, topic: str, server: str) -> Any:
        """A server that is ready."""
        target = oslo_messaging.Target(topic=topic, server=server)
        found = oslo_messaging.get_rpc_server(self.transport, target, [Endpoint(self.gates)], executor="threading")
        found.start()
        self._servers.append(found)
        return found

    def client(self, topic: str, server: str | None = None, timeout: float = 30.0, **more: Any) -> Any:
        """A client of a topic, or of one server of it; `fanout=True` for all of them."""
        monitor = more.pop("call_monitor_timeout", None)
        target = oslo_messaging.Target(topic=topic, server=server, **more)
        return oslo_messaging.get_rpc_client(
            self.transport, target, timeout=timeout, call_monitor_timeout=monitor
        )  # fmt: skip

    def call_from_elsewhere(self, topic: str, server: str, method: str, timeout: float) -> subprocess.Popen[bytes]:
        """A caller in a process of its own, which a test can kill."""
        command = [sys.executable, "-c", CALLER, self.url, topic, server, method, str(timeout)]
        found = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._callers.append(found)
        return found

    def stop(self, server: Any) -> None:
        """The server ends; its queue stays, as oslo.messaging leaves it."""
        self._servers.remove(server)
        server.stop()
        server.wait()

    def close(self) -> None:
        """End everything."""
        for gate in self.gates.values():
            gate.open.set()
        for caller in self._callers:
            caller.kill()
            caller.wait()
        for server in list(self._servers):
            self.stop(server)
        self.transport.cleanup()


@contextmanager
def bus_on(rabbit: Rabbit) -> Iterator[Bus]:
    """A bus, and its end."""
    bus = Bus(rabbit)
    try:
        yield bus
    finally:
        bus.close()
