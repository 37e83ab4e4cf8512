"""Nova's verbs on a real Nova: the facts that the double of the unit tests is built on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from functions.migrate.nova import Nova
from lab import computes, processes
from shared.clouds import connect
from tests.support import nova_facts

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

SERVERS = 15
"""As many as all facts together take from `boot`: they are booted at once."""

FAULTS: dict[str, dict[str, Any]] = {
    "precheck": {"fail": "pre-check"},
    "prepare": {"fail": "prepare"},
    "fails": {"fail": "migration"},
    "stalled": {"stalled": True},
}


class LabStage:
    """The lab, ready for the facts."""

    def __init__(self, lab: LabUnderTest) -> None:
        self._lab = lab
        self._fresh = [booted.id for booted in lab.fill("cmp01", SERVERS, name="fact")]
        self._faults: dict[str, dict[str, Any]] = {}
        self._groups = 0
        self.cloud = connect("lab")
        self.nova = Nova(self.cloud)

    def boot(self, count: int) -> list[str]:
        """Fresh servers on cmp01."""
        taken, self._fresh = self._fresh[:count], self._fresh[count:]
        assert len(taken) == count, "SERVERS is too small for the facts"
        return taken

    def boot_together(self, count: int) -> list[str]:
        """The same in an affinity group of their own."""
        self._groups += 1
        name = f"together-{self._groups}"
        return [booted.id for booted in self._lab.fill("cmp01", count, name=name, policy="affinity")]

    def fault(self, server: str, what: str) -> None:
        """The server stalls or fails."""
        self._faults[server] = FAULTS[what]
        self._lab.faults(self._faults)

    def look(self) -> None:
        """A moment passes."""
        time.sleep(0.2)

    def restart(self, host: str) -> None:
        """The host's nova-compute is started again."""
        self._lab.kill(host, wait=False)
        self._lab.wait("dead", lambda: not self._runs(host))
        computes.revive(self._lab.lab, host)

    def _runs(self, host: str) -> bool:
        record = processes.record_of(self._lab.lab.run, host)
        return record is not None and record.alive


@pytest.fixture(scope="module")
def stage(lab_session: LabUnderTest) -> Iterator[LabStage]:
    """The lab with fresh servers, cleaned before and after."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OS_CLIENT_CONFIG_FILE", str(lab_session.clouds_yaml))
        lab_session.reset()
        yield LabStage(lab_session)
        lab_session.reset()


@pytest.mark.parametrize("fact", nova_facts.FACTS, ids=lambda fact: fact.__name__)
def test_fact(fact: Callable[[nova_facts.Stage], None], stage: LabStage) -> None:
    """Nova does what the double of the unit tests does."""
    fact(stage)
