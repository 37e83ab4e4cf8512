"""The scenes: what is in the cloud, what people ask for and when, and what must be true in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.simulator.records import Fault
from tests.chaos import amphora
from tests.chaos.observer import Bounds
from tests.chaos.stage import Stage

When = Callable[[Stage], bool]


def _at_once(stage: Stage) -> bool:
    return True


def _flying(stage: Stage) -> bool:
    """Something is being moved, as Nova shows it."""
    return bool(stage.cloud.migrations)


def over(wish: str, state: str) -> When:
    """The operation that a wish was answered with is in this state and rests."""

    def is_over(stage: Stage) -> bool:
        answer = stage.answers.get(wish)
        wanted = answer.data.get("operation") if answer else None
        return any(o.id == wanted and o.state == state and o.rests for o in stage.operations())

    return is_over


@dataclass(frozen=True)
class Wish:
    """One event that somebody sends, and sends again until it is taken."""

    name: str
    type: str
    data: dict[str, Any]
    when: When = _at_once
    of: str = ""
    """The wish whose operation is meant."""


@dataclass(frozen=True)
class Scene:
    """One small story."""

    build: Callable[[Stage], None]
    wishes: tuple[Wish, ...]
    ends: tuple[str, ...]
    """The operations' last states, in the order of their beginning."""
    check: Callable[[Stage], list[str]]
    """What is wrong with the cloud (or what the broker got) in the end."""
    bounds: Bounds = field(default_factory=Bounds)
    keeper: bool = False
    cloud: dict[str, Any] = field(default_factory=dict)
    patches: tuple[tuple[Any, str, Any], ...] = ()
    """Constants that have another value in this scene: where, name, value."""


def drain(host: str = "cmp01", name: str = "drain", when: When = _at_once, **options: Any) -> Wish:
    """Somebody wants a host to be drained."""
    data = {"host": host, "cloud": "lab", "reason": "a fan is broken", "requester": "nina", **options}
    return Wish(name, "io.drover.drain.requested", data, when)


def undrain(when: When, host: str = "cmp01") -> Wish:
    """Somebody wants it back."""
    data = {"host": host, "cloud": "lab", "reason": "the fan runs", "requester": "nina"}
    return Wish("undrain", "io.drover.undrain.requested", data, when)


def drain_network(host: str = "net01", name: str = "drain", when: When = _at_once) -> Wish:
    """Somebody wants a network node to be drained."""
    data = {"host": host, "cloud": "lab", "reason": "a fan is broken", "requester": "nina"}
    return Wish(name, "io.drover.network-drain.requested", data, when)


def undrain_network(when: When, host: str = "net01") -> Wish:
    """Somebody wants it back."""
    data = {"host": host, "cloud": "lab", "reason": "the fan runs", "requester": "nina"}
    return Wish("undrain", "io.drover.network-undrain.requested", data, when)


def control(verb: str, when: When, **options: Any) -> Wish:
    """Somebody pauses, resumes or cancels the drain."""
    data = {"reason": "I say so", "requester": "joe", **options}
    return Wish(verb, f"io.drover.operation.{verb}.requested", data, when, of="drain")


# -- what is in the cloud ------------------------------------------------------------------------------------------


def _hosts(stage: Stage, number: int = 3) -> None:
    for each in range(1, number + 1):
        stage.cloud.add_host(f"cmp{each:02}")


def _plain(stage: Stage) -> None:
    """Three that run, of which two are in one anti-affinity group."""
    _hosts(stage)
    group = stage.cloud.add_group(name="pair")
    stage.cloud.add_server("cmp01", name="one", group=group)
    stage.cloud.add_server("cmp01", name="two", memory_mb=1024)
    stage.cloud.add_server("cmp02", name="twin", group=group)


def _failing(stage: Stage) -> None:
    _hosts(stage)
    stage.cloud.add_server("cmp01", name="failing")
    stage.cloud.add_server("cmp01", name="well")
    stage.cloud.faults["failing"] = Fault(precheck=True, times=1)


def _hopeless(stage: Stage) -> None:
    _hosts(stage)
    stage.cloud.add_server("cmp01", name="hopeless")
    stage.cloud.faults["hopeless"] = Fault(prepare=True)


def _cold(stage: Stage) -> None:
    _hosts(stage)
    stage.cloud.add_server("cmp01", name="stopped", status="SHUTOFF")
    stage.cloud.add_server("cmp01", name="off", status="SHUTOFF")


def _slow(stage: Stage) -> None:
    _hosts(stage)
    for name in ("first", "second"):
        stage.cloud.add_server("cmp01", name=name)
    stage.cloud.faults["*"] = Fault(seconds=15.0)


def _endless(stage: Stage) -> None:
    _slow(stage)
    stage.cloud.faults["*"] = Fault(seconds=500.0)


def _dead(stage: Stage) -> None:
    _hosts(stage)
    stage.cloud.add_server("cmp01", name="running")
    stage.cloud.add_server("cmp01", name="stopped", status="SHUTOFF")
    stage.cloud.add_server("cmp01", name="third")
    stage.cloud.kill_host("cmp01")


def _two(stage: Stage) -> None:
    _hosts(stage, 4)
    group = stage.cloud.add_group(name="pair")
    for host in ("cmp01", "cmp02"):
        stage.cloud.add_server(host, name=f"paired-{host}", group=group)


