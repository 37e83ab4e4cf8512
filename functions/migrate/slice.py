"""One slice of a drain: the operation under lease, its moves, and what the cloud shows right now."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from functions.migrate.events import DrainRequested
from functions.migrate.model import ACTIVE_MOVES, UNFINISHED, Action, DrainPolicy, MoveState
from functions.migrate.moves import ServerMove, in_flight
from functions.migrate.news import news_of
from functions.migrate.nova import Nova
from functions.migrate.octavia import Octavia
from shared.clouds import Cloud
from shared.fleet.reader import read_fleet, read_migrations
from shared.fleet.snapshot import Fleet, Group, Host, Migration
from shared.operations import Act, News, Work
from shared.store import OperationState, Step

LOOK_BACK = timedelta(hours=1)
"""How far before the drain's start migrations are looked at; also what Nova's clock may differ from ours."""

FLEET_SECONDS = 20.0
"""How long a snapshot of the fleet is good enough to choose a target on; Nova checks the choice again."""

JUST_NOW = 5.0
"""Seconds within which nobody is expected to have changed what was seen."""

ROWS_SECONDS = 0.9
"""How long one poll of the migrations serves all the drains of a process; less than the time between two slices."""

SLICE_SECONDS = 20.0
"""After so long a slice begins nothing more that can wait for the next one."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A fleet with the hosts that it was read around and the time, in seconds of a monotonic clock."""

    fleet: Fleet
    hosts: tuple[str, ...]
    at: float


@dataclass(frozen=True, slots=True)
class _Poll:
    """One reading of the migrations since a time."""

    rows: Sequence[Migration]
    since: datetime
    at: float


@dataclass
class Link:
    """A process's connection to one cloud, with what was read from it last. Losing it costs a few requests."""

    cloud: Cloud
    nova: Nova
    uncounted: dict[str, Counter[str]] = field(default_factory=dict)
    """By host: requests that no slice has written down yet, of the look before a drain or of a slice that failed."""
    _seen: _Seen | None = None
    _poll: _Poll | None = None

    def read_fleet(self, hosts: tuple[str, ...], now: float, max_age: float) -> Fleet:
        """The fleet around one host or several, at most `max_age` seconds old."""
        seen = self._seen
        if seen is None or seen.hosts != hosts or now - seen.at > max_age:
            self._seen = seen = _Seen(read_fleet(self.cloud, around=hosts), hosts, now)
        return seen.fleet

    def seen_just_now(self, host: str, now: float) -> Host | None:
        """The host as the last look at the fleet showed it; None when that was over `JUST_NOW` seconds ago."""
        seen = self._seen
        return None if seen is None or now - seen.at > JUST_NOW else seen.fleet.hosts.get(host)

    def forget_fleet(self) -> None:
        """The next look at the fleet reads it anew, however young the last one is."""
        self._seen = None

    def leave_uncounted(self, host: str, requests: Counter[str]) -> None:
        """Leave it to the host's next slice to count these."""
        self.uncounted[host] = self.uncounted.get(host, Counter()) + requests

    def read_migrations(self, since: datetime, now: float, max_age: float) -> Sequence[Migration]:
        """The whole cloud's migrations since a time: one poll, shared by all the drains of this process."""
        poll = self._poll
        if poll is None or poll.since > since or now - poll.at > max_age:
            self._poll = poll = _Poll(read_migrations(self.cloud, since=since), since, now)
        # An older drain's poll reaches further back; every drain sees only its own window, and always the same.
        return [row for row in poll.rows if row.updated >= since]


