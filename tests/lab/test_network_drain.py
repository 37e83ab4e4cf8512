"""A network node of the real OpenStack is emptied and given back; its agents are played (lab_agents.py)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.support.drover import Drover, Ended
from tests.support.network_nodes import network_nodes

if TYPE_CHECKING:
    from tests.support.openstack import LabUnderTest

pytestmark = pytest.mark.lab

HOST, OTHER = "net01", "net02"
SECONDS = 300.0
WORDS = "rack 7, left"


class Neutron:
    """Neutron as its administrator sees it, with what the test has made."""

    def __init__(self, lab: LabUnderTest) -> None:
        self._network = lab.conn.network
        self._made: list[str] = []
        self.lab_network = self.get("/networks", name="lab")["networks"][0]["id"]

    def get(self, path: str, **query: Any) -> Any:
        """Read something."""
        answer = self._network.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """Change something, which must not fail."""
        answer = self._network.request(path, method, json=body, raise_exc=False)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def make(self, kind: str, **values: Any) -> str:
        """Make something that is deleted at the end."""
        made: str = self.send("POST", f"/{kind}s", {kind: values})[kind]["id"]
        self._made.append(f"/{kind}s/{made}")
        return made

    def agent(self, kind: str, host: str) -> dict[str, Any]:
        """One agent."""
        (found,) = self.get("/agents", agent_type=kind, host=host)["agents"]
        return dict(found)

    def router(self, name: str, host: str, *, ha: bool = False) -> str:
        """A router with an inner network, on the agents of one host alone."""
        router = self.make("router", name=name, ha=ha)
        network = self.make("network", name=f"{name}-net")
        subnet = self.make("subnet", network_id=network, ip_version=4, cidr="10.77.0.0/24", enable_dhcp=False)
        self.send("PUT", f"/routers/{router}/add_router_interface", {"subnet_id": subnet})
        for agent in self.get(f"/routers/{router}/l3-agents")["agents"]:
            self.send("DELETE", f"/agents/{agent['id']}/l3-routers/{router}")
        self.send("POST", f"/agents/{self.agent('L3 agent', host)['id']}/l3-routers", {"router_id": router})
        return router

    def serve_only(self, network: str, host: str) -> None:
        """Bind a network to the DHCP agent of one host alone."""
        for agent in self.get(f"/networks/{network}/dhcp-agents")["agents"]:
            self.send("DELETE", f"/agents/{agent['id']}/dhcp-networks/{network}")
        path = f"/agents/{self.agent('DHCP agent', host)['id']}/dhcp-networks"
        self.send("POST", path, {"network_id": network})

    def states(self, router: str) -> dict[str, str | None]:
        """HA state by host."""
        return {each["host"]: each["ha_state"] for each in self.get(f"/routers/{router}/l3-agents")["agents"]}

    def servers(self, network: str) -> set[str]:
        """Hosts whose DHCP agents have it."""
        return {each["host"] for each in self.get(f"/networks/{network}/dhcp-agents")["agents"]}

    def inner_host(self, router: str) -> set[str]:
        """Where the router's inner ports are bound."""
        ports = self.get("/ports", device_id=router)["ports"]
        return {port["binding:host_id"] for port in ports if port["device_owner"] == "network:router_interface"}

    def clear(self) -> None:
        """Delete what was made."""
        for path in self._made:
            if path.startswith("/routers/"):
                for port in self.get("/ports", device_id=path.rpartition("/")[2])["ports"]:
                    with suppress(AssertionError):
                        self.send("PUT", f"{path}/remove_router_interface", {"port_id": port["id"]})
        for path in reversed(self._made):
            with suppress(AssertionError):
                self.send("DELETE", path)
        for agent in self.get(f"/networks/{self.lab_network}/dhcp-agents")["agents"]:
            self.send("DELETE", f"/agents/{agent['id']}/dhcp-networks/{self.lab_network}")


@dataclass(frozen=True)
class Story:
    """What was asked for, and what Neutron showed before and after it."""

    plan: Ended
    drain: Ended
    undrain: Ended
    before: dict[str, Any]
    after: dict[str, Any]
    agents: list[dict[str, Any]]
    """The node's agents when it was empty."""
    back: list[dict[str, Any]]
    """The same when it was given back."""
    audit: list[str]


