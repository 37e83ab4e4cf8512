"""Nova: one file for the control plane, one for all computes, and a small one for each compute."""

from __future__ import annotations

from lab.config.ini import Value, database, logs, memcached, render, service_user, token_check, transport
from lab.layout import Lab

REPORT_INTERVAL = 5
"""Seconds between two signs of life of a service; Nova's default is 10."""
SERVICE_DOWN_TIME = 30
"""Seconds after which a silent service counts as down; Nova's default is 60."""
QUOTAS = ("instances", "cores", "ram", "server_groups", "server_group_members", "key_pairs", "metadata_items")

Sections = dict[str, dict[str, Value]]


def files(lab: Lab) -> dict[str, str]:
    texts = {"nova/nova.conf": render(_control_plane(lab)), "nova/compute.conf": render(_all_computes(lab))}
    for host in lab.options.hosts:
        state = str(lab.data / "computes" / host)
        own: Sections = {
            "DEFAULT": {"host": host, "state_path": state},
            "oslo_concurrency": {"lock_path": f"{state}/lock"},
        }
        texts[f"nova/{host}.conf"] = render(own)
    return texts


def _common(lab: Lab) -> Sections:
    return {
        "DEFAULT": {
            **logs(lab),
            "transport_url": transport(lab),
            "my_ip": "127.0.0.1",
            "report_interval": REPORT_INTERVAL,
            "service_down_time": SERVICE_DOWN_TIME,
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
        },
        "keystone_authtoken": dict(token_check(lab, "nova", "compute")),
        "service_user": {**service_user(lab, "nova"), "send_service_user_token": True},
        "cache": {"enabled": True, "backend": "dogpile.cache.pymemcache", "memcache_servers": memcached(lab)},
        "placement": dict(service_user(lab, "placement")),
        "neutron": {**service_user(lab, "neutron"), "service_metadata_proxy": False},
        "glance": dict(service_user(lab, "glance")),
        "vnc": {"enabled": False},
        "notifications": {"notification_format": "unversioned"},
        "upgrade_levels": {"compute": "auto"},
    }


def _control_plane(lab: Lab) -> Sections:
    sections = _common(lab)
    sections["DEFAULT"]["state_path"] = str(lab.data / "nova")
    sections |= {
        "oslo_concurrency": {"lock_path": str(lab.data / "nova" / "lock")},
        "api_database": dict(database(lab, "nova_api")),
        "database": dict(database(lab, "nova")),
        "scheduler": {"discover_hosts_in_cells_interval": 5, "workers": 1},
        "conductor": {"workers": 1},
        "filter_scheduler": {"host_subset_size": 1, "shuffle_best_same_weighed_hosts": True},
        "quota": dict.fromkeys(QUOTAS, -1),
    }
    return sections


def _all_computes(lab: Lab) -> Sections:
    """The computes' own file: without the databases, which only the control plane may reach."""
    sections = _common(lab)
    sections["DEFAULT"] |= {
        "compute_driver": "drover_lab.LabDriver",  # Nova puts `nova.virt.` before it
        "max_concurrent_live_migrations": lab.options.cap,
        "reserved_host_memory_mb": 0,
        "reserved_host_disk_mb": 0,
        "reclaim_instance_interval": 0,
    }
    sections["compute"] = {"live_migration_wait_for_vif_plug": False}
    sections["drover_lab"] = {
        "vcpus": lab.options.host_vcpus,
        "memory_mb": lab.options.host_memory_mb,
        "disk_gb": lab.options.host_disk_gb,
    }
    return sections
