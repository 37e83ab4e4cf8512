"""One slice of a network drain: the operation under lease, its items, and what Neutron shows right now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from functions.migrate.network.events import NetworkDrainRequested
from functions.migrate.network.items import ItemStep
from functions.migrate.network.model import ItemState, NetworkPolicy, Sort
from functions.migrate.network.neutron import Agent, Network, Neutron, Router
from functions.migrate.network.targets import NoTarget, can_carry, choose
from functions.migrate.network.view import Look, read_look
from shared.clouds import AnswerLost, Cloud, Refused
from shared.errors import Retry
from shared.operations import Act, Work
from shared.store import OperationState, Step

if TYPE_CHECKING:
    from functions.migrate.network import ovn_model
    from functions.migrate.network.ovn import Ovn

PATIENCE = 8.0
"""Seconds between an intent and its request. A worker that was held up longer does not ask: by then a successor may
have decided anew."""

SLICE_SECONDS = 20.0
"""After so long a slice begins nothing more that can wait for the next one."""

SOON = 2.0
"""Seconds until a request that was not carried out is sent again: a router may be without an agent meanwhile."""

CHASSIS = "ovn_chassis"
"""Where the memo keeps the host's chassis in OVN, which forgets them when their ovn-controller ends."""

OTHER_DRAINS = ("network-drain", "drain")
"""The kinds of operations whose hosts take nothing."""


