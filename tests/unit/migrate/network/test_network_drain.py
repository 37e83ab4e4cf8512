"""A network drain from its request to the proof."""

from __future__ import annotations

from tests.support.nodes import Nodes


def test_everything_leaves_and_the_agents_are_disabled(nodes: Nodes) -> None:
    """Networks are handed over, legacy routers move, HA routers fail over; both agents are disabled, with a mark."""
    net, ha, legacy = nodes.network("tenants"), nodes.ha_router("edge"), nodes.router("lan")
    document = nodes.empty()
    assert (document["state"], document["note"]) == ("succeeded", "")
    assert nodes.servers_of(net) == nodes.hosts_of(net) == ["net02"]
    assert nodes.hosts_of(legacy) == [nodes.carrier(legacy)] == ["net03"]
    assert nodes.carrier(ha) == "net02"
    assert nodes.hosts_of(ha) == ["net01", "net02"]
    for agent in (nodes.l3["net01"], nodes.dhcp["net01"]):
        assert not agent.admin_up
        assert agent.description == f"drover network-drain {document['id'][:8]}: a fan is broken"
    assert document["summary"]["moved"] == document["summary"]["total"] == 3
    assert "VRRP" in document["summary"]["unseen"]
    assert nodes.facts(document["id"]) == ["accepted", "started", "completed"]
