"""A virt driver without a hypervisor, whose live migrations take time, report progress, and fail when told to."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from drover_lab.faults import Fault, Faults
from nova import exception
from nova.compute import power_state, vm_states
from nova.virt import fake
from oslo_config import cfg
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

MIB = 1024 * 1024
TICK = 0.1
"""Seconds between two looks at what a migration should do next."""
REPORT = 2.0
"""Seconds between two progress reports to the migration's record (libvirt's driver: 5)."""
STALLED_AT = 0.4
"""The part of its memory that a stalled server never gets across."""
FAIL_AT = 0.5
"""How far a migration gets that is to fail."""

CAPACITY = [cfg.IntOpt("vcpus"), cfg.IntOpt("memory_mb"), cfg.IntOpt("disk_gb")]
"""Section `drover_lab` of the computes' configuration: what each host offers."""

POWER_OF_STATE = {
    vm_states.PAUSED: power_state.PAUSED,
    vm_states.SUSPENDED: power_state.SUSPENDED,
    vm_states.STOPPED: power_state.SHUTDOWN,
}
"""How a server that Nova knows in this state is found on its hypervisor; all others run."""


@dataclass
class Copying:
    """A live migration while it runs."""

    abort: threading.Event = field(default_factory=threading.Event)
    force: threading.Event = field(default_factory=threading.Event)


