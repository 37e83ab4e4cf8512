"""The words of a network drain: what a host carries, what is done with it, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Sort(StrEnum):
    """What a thing that a network node carries is; each is brought away in its own manner."""

    NETWORK = "network"
    """A network that a DHCP agent serves: several agents may serve it at once."""
    HA_ROUTER = "ha-router"
    """A router that is bound to several L3 agents, of which one is active."""
    ROUTER = "router"
    """A router that one L3 agent alone carries: a legacy one, or the central SNAT of a distributed one."""
    OVN_GATEWAY = "ovn-gateway"
    """A list of chassis that may carry a router's gateway port, or other ports: the highest priority does."""


class Action(StrEnum):
    """What a network drain does with an item."""

    HAND_OVER = "hand-over"
    """Another agent gets it first, then it is taken away here: nobody notices."""
    FAIL_OVER = "fail-over"
    """Another agent stands by (or gets it first) and becomes active when this one is disabled."""
    MOVE = "move"
    """It is taken away here, then given to another agent: Neutron allows no two. A standstill of some seconds."""
    LOWER = "lower"
    """Its priority on the host becomes the lowest: OVN has another chassis carry it, within a second."""
    CANNOT = "cannot"
    """There is no way to bring it away as things are; `reason` and `way_out` say why and what a person can do."""


ACTION_OF = {
    Sort.NETWORK: Action.HAND_OVER,
    Sort.HA_ROUTER: Action.FAIL_OVER,
    Sort.ROUTER: Action.MOVE,
    Sort.OVN_GATEWAY: Action.LOWER,
}


class ItemState(StrEnum):
    """Where one item is."""

    HELD = "held"
    """Waits for its turn."""
    ADDING = "adding"
    """The intent to give it to another agent as well is stored; that agent does not carry it for certain yet."""
    MOVING = "moving"
    """The intent to take it away here and give it to another is stored; whatever happens, it is brought somewhere."""
    LOWERING = "lowering"
    """The intent to give it the lowest priority here is stored; no other chassis carries it for certain yet."""
    REMOVING = "removing"
    """Another agent carries it; the intent to take it away here is stored."""
    READY = "ready"
    """A router that another agent can carry as soon as this one is disabled."""
    DONE = "done"
    """Another agent carries it."""
    LEFT = "left"
    """Stays, for the stated reason."""
    FAILED = "failed"
    """Given up after all tries; it is still carried here, or its error says where it is."""
    GONE = "gone"
    """Deleted meanwhile."""


IN_FLIGHT = frozenset({ItemState.ADDING, ItemState.MOVING, ItemState.LOWERING, ItemState.REMOVING})
"""States in which Neutron or OVN has been asked, or is about to be."""

ENDED_ITEMS = frozenset({ItemState.DONE, ItemState.LEFT, ItemState.FAILED, ItemState.GONE})


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """The limits of one network drain. Routers of one agent are moved one at a time whatever they say."""

    at_once: int = 5
    """Items that get another agent at the same time: networks, and HA routers without a second agent."""
    max_attempts: int = 3
    """Tries of one item, each with another agent, before it is set aside."""
    error_budget: int = 3
    """Items set aside before the drain halts."""
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the host carries: a line of the plan, whatever its sort."""

    sort: Sort
    id: str
    name: str
    agent: str
    """Id of the agent, or name of the chassis, that carries it."""
    action: Action
    to: str | None
    """Host of the agent or chassis that carries it afterwards; None unless it can leave."""
    to_agent: str | None
    """That agent's id, or the chassis' name."""
    reason: str = ""
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class PlannedAgent:
    """What becomes of one of the host's agents."""

    id: str
    kind: str
    """Its type, as Neutron calls it."""
    action: str
    """disable, leave (it is not touched), or cannot."""
    reason: str = ""
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What a network drain of one host would do."""

    host: str
    items: tuple[Item, ...]
    """In the order in which they would be brought away."""
    agents: tuple[PlannedAgent, ...]

    @property
    def feasible(self) -> bool:
        """Whether nothing would stay."""
        cannot = any(item.action is Action.CANNOT for item in self.items)
        return not cannot and all(agent.action != "cannot" for agent in self.agents)
