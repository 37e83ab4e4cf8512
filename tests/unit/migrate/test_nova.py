"""Nova's verbs on the double, and what is made of Nova's less friendly answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from functions.migrate.nova import Nova
from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from lab.simulator.records import Fault
from shared.clouds import AnswerLost, Refused
from shared.errors import Rejected
from tests.support import nova_facts


class FakeStage:
    """The double, ready for the facts."""

    def __init__(self) -> None:
        self.clock = SteppedClock()
        self.fake = SimulatedCloud(self.clock)
        for number in range(1, 7):
            self.fake.add_host(f"cmp{number:02}")
        self.cloud = self.fake.cloud()
        self.nova = Nova(self.cloud)

    def boot(self, count: int) -> list[str]:
        """Fresh servers on cmp01."""
        return [self.fake.add_server("cmp01") for _ in range(count)]

    def boot_together(self, count: int) -> list[str]:
        """The same in an affinity group."""
        group = self.fake.add_group("affinity")
        return [self.fake.add_server("cmp01", group=group) for _ in range(count)]

    def fault(self, server: str, what: str) -> None:
        """The server stalls or fails."""
        self.fake.faults[server] = Fault(**{what: True})  # type: ignore[arg-type]

    def look(self) -> None:
        """A tenth of a second passes."""
        self.clock.advance(0.1)

    def restart(self, host: str) -> None:
        """The host's nova-compute is started again."""
        self.fake.revive_host(host)


@pytest.fixture
def stage() -> FakeStage:
    """Six hosts."""
    return FakeStage()


@pytest.mark.parametrize("fact", nova_facts.FACTS, ids=lambda fact: fact.__name__)
def test_fact(fact: Callable[[nova_facts.Stage], None], stage: FakeStage) -> None:
    """The double does as the real Nova does (`tests/lab/test_nova.py` checks the same there)."""
    fact(stage)


def test_an_unknown_host_names_similar_ones(stage: FakeStage) -> None:
    """A typing error is answered with the names that may have been meant."""
    with pytest.raises(Rejected, match=r"no host 'cmp1' has a nova-compute service; similar: .*cmp01"):
        stage.nova.service("cmp1")


def test_a_wholly_unknown_host(stage: FakeStage) -> None:
    """Without a similar name the number of hosts is told."""
    with pytest.raises(Rejected, match="there are 6 hosts, none with a similar name"):
        stage.nova.service("zzz")


def test_a_service_that_is_disabled_already(stage: FakeStage) -> None:
    """Disabling it once more is no error, and another reason replaces the first."""
    service = stage.nova.disable(stage.nova.service("cmp01"), "one")
    assert stage.nova.disable(service, "one").disabled_reason == "one"
    assert stage.nova.disable(service, "two").disabled_reason == "two"


def test_whether_a_server_exists(stage: FakeStage) -> None:
    """A deleted one does not; any other refusal is no answer."""
    (vm,) = stage.boot(1)
    assert stage.nova.exists(vm)
    stage.fake.delete_server(vm)
    assert not stage.nova.exists(vm)
    stage.fake.fail_next(403, of="GET /compute/v2.1/servers/")
    with pytest.raises(Refused):
        stage.nova.exists(vm)


def test_a_long_reason_is_cut(stage: FakeStage) -> None:
    """Nova keeps 255 characters."""
    assert stage.nova.disable(stage.nova.service("cmp01"), "x" * 300).disabled_reason == "x" * 255


def test_another_refusal_of_a_service_is_told(stage: FakeStage) -> None:
    """What Nova answers to a change of a service is passed on."""
    service = stage.nova.service("cmp01")
    stage.fake.fail_next(403, of="PUT")
    with pytest.raises(Refused) as refused:
        stage.nova.enable(service)
    assert refused.value.status == 403


