"""The firehose of a cluster's nodes, each of which has a state of its own, behind the management API's own protocol."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from shared.errors import Permanent, Retry
from shared.rabbit import Broker, Firehose, Management, disarm_abandoned, find_broker
from shared.rabbit.mark import Mark, mark_name, read_mark, write_mark

MARK = "/global-parameters/drover-firehose:/"


class Nodes(BaseAdapter):
    """Nodes a and b of one cluster, which answer as RabbitMQ 3.10 does.

    Attributes:
        armed: by node; RabbitMQ shows each node its own state only.
        down: nodes that do not answer; the cluster knows that they do not run.
        silent: nodes that run and do not answer.
        asked: nodes that were asked, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.armed = {"a": False, "b": False}
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.parameters: dict[str, Any] = {}
        self.has_queue = True
        self.asked: list[str] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        """One answer."""
        assert request.url is not None
        node, path = request.url.removeprefix("http://").split(":15672/api")
        self.asked.append(node)
        if node in self.down | self.silent:
            raise requests.ConnectionError("refused")
        body = json.loads(request.body) if request.body else None
        found = self._answer(node, str(request.method), unquote(path.partition("?")[0]), body)
        answer = requests.Response()
        answer.status_code = 404 if found is None else 200
        answer._content = json.dumps(found).encode()
        answer.url = request.url
        return answer

    def close(self) -> None:
        """There is nothing to close."""

    def _answer(self, node: str, method: str, path: str, body: Any) -> Any:
        match method, path:
            case "GET", "/overview":
                return {"node": node}
            case "GET", "/nodes":
                return [{"name": one, "running": one not in self.down} for one in self.armed]
            case "GET", "/vhosts//":
                return {"name": "/", "tracing": self.armed[node]}
            case "PUT", "/vhosts//":
                self.armed[node] = body["tracing"]
                return {}
            case "GET", "/queues///drover.trace":
                return {"name": "drover.trace"} if self.has_queue else None
            case "DELETE", "/queues///drover.trace":
                self.has_queue = False
                return {}
            case "GET", "/queues///drover.trace/bindings":
                return []
            case "GET", _ if path in self.parameters:
                return {"value": self.parameters[path]}
            case "PUT", _ if path.startswith("/global-parameters"):
                self.parameters[path] = body["value"]
                return {}
            case "DELETE", _:
                self.parameters.pop(path, None)
                return {}
        return None


@pytest.fixture
def nodes() -> Nodes:
    """Both are well."""
    return Nodes()


def broker_of(*addresses: str) -> Broker:
    """Its management API at these nodes."""
    management = ",".join(f"http://{address}:15672" for address in addresses or ("a", "b"))
    return find_broker(None, {"DROVER_RABBIT_URL": "amqp://drover:s3cret@a,b/", "DROVER_RABBIT_MANAGEMENT": management})


def management_of(nodes: Nodes, broker: Broker) -> Management:
    """It, with these nodes behind it."""
    found = Management(broker)
    found._session.mount("http://", nodes)
    return found


def firehose_of(nodes: Nodes, owner: str = "one", *addresses: str) -> Firehose:
    """Of one capture."""
    broker = broker_of(*addresses)
    return Firehose(broker, management_of(nodes, broker), owner)


def abandoned(nodes: Nodes) -> str | None:
    """What a tick finds."""
    broker = broker_of()
    return disarm_abandoned(broker, management_of(nodes, broker))


def test_every_node_is_armed_and_disarmed(nodes: Nodes) -> None:
    """And nothing is left."""
    firehose = firehose_of(nodes)
    firehose.arm()
    assert nodes.armed == {"a": True, "b": True}
    assert firehose.trouble() == ""
    assert firehose.disarm()
    assert (nodes.armed, nodes.parameters) == ({"a": False, "b": False}, {})


@pytest.mark.parametrize("addresses", [("a",), ("b", "b")])
def test_a_node_without_an_address_is_a_reason_to_refuse(nodes: Nodes, addresses: tuple[str, ...]) -> None:
    """Its traffic would not be seen, and nobody could disarm it; so is a balancer that hides nodes."""
    with pytest.raises(Permanent, match="can't be reached: name the management API of every node"):
        firehose_of(nodes, "one", *addresses).arm()
    assert (nodes.armed, nodes.parameters) == ({"a": False, "b": False}, {})


def test_a_node_that_is_down_hinders_nobody(nodes: Nodes) -> None:
    """There is no traffic at it."""
    nodes.down.add("a")
    firehose = firehose_of(nodes)
    firehose.arm()
    assert nodes.armed == {"a": False, "b": True}
    assert firehose.disarm()
    assert nodes.parameters == {}