class NetworkSlice:
    """What the parts of a network drain work on. `now` is the time at the slice's begin."""

    def __init__(self, work: Work, cloud: Cloud, ovn: Ovn | None = None) -> None:
        self.work = work
        self.cloud = cloud
        self.ovn = ovn
        self.neutron = Neutron(cloud)
        self.now = work.clock.now()
        self.host = work.operation.target
        self.request = NetworkDrainRequested.model_validate(work.operation.parameters)
        self.policy: NetworkPolicy = self.request.policy()
        if work.memo.get("deadline_lifted"):
            self.policy = replace(self.policy, deadline=None)
        self.items = {subject: ItemStep(step) for subject, step in work.steps.items()}
        self.touched = False
        """Whether something was asked for since the look: what it shows may be no longer so."""
        self._unsaved: dict[str, ItemStep] = {}
        self._acts: list[Act] = []
        self._begun = work.clock.monotonic()
        self._asked = cloud.requests.copy()
        self._before = Counter(work.memo.get("requests", {}))

    # -- what Neutron shows -----------------------------------------------------------------------------------

    @cached_property
    def look(self) -> Look:
        """The agents and what is bound to the host's, read once in a slice."""
        return read_look(self.neutron, self.host)

    @cached_property
    def gateways(self) -> ovn_model.Look | None:
        """What OVN's databases say about the host, read once in a slice; None: no OVN is set."""
        if self.ovn is None:
            return None
        look = self.ovn.gateways(self.host, frozenset(self.work.memo.get(CHASSIS, ())))
        if look.chassis:
            self.work.memo[CHASSIS] = sorted(look.chassis)
        return look

    @cached_property
    def avoided(self) -> frozenset[str]:
        """Hosts that other operations empty right now."""
        found = {target for kind in OTHER_DRAINS for target in self.work.other_targets(kind)}
        return frozenset(found - {self.host})

    def thing(self, item: ItemStep) -> Router | Network | None:
        """What is bound to the host's agents under the item's id."""
        found = self.look.networks if item.sort is Sort.NETWORK else self.look.routers
        pair = found.get(item.id)
        return pair[0] if pair else None

    def is_able(self, agent: Agent, thing: Router | Network) -> bool:
        """Whether an agent that has it carries it for as long as it must."""
        return agent.host != self.host and agent.host not in self.avoided and can_carry(agent, thing)

    def choose(self, item: ItemStep, thing: Router | Network) -> Agent | NoTarget:
        """The agent that the item is to go to: the planned one if it still can, else the one with the least."""
        planned = self.look.agents.get(item.record.to_agent or "")
        agents = [planned] if planned is not None else []
        for some in (agents, list(self.look.agents.values())):
            found = choose(
                thing, some, host=self.host, loads=self._loads(), avoided=self.avoided, failed=item.record.failed
            )
            if isinstance(found, Agent):
                break
        return found

    def _loads(self) -> Counter[str]:
        """By the agents' own last reports, and what this drain has given them since it began."""
        loads = Counter({agent.id: agent.reported or 0 for agent in self.look.agents.values()})
        loads.update(item.record.to_agent for item in self.items.values() if item.in_flight and item.record.to_agent)
        return loads

    # -- the items --------------------------------------------------------------------------------------------

    def of(self, *sorts: Sort) -> list[ItemStep]:
        """The items of these sorts, in the plan's order."""
        return [item for item in self.items.values() if item.sort in sorts]

    def in_flight(self) -> list[ItemStep]:
        """Those that Neutron or OVN has been asked about, or is about to be."""
        return [item for item in self.items.values() if item.in_flight]

    def unfinished(self) -> list[ItemStep]:
        """Those that something is still to be done for."""
        return [item for item in self.items.values() if not item.ended]

    def ended(self, *states: ItemState) -> list[ItemStep]:
        """Those that are in one of these states."""
        return [item for item in self.items.values() if item.state in states]

    # -- asking -----------------------------------------------------------------------------------------------

    def intend(self, item: ItemStep, state: ItemState, *acts: Act) -> bool:
        """Store what is about to be asked for; whether it may still be asked for after that."""
        self.touched = True
        item.record.asked_at = self.work.clock.now()
        item.put(state, started_at=item.step.started_at or self.now)
        self.save(item, acts=acts)
        return (self.work.clock.now() - item.record.asked_at).total_seconds() <= PATIENCE

    def ask(self, request: Callable[[], None]) -> Refused | None:
        """Send one request; a lost answer is read from Neutron by the next slice.

        Returns:
            The refusal; None when it was accepted, or may have been.

        Raises:
            Retry: it was not carried out; the next slice comes soon.
        """
        try:
            request()
        except AnswerLost:
            return None
        except Refused as refusal:
            return refusal
        except Retry as error:
            raise Retry(str(error), after=min(error.after, SOON)) from error
        return None

    def is_drained(self, host: str) -> bool:
        """Whether another operation empties a host by now: looked up after an intent, so that of two one yields."""
        return any(host in self.work.other_targets(kind) for kind in OTHER_DRAINS)

    # -- writing ----------------------------------------------------------------------------------------------

    def later(self, *items: ItemStep, acts: Iterable[Act] = ()) -> None:
        """Have these written with the next save, or at the slice's end: the next slice would find them out again."""
        self._unsaved |= {item.id: item for item in items}
        self._acts += acts

    def save(self, *items: ItemStep, acts: Iterable[Act] = (), facts: Iterable[str] = ()) -> None:
        """Write these, what was left for later, and the memo."""
        self.count()
        self.later(*items, acts=acts)
        steps = [item.stored() for item in self._unsaved.values()]
        self.work.save(*steps, acts=self._acts, facts=facts)
        self._unsaved, self._acts = {}, []

    def add(self, steps: Sequence[Step], *acts: Act) -> None:
        """Append items, and write the memo."""
        self.count()
        self.work.add(steps, *acts)
        self.items |= {step.subject: ItemStep(self.work.steps[step.subject]) for step in steps}

    def end(self, state: OperationState, note: str) -> None:
        """End the drain, or halt it."""
        self.save()
        self.work.end(state, note)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Write at the block's end what was left for later; an error drops that."""
        yield
        if self._unsaved or self._acts:
            self.save()
        self.count()

    def count(self) -> None:
        """Bring the number of API requests by service up to date; written with the next save."""
        self.work.memo["requests"] = dict(self._before + (self.cloud.requests - self._asked))

    # -- time -------------------------------------------------------------------------------------------------

    @property
    def late(self) -> bool:
        """Whether the slice has lasted so long that what can wait is left to the next one."""
        return self.work.clock.monotonic() - self._begun > SLICE_SECONDS

    def waited(self, item: ItemStep, limit: timedelta) -> bool:
        """Whether it is longer ago than this that the item was asked for."""
        asked = item.record.asked_at
        return asked is not None and self.work.clock.now() - asked > limit

    def since(self, what: str, limit: timedelta) -> bool:
        """Whether the time that the memo keeps under this name, from now on if it has none, is longer ago."""
        last = self.work.memo.setdefault(what, self.now.isoformat())
        return self.now - datetime.fromisoformat(last) > limit
