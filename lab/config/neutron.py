"""Neutron: ML2 with the Open vSwitch mechanism driver, whose agents are played by lab.inside.agents."""

from __future__ import annotations

from lab.config.ini import Value, database, logs, memcached, render, service_user, token_check, transport
from lab.layout import Lab

PHYSICAL_NETWORK = "physnet1"
QUOTAS = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")


def files(lab: Lab) -> dict[str, str]:
    sections: dict[str, dict[str, Value]] = {
        "DEFAULT": {
            **logs(lab),
            "core_plugin": "ml2",
            "service_plugins": "router",
            "transport_url": transport(lab),
            "api_paste_config": str(lab.venv / "etc" / "neutron" / "api-paste.ini"),
            "state_path": str(lab.data / "neutron"),
            "rpc_workers": 1,
            "rpc_state_report_workers": 0,
            "agent_down_time": 75,
            "notify_nova_on_port_status_changes": True,
            "notify_nova_on_port_data_changes": True,
            "dhcp_agent_notification": False,
        },
        "agent": {"report_interval": 30, "root_helper": "false"},
        "database": dict(database(lab, "neutron")),
        "oslo_concurrency": {"lock_path": str(lab.data / "neutron" / "lock")},
        "keystone_authtoken": dict(token_check(lab, "neutron", "network")),
        "nova": dict(service_user(lab, "nova")),
        "placement": dict(service_user(lab, "placement")),
        "cache": {"enabled": True, "backend": "dogpile.cache.pymemcache", "memcache_servers": memcached(lab)},
        "quotas": {f"quota_{name}": -1 for name in QUOTAS},
    }
    plugin: dict[str, dict[str, Value]] = {
        "ml2": {
            "type_drivers": "vlan",
            "tenant_network_types": "vlan",
            "mechanism_drivers": "openvswitch",
            "extension_drivers": "port_security",
        },
        "ml2_type_vlan": {"network_vlan_ranges": f"{PHYSICAL_NETWORK}:100:999"},
        "securitygroup": {"firewall_driver": "noop"},
    }
    return {"neutron/neutron.conf": render(sections), "neutron/ml2.ini": render(plugin)}
