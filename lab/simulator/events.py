"""What a script lets happen by itself: hosts that die, servers that come and go, another operator at work."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.simulator.script import Boot, Drain, Moment, Script

if TYPE_CHECKING:
    from lab.simulator.cloud import SimulatedCloud

LOOK = 1.0
"""Seconds between two looks of the other operator."""
OTHER = "other-operator"


class Timeline:
    """Plans a script's moments; a later script makes an earlier one's void."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._cloud = cloud
        self._world = cloud.world
        self._current: Script | None = None

    def begin(self, script: Script) -> None:
        """Plan all moments of a script.

        Raises:
            LabError: it names a host that is not there.
        """
        self._check(script)
        self._current = script
        for moment in script.timeline:
            for number in range(moment.times):
                self._plan(script, moment, moment.at + number * (moment.every or 0.0))

    def _check(self, script: Script) -> None:
        named = [*script.hosts]
        for moment in script.timeline:
            named += [name for name in (moment.kill, moment.revive, moment.disable) if name]
            named += [part.host for part in (moment.boot, moment.drain) if part]
        missing = sorted({name for name in named if name not in self._world.hosts})
        if missing:
            raise LabError(f"the script names hosts that the fleet does not have: {', '.join(missing)}")

    def _plan(self, script: Script, moment: Moment, seconds: float) -> None:
        def happen() -> None:
            if self._current is script:
                self._happen(moment)

        self._world.after(seconds, happen)

    def _happen(self, moment: Moment) -> None:
        self._world.caller = OTHER
        if moment.kill:
            self._world.die(moment.kill)
        elif moment.revive:
            self._world.revive(moment.revive)
        elif moment.boot:
            self._boot(moment.boot)
        elif moment.delete:
            self._delete(moment.delete)
        elif moment.drain:
            self._drain(moment.drain)
        elif moment.disable:
            host = self._world.hosts[moment.disable]
            host.disabled, host.disabled_reason = True, f"{OTHER} took it out"
            self._world.act("disable", None, host.name)
        elif moment.revoke_tokens:
            self._cloud.keystone.revoke_all()

    def _boot(self, wish: Boot) -> None:
        for _ in range(wish.count):
            server = self._cloud.make_server(None, name=f"{wish.name}-{len(self._world.servers) + 1}")
            self._world.boot(server, wish.host)
            if wish.lives is not None:
                self._world.after(wish.lives, lambda server=server: self._end(server.id))  # type: ignore[misc]

    def _end(self, server: str) -> None:
        found = self._world.servers.get(server)
        if found is not None:
            self._world.delete(found)

    def _delete(self, pattern: str) -> None:
        for server in [s for s in self._world.servers.values() if fnmatchcase(s.name, pattern)]:
            self._world.delete(server)

    def _drain(self, wish: Drain) -> None:
        """Look, ask for as many migrations as may run at once, and look again."""
        world = self._world
        here = world.servers.on(wish.host)
        moving = sum(server.task_state is not None for server in here)
        idle = [server for server in here if server.task_state is None and server.status in ("ACTIVE", "PAUSED")]
        for server in idle[: max(0, wish.at_once - moving)]:
            world.caller = OTHER
            world.act("live-migrate", server.id, None)
            world.live_migrate(server, None)
        if here:
            world.after(LOOK, lambda: self._drain(wish))
