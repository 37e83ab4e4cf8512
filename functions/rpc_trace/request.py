"""The RPCs beneath one user request: what was called by whom, across services, as a tree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from functions.rpc_trace.at_work import AtWork
from functions.rpc_trace.call import Call, Cast, server_of
from functions.rpc_trace.message import argument_sizes
from functions.rpc_trace.processes import Processes
from functions.rpc_trace.sighting import Sighting
from functions.rpc_trace.verdict import Verdict

MOST_NODES = 20_000
"""Calls and casts of one request that are kept."""
MOST_DEPTH = 40
"""Levels of the tree; what would be deeper stands beside its parent. A chain of casts may be as long as a capture."""


@dataclass(slots=True)
class Node:
    """One RPC of the tree."""

    rpc: Call | Cast
    verdict: Verdict | None = None
    children: list[Node] = field(default_factory=list)

    @property
    def begin(self) -> float:
        """When it was published, or seen first."""
        return self.rpc.seen if self.rpc.published is None else self.rpc.published

    @property
    def end(self) -> float:
        """When the last of it was seen: the reply's delivery, or the cast's."""
        rpc = self.rpc
        times = (rpc.answered, rpc.replied, rpc.delivered) if isinstance(rpc, Call) else (rpc.last,)
        return next((time for time in times if time is not None), self.begin)

    @property
    def kind(self) -> str:
        """call, cast or fanout."""
        return "call" if isinstance(self.rpc, Call) else "fanout" if self.rpc.fanout else "cast"

    @property
    def server(self) -> str:
        """The queue that it was delivered from, else the server it was sent to, else the topic."""
        rpc = self.rpc
        return rpc.topic if self.kind == "fanout" else rpc.queue or server_of(rpc.exchange, rpc.key) or rpc.topic

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Node]]:
        """This node and all beneath, with their depth, in the order of time."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


class RequestTrace:
    """Collects what belongs to one request id: its own or the global one.

    Attributes:
        own: publishings of requests that carry it as their own id.
        by_global: those that carry it as the global id only: other services that worked for it.
        dropped: RPCs that were not kept, for want of room.
    """

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.own = 0
        self.by_global = 0
        self.replies = 0
        self.dropped = 0
        self.processes = Processes()
        self._nodes: list[Node] = []

    def see(self, seen: Sighting, rpc: Call | Cast) -> None:
        """Look at one event and what it belongs to."""
        message = seen.message
        if not self._is_mine(rpc):
            return
        if message.method is not None and seen.published:
            self.own += message.request_id == self.request_id
            self.by_global += message.request_id != self.request_id
            if rpc.arguments is None:
                rpc.arguments = argument_sizes(seen.body)

    def call(self, call: Call, verdict: Verdict | None) -> None:
        """A call is over."""
        self.processes.see(call)
        if self._is_mine(call):
            self.replies += call.replies
        self._keep(call, verdict)

    def cast(self, cast: Cast) -> None:
        """A cast is over."""
        if cast.queue and not cast.fanout:
            self.processes.serves(cast.consumers[0], cast.queue)
        self._keep(cast, None)

    def restore(self, nodes: list[Node]) -> None:
        """Go on with what another process has collected."""
        self._nodes = nodes

    def _keep(self, rpc: Call | Cast, verdict: Verdict | None) -> None:
        if not self._is_mine(rpc):
            return
        if len(self._nodes) < MOST_NODES:
            self._nodes.append(Node(rpc, verdict))
        else:
            self.dropped += 1

    def _is_mine(self, rpc: Call | Cast) -> bool:
        return rpc.method is not None and self.request_id in (rpc.request_id, rpc.global_request_id)

    @property
    def nodes(self) -> list[Node]:
        """All RPCs, in the order in which they began, without children."""
        return sorted(self._nodes, key=lambda node: node.begin)

    def tree(self) -> list[Node]:
        """The RPCs with their children: those at the top were sent by whoever took the user's request.

        The parent of an RPC is the one that its sender was at work on: the last that was delivered to the same process
        and had not been answered.
        """
        nodes = self.nodes
        roots: list[Node] = []
        delivered: defaultdict[str, list[Node]] = defaultdict(list)
        for node in nodes:
            node.children = []
            for connection in _consumers(node.rpc):
                delivered[self.processes.of(connection)].append(node)
        serving = {process: AtWork(served) for process, served in delivered.items()}
        # A sender that is not known to serve anything is taken for the server of the call that was open at the time.
        anybody = AtWork(node for node in nodes if isinstance(node.rpc, Call) and node.rpc.replied is not None)
        above: dict[int, Node | None] = {}
        depth: dict[int, int] = {}
        for node in nodes:
            parent = serving.get(self.processes.of(node.rpc.publisher), anybody).last(node.begin)
            if parent is not None and depth[id(parent)] >= MOST_DEPTH:
                parent = above[id(parent)]
            above[id(node)], depth[id(node)] = parent, 0 if parent is None else depth[id(parent)] + 1
            (roots if parent is None else parent.children).append(node)
        return roots


def _consumers(rpc: Call | Cast) -> tuple[str, ...]:
    return (rpc.consumer,) if isinstance(rpc, Call) else rpc.consumers