def test_evacuation_keeps_its_version(stage: FakeStage) -> None:
    """In 2.95 and later an evacuated server would stay stopped: the request says 2.94."""
    (vm,) = stage.boot(1)
    stage.nova.force_down(stage.nova.service("cmp01"), True)
    stage.nova.evacuate(vm, "cmp02")
    stage.clock.advance(30)
    assert (stage.fake.server(vm).status, stage.fake.server(vm).host) == ("ACTIVE", "cmp02")


def test_a_move_is_forced_in_the_last_version_that_knows_it(stage: FakeStage) -> None:
    """From 2.68 on Nova refuses `force` as unheard of, so that the request says 2.67."""
    (vm,) = stage.boot(1)
    stage.nova.live_migrate(vm, "cmp02", force=True)
    nova_facts.ended(stage, vm, "completed")
    with pytest.raises(Refused, match="'force' was unexpected") as refused:
        stage.cloud.compute.post(f"/servers/{vm}/action", json={"os-migrateLive": {"host": "cmp03", "force": True}})
    assert refused.value.status == 400


def test_a_forced_move_still_needs_room(stage: FakeStage) -> None:
    """Placement's claim is not skipped: a target that is full, down, or the server's own host is refused."""
    (vm,) = stage.boot(1)
    stage.fake.add_host("full", memory_mb=100)
    stage.fake.kill_host("cmp06")
    failed = 0
    for target in ("full", "cmp06", "cmp01"):
        stage.nova.live_migrate(vm, target, force=True)
        failed = nova_facts.ended(stage, vm, "error", after=failed).id
    assert (stage.fake.server(vm).host, stage.fake.server(vm).status) == ("cmp01", "ACTIVE")


def test_a_forced_evacuation_with_others_fails(stage: FakeStage) -> None:
    """As seen on the lab: the new host does not find the other members, and the server is in ERROR on the old one."""
    vm, _ = stage.boot_together(2)
    stage.nova.force_down(stage.nova.service("cmp01"), True)
    stage.nova.evacuate(vm, "cmp02", force=True)
    nova_facts.ended(stage, vm, "failed")
    assert (stage.fake.server(vm).host, stage.fake.server(vm).status) == ("cmp01", "ERROR")
    assert stage.nova.failure_reason(vm) == "Affinity instance group policy was violated"


def test_the_double_stops_what_is_evacuated_in_later_versions(stage: FakeStage) -> None:
    """As Nova does in 2.95."""
    (vm,) = stage.boot(1)
    stage.nova.force_down(stage.nova.service("cmp01"), True)
    stage.cloud.compute.post(f"/servers/{vm}/action", json={"evacuate": {"host": "cmp02"}})
    stage.clock.advance(30)
    assert stage.fake.server(vm).status == "SHUTOFF"


def test_a_lost_answer(stage: FakeStage) -> None:
    """The migration goes on, and the caller is told that it does not know."""
    (vm,) = stage.boot(1)
    stage.fake.drop_answer_of_next("live-migrate")
    with pytest.raises(AnswerLost):
        stage.nova.live_migrate(vm, "cmp02")
    stage.clock.advance(10)
    assert stage.fake.server(vm).host == "cmp02"


def test_no_record_of_a_move(stage: FakeStage) -> None:
    """A server that was never moved, or not since, has no reason."""
    (vm,) = stage.boot(1)
    assert stage.nova.failure_reason(vm) == "Nova has no record of the move"
    stage.nova.live_migrate(vm, "cmp01")
    stage.clock.advance(10)
    later = stage.clock.now() + timedelta(minutes=5)
    assert stage.nova.failure_reason(vm, later) == "Nova has no record of the move"
    assert stage.nova.failure_reason(vm).startswith("No valid host")


def test_the_latest_move_counts(stage: FakeStage) -> None:
    """The reason of an earlier try is not told for a later one."""
    (vm,) = stage.boot(1)
    stage.fake.faults[vm] = Fault(precheck=True, times=1)
    for _ in range(2):
        stage.nova.live_migrate(vm, "cmp02" if _ == 0 else "cmp01")
        stage.clock.advance(10)
    assert stage.nova.failure_reason(vm).startswith("No valid host")