def _nodes(stage: Stage) -> None:
    """Three network nodes; the first carries a network, a HA router that has no other agent, and two legacy ones."""
    network = stage.cloud.network
    l3 = [network.add_agent("l3", f"net{each:02}") for each in (1, 2, 3)]
    dhcp = [network.add_agent("dhcp", f"net{each:02}") for each in (1, 2, 3)]
    network.add_network("tenants", dhcp[:1])
    network.add_router("edge", l3[:1], ha=True)
    for name in ("lan", "dmz"):
        network.add_router(name, l3[:1])


def _nothing_there(stage: Stage) -> None:
    """Two network nodes that carry nothing; an owner's description on one agent."""
    for number in (1, 2):
        agent = stage.cloud.network.add_agent("l3", f"net{number:02}")
        agent.description = "rack 7"


# -- what must be true ---------------------------------------------------------------------------------------------


def _gone(*hosts: str, disabled: bool = True) -> Callable[[Stage], list[str]]:
    """These hosts are empty and disabled, or given back."""

    def check(stage: Stage) -> list[str]:
        places, wrong = stage.observer.places(), []
        for host in hosts:
            if places.get(host):
                wrong.append(f"{host} is not empty: {places[host]}")
            if stage.cloud.host(host).disabled != disabled:
                wrong.append(f"{host}: disabled is {not disabled}")
        return wrong

    return check


def _hopeless_stays(stage: Stage) -> list[str]:
    """The halt's reason is true: it names the server that really could not be moved."""
    (operation,) = stage.operations()
    there = stage.observer.places().get("cmp01", [])
    wrong = [] if there == ["hopeless"] else [f"on cmp01 are {there}"]
    return wrong + ([] if "hopeless" in operation.note else [f"it halted with {operation.note!r}"])


def _given_back(stage: Stage) -> list[str]:
    there = stage.observer.places().get("cmp01", [])
    wrong = [] if there == ["first", "second"] else [f"on cmp01 are {there}"]
    return wrong + (["cmp01 is still disabled"] if stage.cloud.host("cmp01").disabled else [])


PATIENCE = 5.0
PATIENCE_AFTER_AN_ACCIDENT = 120.0
"""Seconds for which a router may be without an agent: a lease, some ticks, and a cloud that is away."""


def _carried_elsewhere(stage: Stage) -> list[str]:
    """The node is empty: its agents are disabled, and what they had others carry."""
    network, wrong = stage.cloud.network, []
    own = {agent.id for agent in network.agents.values() if agent.host == "net01"}
    if any(network.agents[id].admin_up for id in own):
        wrong.append("an agent of net01 is enabled")
    here = [
        each.name for each in network.routers.values() if each.active in own or (not each.ha and own & {*each.agents})
    ]
    here += [each.name for each in network.networks.values() if own & {*each.agents}]
    if here:
        wrong.append(f"net01 still has {here}")
    limit = PATIENCE if stage.touches.struck is None else PATIENCE_AFTER_AN_ACCIDENT
    longest = stage.observer.nodes.longest
    return wrong + ([f"a router had no agent for {longest} s"] if longest > limit else [])


def _agents_are_back(stage: Stage) -> list[str]:
    """Enabled, with their owner's words."""
    agents = stage.cloud.network.agents.values()
    return [f"{each.host}: {each.admin_up}, {each.description!r}" for each in agents
            if not each.admin_up or each.description != "rack 7"]  # fmt: skip


SCENES: dict[str, Scene] = {
    "drain": Scene(_plain, (drain(),), ("succeeded",), _gone("cmp01")),
    "retry": Scene(_failing, (drain(),), ("succeeded",), _gone("cmp01")),
    "halt": Scene(_hopeless, (drain(max_attempts=2),), ("halted",), _hopeless_stays),
    "cold": Scene(_cold, (drain(),), ("succeeded",), _gone("cmp01")),
    "pause": Scene(
        _slow, (drain(concurrency=1), control("pause", _flying), control("resume", over("drain", "paused"))),
        ("succeeded",), _gone("cmp01"), Bounds(per_source=1),
    ),
    "cancel": Scene(_endless, (drain(), control("cancel", _flying, undo=True)), ("cancelled",), _given_back),
    "evacuation": Scene(
        _dead, (drain(evacuate=True, fenced="Joe pulled the plug"),), ("succeeded",), _gone("cmp01"),
    ),
    "undrain": Scene(
        _cold, (drain(), undrain(over("drain", "succeeded"))), ("succeeded", "succeeded"),
        _gone("cmp01", disabled=False),
    ),
    "amphora": Scene(amphora.build, (drain(),), ("succeeded",), amphora.check),
    "network": Scene(_nodes, (drain_network(),), ("succeeded",), _carried_elsewhere),
    "network-back": Scene(
        _nothing_there, (drain_network(), undrain_network(over("drain", "succeeded"))), ("succeeded", "succeeded"),
        _agents_are_back,
    ),
    "two": Scene(
        _two, (drain(), drain("cmp02", "drain-2")), ("succeeded", "succeeded"), _gone("cmp01", "cmp02"),
    ),
}  # fmt: skip
