"""Placement."""

from __future__ import annotations

from lab.config.ini import database, logs, render, token_check
from lab.layout import Lab


def files(lab: Lab) -> dict[str, str]:
    sections = {
        "DEFAULT": logs(lab),
        "api": {"auth_strategy": "keystone"},
        "placement_database": database(lab, "placement"),
        "keystone_authtoken": token_check(lab, "placement", "placement"),
    }
    return {"placement/placement.conf": render(sections)}