@pytest.fixture(scope="module")
def story(lab_session: LabUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One drain of a network node, which all tests of this file look at."""
    lab_session.reset()
    drover = Drover(lab_session.clouds_yaml, tmp_path_factory.mktemp("node"))
    with network_nodes(lab_session.lab, lab_session.conn):
        neutron = Neutron(lab_session)
        try:
            yield _play(neutron, drover)
        finally:
            neutron.clear()
            drover.close()
            lab_session.reset()


def _play(neutron: Neutron, drover: Drover) -> Story:
    legacy = [neutron.router(f"legacy-{number}", HOST) for number in (1, 2)]
    alone = neutron.router("ha-alone", HOST, ha=True)
    neutron.serve_only(neutron.lab_network, HOST)
    neutron.send("PUT", f"/agents/{neutron.agent('L3 agent', HOST)['id']}", {"agent": {"description": WORDS}})
    _until(lambda: neutron.states(alone) == {HOST: "active"})
    _until(lambda: neutron.inner_host(legacy[0]) == {HOST})

    def look() -> dict[str, Any]:
        return {
            "routers": [neutron.states(router) for router in legacy], "ha": neutron.states(alone),
            "dhcp": neutron.servers(neutron.lab_network), "inner": [neutron.inner_host(router) for router in legacy],
        }  # fmt: skip

    def agents() -> list[dict[str, Any]]:
        return [neutron.agent(kind, HOST) for kind in ("DHCP agent", "L3 agent")]

    before = look()
    plan = drover.run("drain-network", HOST, "--dry-run", "--json")
    drain = drover.run("drain-network", HOST, "--reason", "a fan", "--json", seconds=SECONDS)
    after, empty = look(), agents()
    undrain = drover.run("undrain-network", HOST, "--reason", "it runs", "--json")
    audit = [entry.act for entry in drover.audit(drain.document["id"])]
    return Story(plan, drain, undrain, before, after, empty, agents(), audit)


def _until(done: Any) -> None:
    end = time.monotonic() + 60
    while not done():
        assert time.monotonic() < end
        time.sleep(0.3)


def test_the_plan_names_everything(story: Story) -> None:
    """Each item with its manner and its target, and nothing was changed."""
    assert story.plan.code == 0, story.plan.stderr
    lines = {item["name"]: (item["action"], item["to"]) for item in story.plan.document["items"]}
    assert lines["legacy-1"] == lines["legacy-2"] == ("move", OTHER)
    assert lines["ha-alone"] == ("fail-over", OTHER)
    assert lines["lab"] == ("hand-over", OTHER)
    assert story.before["routers"] == [{HOST: None}] * 2


def test_neutron_says_that_it_is_empty(story: Story) -> None:
    """Routers are bound elsewhere and their ports have followed; the HA router is active there, and standby here."""
    assert story.drain.code == 0, story.drain.stderr
    assert story.drain.document["state"] == "succeeded"
    assert story.after["routers"] == [{OTHER: None}] * 2
    assert story.after["inner"] == [{OTHER}] * 2
    assert story.after["ha"] == {HOST: "standby", OTHER: "active"}
    assert story.after["dhcp"] == {OTHER}


def test_the_agents_are_disabled_and_say_why(story: Story) -> None:
    """The reason stands before what was there."""
    short = story.drain.document["id"][:8]
    assert [agent["admin_state_up"] for agent in story.agents] == [False, False]
    assert [agent["description"] for agent in story.agents] == [
        f"drover network-drain {short}: a fan", f"drover network-drain {short}: a fan | was: {WORDS}"
    ]  # fmt: skip


def test_what_was_done_is_on_record(story: Story) -> None:
    """One row for each change."""
    assert story.audit.count("remove router") == 2
    assert story.audit.count("add router") == 3
    assert story.audit.count("disable agent") == 2


def test_it_is_given_back(story: Story) -> None:
    """Both agents are enabled, with the descriptions that they had."""
    assert story.undrain.code == 0, story.undrain.stderr
    assert [agent["admin_state_up"] for agent in story.back] == [True, True]
    assert [agent["description"] for agent in story.back] == [None, WORDS]
