"""Glance with images in files."""

from __future__ import annotations

from lab.config.ini import database, logs, render, token_check
from lab.layout import Lab


def files(lab: Lab) -> dict[str, str]:
    data = lab.data / "glance"
    sections = {
        "DEFAULT": {
            **logs(lab),
            "enabled_backends": "lab:file",
            "enabled_import_methods": "[glance-direct]",
            "worker_self_reference_url": lab.url("glance"),
        },
        "database": database(lab, "glance"),
        "glance_store": {"default_backend": "lab"},
        "lab": {"filesystem_store_datadir": str(data / "images")},
        "os_glance_staging_store": {"filesystem_store_datadir": str(data / "staging")},
        "os_glance_tasks_store": {"filesystem_store_datadir": str(data / "tasks")},
        "oslo_concurrency": {"lock_path": str(data / "lock")},
        "keystone_authtoken": token_check(lab, "glance", "image"),
        "paste_deploy": {
            "flavor": "keystone",
            "config_file": str(lab.venv / "etc" / "glance" / "glance-api-paste.ini"),
        },
    }
    return {"glance/glance-api.conf": render(sections)}
