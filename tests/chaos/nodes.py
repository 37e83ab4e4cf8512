"""What the observer knows of network nodes: who carries which router and network in truth, and what must never be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from lab.simulator.network import Agent, Networking, Router

MARK = "drover network-drain "


class NodeWatch:
    """Judges each change of Drover's that has to do with Neutron's agents.

    Args:
        rows: a look into Drover's store.
        wrong: where what must never be is written down.
    """

    def __init__(self, network: Networking, rows: Callable[..., list[Any]], wrong: list[str]) -> None:
        self._network, self._rows, self._wrong = network, rows, wrong
        self._bare: dict[str, datetime] = {}
        self._ours: set[str] = set()
        self.longest = 0.0
        """Seconds for which a router that may have one agent only had none."""

    def judge(self, time: datetime, verb: str, id: str, what: str) -> None:
        """One change that Drover has asked for and that Neutron has just carried out; `what` is it in words."""
        match verb:
            case "router-remove":
                self._removed(time, self._network.routers[id], what)
            case "router-add":
                self._added(time, id)
            case "network-remove":
                if not self._network.networks[id].serving:
                    self._wrong.append(f"a network was taken away though nobody else serves it: {what}")
            case "agent-disable":
                self._disabled(self._network.agents[id], what)
            case "agent-enable":
                if id not in self._ours:
                    self._wrong.append(f"enabled, though Drover had not disabled it: {what}")
                self._ours.discard(id)

    def _removed(self, time: datetime, router: Router, what: str) -> None:
        if router.ha:
            return
        others = [each for each in self._network.routers.values() if each is not router and not each.ha]
        alone = [each.name for each in others if each.active is None and each.admin_up]
        if alone:
            self._wrong.append(f"a router is taken away while {alone} have not arrived: {what}")
        self._bare[router.id] = time

    def _added(self, time: datetime, id: str) -> None:
        if begun := self._bare.pop(id, None):
            self.longest = max(self.longest, (time - begun).total_seconds())

    def _disabled(self, agent: Agent, what: str) -> None:
        """Nothing that only this agent carries may be bound to it, and its description and a drain say who did it."""
        self._ours.add(agent.id)
        network, text = self._network, agent.description or ""
        for router in network.routers.values():
            others = [id for id in router.agents if id != agent.id and network.serves(network.agents[id])]
            if agent.id in router.agents and not (router.ha and others):
                self._wrong.append(f"disabled under the router {router.name}, which nobody else has: {what}")
        if names := [each.name for each in network.networks.values() if agent.id in each.agents]:
            self._wrong.append(f"disabled with the networks {names}: {what}")
        found = self._rows("SELECT reason FROM operation WHERE kind = 'network-drain' AND target = ?", agent.host)
        if not text.startswith(MARK) or not any(reason and reason in text for (reason,) in found):
            self._wrong.append(f"disabled without a drain on record that says so: {what}, {text!r}, {found}")

    def check_rest(self) -> None:
        """When all is quiet: each router is carried by somebody who is bound to it, each network is served."""
        for router in self._network.routers.values():
            if router.active is None or router.active not in router.agents:
                self._wrong.append(f"nobody carries the router {router.name}")
            if not router.ha and len(router.agents) != 1:
                self._wrong.append(f"the router {router.name} has {len(router.agents)} agents")
        for network in self._network.networks.values():
            if network.agents and not network.serving:
                self._wrong.append(f"nobody serves the network {network.name}")
