"""Keystone: fernet tokens, cached in memcached."""

from __future__ import annotations

from collections.abc import Mapping

from lab.config.ini import Value, database, logs, memcached, render
from lab.layout import Lab


def files(lab: Lab) -> dict[str, str]:
    keys = lab.data / "keystone"
    sections: dict[str, Mapping[str, Value]] = {
        "DEFAULT": logs(lab),
        "database": database(lab, "keystone"),
        "token": {"provider": "fernet", "expiration": 86400},
        "fernet_tokens": {"key_repository": str(keys / "fernet")},
        "fernet_receipts": {"key_repository": str(keys / "fernet")},
        "credential": {"key_repository": str(keys / "credential")},
        # The fewest rounds bcrypt takes: a lab's passwords guard nothing, and every log-in would cost 0.2 s of CPU.
        "identity": {"password_hash_rounds": 4},
        "cache": {
            "enabled": True,
            "backend": "dogpile.cache.pymemcache",
            "memcache_servers": memcached(lab),
        },
        "oslo_policy": {"policy_dirs": str(lab.etc / "keystone-policy.d")},
    }
    return {"keystone.conf": render(sections)}
