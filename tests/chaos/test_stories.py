"""Stories that hypothesis makes up: people, time, accidents and others in any order, on one cloud and one store."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from structlog.testing import capture_logs

from lab.simulator.records import Fault
from shared.clouds import AnswerLost, Refused
from shared.errors import Retry
from shared.events import Event
from tests.chaos.accidents import ACCIDENTS
from tests.chaos.run import SKEWS
from tests.chaos.stage import TICK, Stage, Store
from tests.chaos.touches import Phase as On
from tests.chaos.touches import Touches

HOSTS = ("cmp01", "cmp02", "cmp03", "cmp04")
AT_A_TOUCH = ("none", "none", "crash", "stolen", "away")
BEATS = 80
"""Ticks until everything must rest; a dead target is waited for up to half an hour."""

names = st.sampled_from(HOSTS)
accidents = st.sampled_from(AT_A_TOUCH)
touches = st.integers(1, 120)


class Stories(RuleBasedStateMachine):
    """A cloud of four hosts with six servers, two of them in a group, and two processes with wrong clocks."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.logged: Any = self.open.enter_context(capture_logs())
        self.stage = Stage(self.store, Touches(), SKEWS)
        self.open.callback(self.stage.close)
        self.numbers = itertools.count(1)
        self.sent: list[Event] = []
        self._furnish()

    def _furnish(self) -> None:
        cloud = self.stage.cloud
        for host in HOSTS:
            cloud.add_host(host)
        group = cloud.add_group(name="pair")
        for number, host in enumerate(("cmp01", "cmp01", "cmp01", "cmp02", "cmp02", "cmp03")):
            status = "SHUTOFF" if number == 1 else "ACTIVE"
            cloud.add_server(host, name=f"vm-{number}", status=status, group=group if number in (0, 3) else None)
        cloud.faults["vm-2"] = Fault(precheck=True, times=1)
        self.stage.observer.remember()

    # -- people and time --------------------------------------------------------------------------------------

    @rule(host=names, kind=st.sampled_from(["drain", "drain", "undrain"]), accident=accidents, at=touches)
    def ask(self, host: str, kind: str, accident: str, at: int) -> None:
        """Somebody wants a host to be drained, evacuated if it is dead, or given back."""
        data: dict[str, Any] = {"host": host, "cloud": "lab", "reason": "a fan", "requester": "nina"}
        if kind == "drain" and not self.stage.cloud.host(host).up:
            data |= {"evacuate": True, "fenced": "Joe pulled the plug"}
        self._send(f"io.drover.{kind}.requested", data, accident, at)

    @rule(verb=st.sampled_from(["pause", "resume", "cancel"]), which=st.integers(0, 5), undo=st.booleans())
    def control(self, verb: str, which: int, undo: bool) -> None:
        """Somebody pauses, resumes or cancels an operation, which may have ended."""
        found = self.stage.operations()
        if found:
            data = {"operation": found[which % len(found)].id, "reason": "I say so", "requester": "joe"}
            data |= {"undo": undo} if verb == "cancel" else {}
            self._send(f"io.drover.operation.{verb}.requested", data, "none", 0)

    @rule(accident=accidents, at=touches)
    def tick(self, accident: str, at: int) -> None:
        """A tick, in which something may happen."""
        self._arrange(accident, at)
        self.stage.tick()
        self.stage.advance(TICK)

    @rule(seconds=st.sampled_from([1.0, 31.0, 200.0]))
    def dropped_ticks(self, seconds: float) -> None:
        """Time passes without a tick."""
        self.stage.advance(seconds)

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 9), process=st.integers(0, 1))
    def redelivery(self, which: int, process: int) -> None:
        """An old event comes again, whatever came after it."""
        self._arrange("none", 0)
        self.stage.deliver(self.sent[which % len(self.sent)], process)

    # -- others -----------------------------------------------------------------------------------------------

    @rule(which=st.integers(0, 5), to=names)
    def migrates_by_hand(self, which: int, to: str) -> None:
        """Another operator live-migrates a server, if Nova lets him."""
        self._by_hand("POST", which, {"os-migrateLive": {"host": to, "block_migration": "auto"}})

    @rule(which=st.integers(0, 5))
    def deletes(self, which: int) -> None:
        """An owner deletes a server."""
        self._by_hand("DELETE", which, None)

    @rule(host=names)
    def creates(self, host: str) -> None:
        """A server appears."""
        self.stage.cloud.add_server(host)
        self.stage.observer.remember()

    @rule(host=names)
    def dies(self, host: str) -> None:
        """A host dies, at most one at a time."""
        if all(each.up for each in self.stage.cloud.world.hosts.values()):
            self.stage.cloud.kill_host(host)

    @rule()
    def comes_back(self) -> None:
        """The host that died comes back."""
        self._revive()

    # -- what must be true ------------------------------------------------------------------------------------

    @invariant()
    def the_observer_has_seen_nothing_wrong(self) -> None:
        """At no step of the cloud's history."""
        assert self.stage.observer.wrong == []
        assert [entry for entry in self.logged if entry["log_level"] == "error"] == []

    def teardown(self) -> None:
        """Once all is quiet every operation has ended, or waits for a person and says why; the cloud is well."""
        try:
            self._settle()
            self.stage.observer.check_rest()
            self.stage.observer.check_hosts()
            self.the_observer_has_seen_nothing_wrong()
        finally:
            self.open.close()

    def _settle(self) -> None:
        self._arrange("none", 0)
        self._revive()
        for _ in range(BEATS):
            self.stage.tick()
            self.stage.advance(TICK)
            if self.stage.rests:
                break
            self.stage.advance(30)
        for operation in self.stage.operations():
            assert operation.rests, operation
            assert operation.state not in ("halted", "failed") or operation.note, operation

    # -- hands ------------------------------------------------------------------------------------------------

    def _revive(self) -> None:
        for host in self.stage.cloud.world.hosts.values():
            if host.dead:
                self.stage.cloud.revive_host(host.name)

    def _by_hand(self, method: str, which: int, action: Any) -> None:
        servers = sorted(self.stage.cloud.world.servers.values(), key=lambda server: server.name)
        if not servers:
            return
        compute, path = self.stage.cloud.cloud().compute, f"/servers/{servers[which % len(servers)].id}"
        try:
            if method == "DELETE":
                compute.delete(path)
            else:
                compute.post(path + "/action", json=action)
        except (Refused, Retry, AnswerLost):
            return  # not as it is now
        self.stage.advance(1)  # Nova shows it

    def _send(self, type: str, data: dict[str, Any], accident: str, at: int) -> None:
        event = Event(f"event-{next(self.numbers)}", "/people", type, data)
        self.sent.append(event)
        self._arrange(accident, at)
        for _ in range(3):
            if self.stage.deliver(event):
                break
            self.stage.advance(TICK)

    def _arrange(self, accident: str, at: int) -> None:
        """Let an accident happen at the n-th touch from now on, or at none."""
        touches, applies = self.stage.touches, ACCIDENTS[accident].applies
        touches.seen.clear()
        touches.struck = None
        ACCIDENTS[accident].arrange(self.stage, at if accident != "none" else 0)
        strike = touches.strike
        assert strike is not None

        def where_it_can(touch: Any, request: Any) -> None:
            if applies(touch) and touch.phase is not On.COMMIT:
                strike(touch, request)

        touches.strike = where_it_can


def test_whatever_happens(store: Store, long: int) -> None:
    """In whatever order: no server is lost, moved twice or left half-way, no limit broken, nothing undone for good."""
    machine = type("StoriesHere", (Stories,), {"store": store})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=long or 25,
            stateful_step_count=25 if long else 15,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.generate, Phase.shrink) if long else (Phase.explicit, Phase.generate),
        ),
    )