def test_an_old_nova_keeps_no_details() -> None:
    """Before 2.84 there are no details for an event: its name is told, and where to look."""
    stage = FakeStage()
    stage.fake.nova.newest = "2.80"
    (vm,) = stage.boot(1)
    stage.nova.live_migrate(vm, "cmp01")
    stage.clock.advance(10)
    expected = "conductor_live_migrate_instance failed; Nova gives no reason, see the log of nova-conductor"
    assert stage.nova.failure_reason(vm) == expected


def test_a_reason_is_short_and_has_no_password(stage: FakeStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Details of some events carry addresses with credentials, and can be pages long."""
    (vm,) = stage.boot(1)
    stage.nova.live_migrate(vm, "cmp01")
    stage.clock.advance(10)
    stage.fake.world.settle()
    stage.fake.world.actions[vm][0].events[0].details = "rabbit://nova:hunter2@mq:5672 is down\n" + "x " * 400
    reason = stage.nova.failure_reason(vm)
    assert reason.startswith("rabbit://[redacted]@mq:5672 is down x")
    assert len(reason) == 300


def test_a_source_that_dies_while_it_copies(stage: FakeStage) -> None:
    """As seen on the lab: nothing changes until its nova-compute is back; then the server is where it was."""
    (vm,) = stage.boot(1)
    stage.nova.live_migrate(vm, "cmp02")
    stage.clock.advance(1.5)
    stage.fake.kill_host("cmp01")
    stage.clock.advance(300)
    assert nova_facts.row(stage, vm).status == "running"
    stage.nova.abort(vm, nova_facts.row(stage, vm).id)
    stage.clock.advance(10)
    assert nova_facts.server(stage, vm).status == "MIGRATING"
    stage.fake.revive_host("cmp01")
    assert nova_facts.ended(stage, vm, "error").target == "cmp02"
    assert nova_facts.server(stage, vm).host == "cmp01"


def test_a_target_that_dies_while_it_receives(stage: FakeStage) -> None:
    """As seen on the lab: half a minute after the copy the server is on the dead target, in ERROR."""
    (vm,) = stage.boot(1)
    stage.nova.live_migrate(vm, "cmp02")
    stage.clock.advance(1.5)
    stage.fake.kill_host("cmp02")
    nova_facts.ended(stage, vm, "error")
    found = nova_facts.server(stage, vm)
    assert (found.host, found.status) == ("cmp02", "ERROR")


def test_deleted_on_the_way(stage: FakeStage) -> None:
    """A server that its owner deletes while it moves, or waits to, blocks nobody."""
    first, second, third = stage.boot(3)
    for vm in (first, second, third):
        stage.nova.live_migrate(vm, "cmp02")
    stage.clock.advance(1.5)
    stage.fake.delete_server(first)
    stage.fake.delete_server(second)
    nova_facts.ended(stage, third, "completed")
    assert {row.status for row in stage.fake.migrations if row.server != third} == {"error"}
    with pytest.raises(Refused) as refused:
        stage.nova.progress(first)
    assert refused.value.status == 404


def test_anti_affinity_is_checked_by_where_members_are(stage: FakeStage) -> None:
    """The scheduler refuses a host with a member on it, and is blind to one on its way (lp#1821755)."""
    group = stage.fake.add_group("anti-affinity")
    one = stage.fake.add_server("cmp01", group=group)
    two = stage.fake.add_server("cmp03", group=group)
    stage.nova.live_migrate(one, "cmp03")
    nova_facts.ended(stage, one, "error")
    failed = nova_facts.row(stage, one).id
    stage.nova.live_migrate(one, "cmp04")
    stage.nova.live_migrate(two, "cmp04")
    nova_facts.ended(stage, one, "completed", after=failed)
    nova_facts.ended(stage, two, "completed")
    assert stage.fake.server(one).host == stage.fake.server(two).host == "cmp04"