class Slice:
    """What the parts of a drain work on. `now` is the time at the slice's begin."""

    def __init__(self, work: Work, link: Link) -> None:
        self.work = work
        self.link = link
        self.nova = link.nova
        self.octavia = Octavia(link.cloud)
        self.now = work.clock.now()
        self.host = work.operation.target
        self.request = DrainRequested.model_validate(work.operation.parameters)
        self.hosts = tuple(sorted(self.request.hosts or [self.host]))
        """All that the request drains: this one and its companions."""
        self.policy: DrainPolicy = self.request.policy()
        if work.memo.get("deadline_lifted"):
            self.lift_deadline()
        self.moves = {subject: ServerMove(step) for subject, step in work.steps.items()}
        self._unsaved: dict[str, ServerMove] = {}
        self._unsaved_acts: list[Act] = []
        self._unsaved_news: list[News] = []
        self._begun = work.clock.monotonic()
        self._asked = link.cloud.requests.copy()
        self._written = Counter(work.memo.get("requests", {}))
        self._before = self._written + link.uncounted.pop(self.host, Counter())

    def lift_deadline(self) -> None:
        """Somebody resumed the drain after its deadline: it goes on without one."""
        self.policy = replace(self.policy, deadline=None)

    # -- what the cloud shows ---------------------------------------------------------------------------------

    @cached_property
    def rows(self) -> Sequence[Migration]:
        """The cloud's migrations since shortly before the drain began."""
        since = self.work.operation.created_at - LOOK_BACK
        return self.link.read_migrations(since, self.work.clock.monotonic(), ROWS_SECONDS)

    @cached_property
    def rows_of(self) -> Mapping[str, list[Migration]]:
        """The same by server."""
        found: defaultdict[str, list[Migration]] = defaultdict(list)
        for row in self.rows:
            found[row.server].append(row)
        return found

    def flying(self) -> list[Migration]:
        """What is in flight in the cloud, and what other drains have asked for and Nova does not show yet.

        A move that was set aside and hangs in Nova all the same holds up nothing any more.
        """
        aside = {server for server, move in self.moves.items() if move.state is MoveState.FAILED}
        rows = [row for row in in_flight(self.rows) if row.server not in aside]
        seen = {row.server for row in rows}
        others = [step for step in self.work.other_steps(ACTIVE_MOVES) if step.action != Action.FAIL_OVER]
        unseen = [step for step in others if step.subject not in seen]
        return rows + [
            Migration(0, "", step.subject, None, step.to, "queued", "live-migration", self.now, self.now)
            for step in unseen
        ]

    @cached_property
    def avoided(self) -> frozenset[str]:
        """Hosts that other drains of this cloud empty right now, and the companions whatever they do."""
        return frozenset(self.work.other_targets()).union(self.hosts) - {self.host}

    @cached_property
    def promised(self) -> Mapping[str, str]:
        """By server id, the targets of the moves that other drains have decided and that are not over."""
        return {step.subject: step.to for step in self.work.other_steps(UNFINISHED) if step.to}

    def fleet(self, max_age: float = FLEET_SECONDS) -> Fleet:
        """The fleet around the host and its companions, at most `max_age` seconds old."""
        return self.link.read_fleet(self.hosts, self.work.clock.monotonic(), max_age)

    # -- the moves --------------------------------------------------------------------------------------------

    def unfinished(self) -> list[ServerMove]:
        """The moves that something is still to come of."""
        return [move for move in self.moves.values() if move.unfinished]

    def active(self) -> list[ServerMove]:
        """The moves that hold a place at both ends."""
        return [move for move in self.moves.values() if move.active]

    def busy(self) -> bool:
        """Whether something is in flight, or has arrived and was not looked at."""
        return any(move.active or move.state is MoveState.ARRIVED for move in self.moves.values())

    @property
    def groups_of(self) -> Mapping[str, tuple[Group, ...]]:
        """The server groups of the host's servers, by member, as they were when the servers were first seen."""
        found: defaultdict[str, list[Group]] = defaultdict(list)
        for name, members in self.work.memo.get("groups", {}).items():
            group = Group(name, policy="", members=frozenset(members))
            for member in members:
                found[member].append(group)
        return {member: tuple(groups) for member, groups in found.items()}

    def remember_groups(self, groups: Iterable[Group]) -> None:
        """Keep server groups for the slices to come; written with the next save."""
        known = self.work.memo.setdefault("groups", {})
        known |= {group.id: sorted(group.members) for group in groups}

    # -- writing ----------------------------------------------------------------------------------------------

    def later(self, *moves: ServerMove, acts: Iterable[Act] = ()) -> None:
        """Have these written with the next save, or at the slice's end: for what the next slice would find out again.

        An intent is never left for later: it is saved before the cloud is asked.
        """
        for move in moves:
            self._unsaved_news += news_of(self.work.operation, move)
        self._unsaved |= {move.server: move for move in moves}
        self._unsaved_acts += acts

    def save(self, *moves: ServerMove, acts: Iterable[Act] = (), facts: Iterable[str] = ()) -> None:
        """Write these moves, what was left for later, and the memo."""
        self.count()
        self.later(*moves, acts=acts)
        steps = [move.stored() for move in self._unsaved.values()]
        self.work.save(*steps, acts=self._unsaved_acts, facts=facts, news=self._unsaved_news)
        self._written = Counter(self.work.memo["requests"])
        self._unsaved, self._unsaved_acts, self._unsaved_news = {}, [], []

    def add(self, steps: Sequence[Step], *acts: Act) -> None:
        """Append servers, and write the memo."""
        self.count()
        self.work.add(steps, *acts)
        self._written = Counter(self.work.memo["requests"])
        self.moves |= {step.subject: ServerMove(step) for step in steps}

    def end(self, state: OperationState, note: str) -> None:
        """End the drain, or halt it."""
        self.save()
        self.work.end(state, note)

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Write at the block's end what was left for later. An error drops that, but not the number of requests."""
        try:
            yield
        except BaseException:
            self.count()
            self.link.leave_uncounted(self.host, Counter(self.work.memo["requests"]) - self._written)
            raise
        if self._unsaved or self._unsaved_acts:
            self.save()
        self.count()

    def count(self) -> None:
        """Bring the number of API requests by service up to date; written with the next save.

        The counter is the connection's: drains that run at the same moment in the same process share it.
        """
        self.work.memo["requests"] = dict(self._before + (self.link.cloud.requests - self._asked))

    # -- time -------------------------------------------------------------------------------------------------

    @property
    def late(self) -> bool:
        """Whether the slice has lasted so long that what can wait is left to the next one."""
        return self.work.clock.monotonic() - self._begun > SLICE_SECONDS

    def due(self, what: str, every: timedelta) -> bool:
        """Whether something that is done now and then is due: `mark` says when it was done."""
        last = self.work.memo.get(what)
        return last is None or self.now - datetime.fromisoformat(last) >= every

    def mark(self, *what: str) -> None:
        """Note that these were done now."""
        self.work.memo.update(dict.fromkeys(what, self.now.isoformat()))
