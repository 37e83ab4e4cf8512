"""Two nodes of one RabbitMQ on loopback."""

from __future__ import annotations

import shutil

from tests.support.rabbit import Rabbit

COOKIE = ".erlang.cookie"


class Second(Rabbit):
    """A node that joins another one when it first starts."""

    processes = ("rabbitmq",)

    def __init__(self, first: Rabbit) -> None:
        self._first = first
        super().__init__()

    def start(self) -> None:
        """Start it with the first one's secret, without which they would not speak with each other."""
        home = self.lab.data / "rabbitmq"
        if not home.exists():
            home.mkdir(parents=True)
            shutil.copy(self._first.lab.data / "rabbitmq" / COOKIE, home / COOKIE)
        super().start()

    def _settings(self, settings: dict[str, str]) -> dict[str, str]:
        discovery = "cluster_formation.classic_config.nodes"
        nodes = {f"{discovery}.{number}": name for number, name in enumerate((self._first.node, self.node), 1)}
        return super()._settings(settings) | {"cluster_formation.peer_discovery_backend": "classic_config"} | nodes

    def _environment(self) -> dict[str, str]:
        return super()._environment() | {"ERL_EPMD_PORT": str(self._first.lab.port("epmd"))}


class Cluster:
    """Two nodes, until `close`.

    Attributes:
        nodes: the first one and the second.
    """

    def __init__(self) -> None:
        first = Rabbit()
        try:
            self.nodes = (first, Second(first))
        except BaseException:
            first.close()
            raise

    def environment(self, first: int = 0) -> dict[str, str]:
        """Where the cluster is, as the environment says it.

        Args:
            first: the node that is named first.
        """
        ports = [node.lab.port("rabbitmq") for node in self.nodes]
        addresses = [f"http://127.0.0.1:{node.lab.port('rabbitmq-management')}" for node in self.nodes]
        if first:
            ports.reverse()
            addresses.reverse()
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return {
            "DROVER_RABBIT_URL": f"amqp://lab:guest-of-tests@{hosts}/%2F",
            "DROVER_RABBIT_MANAGEMENT": ",".join(addresses),
        }

    def armed(self) -> list[bool]:
        """Whether the firehose is armed on each node, as it says itself."""
        return [bool(node.ask("GET", "/vhosts/%2F")["tracing"]) for node in self.nodes]

    def close(self) -> None:
        """Stop both, and remove their files."""
        for node in reversed(self.nodes):
            node.close()
