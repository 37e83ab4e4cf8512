"""Which connections belong to one process, as far as the traffic shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from functions.rpc_trace.call import Call
from functions.rpc_trace.message import name_of

MOST = 20_000
"""Connections and reply queues that are told apart."""


class Processes:
    """Connections joined into processes.

    A process has one reply queue and publishes and consumes on several connections. Whoever publishes a call takes its
    reply from its own reply queue; whoever a request is delivered to publishes the reply.
    """

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}
        self._joined: set[tuple[str, str]] = set()
        self._labels: dict[str, str] = {}

    def see(self, call: Call) -> None:
        """Learn from a call."""
        if call.reply_q:
            self._join(call.publisher, call.reply_q)
            self._join(call.client, call.reply_q)
        self._join(call.consumer, call.server)
        self.serves(call.consumer, call.queue)

    def serves(self, connection: str, queue: str) -> None:
        """Learn from a request that was delivered: `T.SERVER` and `T-alt.SERVER` are one process (Nova 2025.2)."""
        topic, dot, server = queue.partition(".")
        if dot:
            self._join(connection, f"{topic.removesuffix('-alt')}.{server}")

    def name(self, connections: Mapping[str, str]) -> None:
        """Learn what connections call themselves, which says it for certain: `nova-conductor:PID:uuid`.

        Args:
            connections: by the connection's name in the firehose, `HOST:PORT -> HOST:PORT`.
        """
        for connection, text in connections.items():
            program = name_of(text.rpartition(":")[0])
            if program:
                self._labels[connection] = program
                self._join(connection, f"{program} at {connection.rpartition(' -> ')[0].rpartition(':')[0]}")

    def label(self, connection: str) -> str | None:
        """Program and process id of a connection, if it says so."""
        return self._labels.get(connection)

    def of(self, connection: str) -> str:
        """The process that a connection belongs to: the same text for all of its connections."""
        root = connection
        while (above := self._parent.get(root, root)) != root:
            root = above
        return root

    def joined(self) -> list[tuple[str, str]]:
        """What belongs together, pair by pair: for `rejoin`."""
        return sorted(self._joined)

    def rejoin(self, pairs: Iterable[Sequence[str]]) -> None:
        """Learn what another process knew."""
        for one, other in pairs:
            self._join(one, other)

    def _join(self, one: str, other: str) -> None:
        if not one or not other or (one, other) in self._joined or len(self._joined) >= MOST:
            return
        self._joined.add((one, other))
        first, second = sorted((self.of(one), self.of(other)))
        self._parent[second] = first
