"""The scene of a host with amphorae: who watches Octavia, and what must be true in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.stage import Stage

FAILOVER = "amphora-failover"


def build(stage: Stage) -> None:
    """Both amphorae of one load balancer and the standby of another, beside a server."""
    for number in (1, 2, 3):
        stage.cloud.add_host(f"cmp{number:02}")
    stage.cloud.add_server("cmp01", name="well")
    stage.cloud.octavia.add_balancer("pair", {"MASTER": "cmp01", "BACKUP": "cmp01"})
    stage.cloud.octavia.add_balancer("half", {"MASTER": "cmp02", "BACKUP": "cmp01"})
    _watch(stage)


def _watch(stage: Stage) -> None:
    """A failover deletes a server: that was asked for. It is done of one load balancer at a time, standby first."""
    world, octavia, observer = stage.cloud.world, stage.cloud.octavia, stage.observer
    act = world.act

    def watched(verb: str, server: str | None, target: str | None) -> None:
        act(verb, server, target)
        if verb != FAILOVER or server is None:
            return
        observer.touched.add(server)
        busy = [each.name for each in octavia.balancers.values() if each.provisioning != "ACTIVE"]
        if len(busy) > 1:
            observer.wrong.append(f"several load balancers at a time: {busy}")
        mine = next(each for each in octavia.amphorae.values() if each.compute_id == server)
        here = {each.role for each in octavia.amphorae.values() if each.balancer == mine.balancer
                and world.servers[each.compute_id].host == "cmp01"}  # fmt: skip
        if mine.role == "MASTER" and "BACKUP" in here:
            observer.wrong.append(f"the active amphora {server} before the standby")
        if not world.hosts["cmp01"].disabled:
            observer.wrong.append(f"failed over before its host was disabled: {server}")

    world.act = watched  # type: ignore[method-assign]


def check(stage: Stage) -> list[str]:
    """The host is empty, each amphora was failed over once, and every load balancer has two and is ACTIVE."""
    octavia, wrong = stage.cloud.octavia, []
    if there := stage.observer.places().get("cmp01"):
        wrong.append(f"cmp01 is not empty: {there}")
    asked = [act.server for act in stage.cloud.history if act.verb == FAILOVER]
    if len(asked) != 3 or len(set(asked)) != 3:
        wrong.append(f"failed over: {asked}")
    for id, balancer in octavia.balancers.items():
        roles = sorted(each.role or "" for each in octavia.amphorae.values() if each.balancer == id)
        if (balancer.provisioning, roles) != ("ACTIVE", ["BACKUP", "MASTER"]):
            wrong.append(f"{balancer.name} is {balancer.provisioning} with {roles}")
    return wrong