def test_an_address_that_does_not_answer_is_asked_last(nodes: Nodes) -> None:
    """So that its silence is waited for once only."""
    nodes.silent.add("a")
    management = management_of(nodes, broker_of())
    for _ in range(3):
        management.nodes()
    assert nodes.asked == ["a", "b", "b", "b"]


@pytest.mark.parametrize("why", ["down", "off", "silent"])
def test_a_capture_under_way_is_told_what_it_does_not_see(nodes: Nodes, why: str) -> None:
    """A node that went down, one that has forgotten the firehose, and one that does not answer twice."""
    firehose = firehose_of(nodes)
    firehose.arm()
    if why == "off":
        nodes.armed["b"] = False
    else:
        getattr(nodes, why).add("b")
    found = firehose.trouble()
    if why == "silent":
        assert found is None
        found = firehose.trouble()
    assert found is not None
    assert found.partition("b")[2]


def test_a_capture_whose_mark_is_gone_is_told(nodes: Nodes) -> None:
    """Somebody has disarmed it."""
    firehose = firehose_of(nodes)
    firehose.arm()
    nodes.has_queue = False
    assert abandoned(nodes) == "one"
    assert "somebody else has disarmed" in (firehose.trouble() or "")


def test_a_node_that_could_not_be_disarmed_is_remembered(nodes: Nodes) -> None:
    """RabbitMQ may keep it armed meanwhile: it is disarmed when it is back, and others may capture until then."""
    first = firehose_of(nodes, "first")
    first.arm()
    nodes.down.add("b")
    assert first.disarm()
    assert nodes.armed == {"a": False, "b": True}
    assert abandoned(nodes) is None
    second = firehose_of(nodes, "second")
    second.arm()
    assert second.trouble() == ""
    assert second.disarm()
    nodes.down.clear()
    assert firehose_of(nodes, "third").refusal() == ""
    assert abandoned(nodes) == "second"
    assert (nodes.armed, nodes.parameters) == ({"a": False, "b": False}, {})


def test_a_stranger_s_firehose_on_another_node_is_left_alone(nodes: Nodes) -> None:
    """Only what Drover has armed is disarmed when a node comes back."""
    firehose = firehose_of(nodes)
    firehose.arm()
    nodes.down.add("b")
    firehose.disarm()
    nodes.down.clear()
    nodes.armed["a"] = True
    assert abandoned(nodes) == "one"
    assert nodes.armed == {"a": True, "b": False}
    with pytest.raises(Permanent, match="not by Drover"):
        firehose_of(nodes).arm()


def test_a_node_that_left_the_cluster_is_forgotten(nodes: Nodes) -> None:
    """Nobody could disarm it ever."""
    firehose = firehose_of(nodes)
    firehose.arm()
    nodes.down.add("b")
    firehose.disarm()
    del nodes.armed["b"]
    assert abandoned(nodes) is None
    assert nodes.parameters == {}


def test_half_armed_is_not_armed(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that fails in the middle: the others are disarmed again."""
    firehose = firehose_of(nodes)
    real = Management.set_tracing

    def failing(self: Management, on: bool, only: Any = None) -> set[str]:
        if on:
            nodes.silent.add("b")
        return real(self, on, only)

    monkeypatch.setattr(Management, "set_tracing", failing)
    with pytest.raises(Retry, match="armed on b"):
        firehose.arm()
    assert nodes.armed == {"a": False, "b": False}


def test_a_mark_of_an_older_drover_is_honoured(nodes: Nodes) -> None:
    """It is the capture's name alone; all nodes are disarmed."""
    nodes.parameters[MARK] = "old"
    nodes.armed = {"a": True, "b": True}
    assert "capture old has the firehose" in firehose_of(nodes).refusal()
    nodes.has_queue = False
    assert abandoned(nodes) == "old"
    assert (nodes.armed, nodes.parameters) == ({"a": False, "b": False}, {})


names = st.frozensets(st.text(min_size=1, max_size=20), max_size=4)


@given(mark=st.builds(Mark, st.text(), names, names, st.booleans()))
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    """Whatever the names are."""
    nodes, broker = Nodes(), broker_of()
    management = management_of(nodes, broker)
    write_mark(broker, management, mark)
    assert read_mark(broker, management) == mark
    write_mark(broker, management, None)
    assert read_mark(broker, management) is None
    assert mark_name(broker) == MARK.rpartition("/global-parameters/")[2]