class LabDriver(fake.FakeDriverWithoutFakeNodes):  # type: ignore[misc] # Nova has no types
    """Nova's own fake driver, with what an operator sees of a real one."""

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        self.lab = os.environ["DROVER_LAB_DIR"]
        cfg.CONF.register_opts(CAPACITY, group="drover_lab")
        capacity = cfg.CONF.drover_lab
        self.vcpus, self.memory_mb, self.local_gb = capacity.vcpus, capacity.memory_mb, capacity.disk_gb
        super().__init__(virtapi, read_only)
        self.faults = Faults(os.path.join(self.lab, "faults.yaml"), os.path.join(self.lab, "data", "faults"))
        self.copying: dict[str, Copying] = {}

    def _lab_seconds(self) -> float:
        """The lab's own time for a live migration, read each time since `up --seconds` may change it."""
        with open(os.path.join(self.lab, "etc", "computes.json")) as file:
            return float(json.load(file)["seconds"])

    # --- what is on this host ---

    def _adopt(self, instance: Any) -> None:
        """Know a server again after a restart of nova-compute: a hypervisor would still run it."""
        if instance.uuid in self.instances or instance.host != self._host or instance.deleted:
            return
        if instance.vm_state in (vm_states.BUILDING, vm_states.DELETED):
            return
        state = POWER_OF_STATE.get(instance.vm_state, power_state.RUNNING)
        self.instances[instance.uuid] = fake.FakeInstance(instance.name, state, instance.uuid)

    def get_info(self, instance: Any, use_cache: bool = True) -> Any:
        self._adopt(instance)
        return super().get_info(instance, use_cache)

    def _set_power(self, instance: Any, state: int) -> None:
        self._adopt(instance)
        if instance.uuid in self.instances:
            self.instances[instance.uuid].state = state

    def pause(self, instance: Any) -> None:
        self._set_power(instance, power_state.PAUSED)

    def unpause(self, instance: Any) -> None:
        self._set_power(instance, power_state.RUNNING)

    def suspend(self, context: Any, instance: Any) -> None:
        self._set_power(instance, power_state.SUSPENDED)

    def resume(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        self._set_power(instance, power_state.RUNNING)

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        self._adopt(instance)
        super().power_off(instance, timeout, retry_interval)

    def power_on(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        self._adopt(instance)
        super().power_on(context, instance, *args, **kwargs)

    def reboot(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        self._adopt(instance)
        super().reboot(context, instance, *args, **kwargs)

    def unrescue(self, context: Any, instance: Any) -> None:
        self._set_power(instance, power_state.RUNNING)

    def migrate_disk_and_power_off(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> str:
        self._set_power(instance, power_state.SHUTDOWN)
        return "[]"

    def destroy(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        self.live_migration_abort(instance)
        if instance.uuid in self.instances:
            super().destroy(context, instance, *args, **kwargs)

    # --- boot ---

    def spawn(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> None:
        """Boot, rebuild after an evacuation, or finish a cold migration, unless a fault says otherwise."""
        fault = self.faults.of_server(instance.uuid, instance.display_name)
        if fault and fault.spawn_seconds:
            time.sleep(fault.spawn_seconds)
        if fault and fault.spawn and self.faults.strikes(fault, "spawn", instance.uuid, self._host):
            if fault.spawn == "fail":
                raise exception.InstanceDeployFailure(reason=f"fault {fault.pattern!r} of the lab")
            self._hang(instance)
        super().spawn(context, instance, *args, **kwargs)

    def _hang(self, instance: Any) -> None:
        """Wait as long as the faults file says so."""
        while True:
            fault = self.faults.of_server(instance.uuid, instance.display_name)
            if fault is None or fault.spawn != "hang":
                return
            time.sleep(TICK)

    # --- live migration, at the target ---

    def check_can_live_migrate_destination(
        self, context: Any, instance: Any, src_compute_info: Any, dst_compute_info: Any, block_migration: Any = False,
        disk_over_commit: Any = False,
    ) -> Any:  # fmt: skip
        """Refuse what the fault says, and block migration, since the lab's disks count as shared."""
        self._strike(instance, "pre-check", self._host)
        if block_migration:
            raise exception.InvalidLocalStorage(path="lab", reason="block migration can't be used with shared storage")
        return super().check_can_live_migrate_destination(
            context, instance, src_compute_info, dst_compute_info, block_migration, disk_over_commit
        )

    def pre_live_migration(self, context: Any, instance: Any, *args: Any, **kwargs: Any) -> Any:
        fault = self._strike(instance, "prepare", self._host)
        if fault and fault.kill == "target" and self.faults.strikes(fault, "kill", instance.uuid, self._host):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().pre_live_migration(context, instance, *args, **kwargs)

    def _strike(self, instance: Any, stage: str, target: str) -> Fault | None:
        """Fail if the server's fault is to fail at this stage; otherwise return the fault."""
        fault = self.faults.of_server(instance.uuid, instance.display_name)
        if fault and fault.fail == stage and self.faults.strikes(fault, stage, instance.uuid, target):
            raise exception.MigrationPreCheckError(reason=f"fault {fault.pattern!r} of the lab on {target}")
        return fault

    def post_live_migration_at_destination(
        self, context: Any, instance: Any, network_info: Any, block_migration: bool = False,
        block_device_info: Any = None,
    ) -> None:  # fmt: skip
        """The server runs here now, or is paused as it was."""
        self.instances[instance.uuid] = fake.FakeInstance(
            instance.name, POWER_OF_STATE.get(instance.vm_state, power_state.RUNNING), instance.uuid
        )

    # --- live migration, at the source ---

    def live_migration(
        self, context: Any, instance: Any, dest: str, post_method: Any, recover_method: Any,
        block_migration: bool = False, migrate_data: Any = None,
    ) -> None:  # fmt: skip
        """Copy for as long as the lab or the server's fault says; then hand over, or recover."""
        self._adopt(instance)
        copying = self.copying[instance.uuid] = Copying()
        try:
            end = self._copy(instance, dest, copying, getattr(migrate_data, "migration", None))
        finally:
            self.copying.pop(instance.uuid, None)
        if end == "completed":
            post_method(context, instance, dest, block_migration, migrate_data)
        else:
            recover_method(context, instance, dest, migrate_data, migration_status=end)

    def _copy(self, instance: Any, dest: str, copying: Copying, migration: Any) -> str:
        """Let time pass and report progress; returns 'completed', 'failed' or 'cancelled'."""
        total = instance.flavor.memory_mb * MIB
        begin, next_report, failure_due = time.monotonic(), 0.0, True
        while True:
            fault = self.faults.of_server(instance.uuid, instance.display_name) or Fault(pattern="")
            seconds = self._lab_seconds() if fault.seconds is None else fault.seconds
            elapsed = time.monotonic() - begin
            done = min(1.0, elapsed / seconds) if seconds else 1.0
            if copying.abort.is_set():
                return "cancelled"
            if failure_due and done >= FAIL_AT:
                failure_due = False
                if self._fails(fault, instance, dest):
                    return "failed"
            if copying.force.is_set() or (done >= 1.0 and not fault.stalled):
                self._report(migration, total, 0.0, max(1.0, elapsed / max(seconds, TICK)))
                return "completed"
            if elapsed >= next_report:
                # A stalled server dirties its pages as fast as they are copied: what remains goes up and down for ever.
                floor = STALLED_AT + random.uniform(0, 0.05) if fault.stalled else 0.0
                self._report(migration, total, max(1.0 - done, floor), elapsed / max(seconds, TICK))
                next_report = elapsed + REPORT
            time.sleep(TICK if fault.stalled else min(TICK, max(0.01, seconds - elapsed)))

    def _fails(self, fault: Fault, instance: Any, dest: str) -> bool:
        """Whether the fault strikes half-way: the migration fails, or this compute dies."""
        if fault.kill == "source" and self.faults.strikes(fault, "kill", instance.uuid, dest):
            os.kill(os.getpid(), signal.SIGKILL)
        return fault.fail == "migration" and self.faults.strikes(fault, "migration", instance.uuid, dest)

    def _report(self, migration: Any, total: int, remaining: float, processed: float) -> None:
        """Write progress to the migration's record, as libvirt's driver does. The disk is shared, so none is copied."""
        if migration is None:
            return
        migration.memory_total = total
        migration.memory_remaining = int(total * remaining)
        migration.memory_processed = int(total * processed)
        migration.disk_total = migration.disk_processed = migration.disk_remaining = 0
        migration.save()

    def live_migration_force_complete(self, instance: Any) -> None:
        if copying := self.copying.get(instance.uuid):
            copying.force.set()

    def live_migration_abort(self, instance: Any) -> None:
        if copying := self.copying.get(instance.uuid):
            copying.abort.set()

    def post_live_migration(
        self, context: Any, instance: Any, block_device_info: Any, migrate_data: Any = None
    ) -> None:
        """The server has left this host."""
        self.instances.pop(instance.uuid, None)

    def post_live_migration_at_source(self, context: Any, instance: Any, network_info: Any) -> None:
        """Nothing is plugged, so there is nothing to unplug."""

    def rollback_live_migration_at_source(self, context: Any, instance: Any, migrate_data: Any) -> None:
        """The server never left."""
