"""MariaDB: fast rather than safe, since a lab's data can be made again."""

from __future__ import annotations

import os

from lab.config.ini import render
from lab.layout import Lab

DATABASES = ("keystone", "placement", "glance", "neutron", "nova_api", "nova_cell0", "nova")
"""Made at each start of MariaDB, empty; see lab.schemas for their tables."""


def files(lab: Lab) -> dict[str, str]:
    data = lab.data / "mariadb"
    server: dict[str, str | int] = {
        "datadir": str(data),
        "socket": str(lab.run / "mariadb.sock"),
        "pid-file": str(lab.run / "mariadb.pid"),
        "port": lab.port("mariadb"),
        "bind-address": "127.0.0.1",
        "skip-name-resolve": 1,
        "max_connections": 500,
        "character-set-server": "utf8mb4",
        "innodb_flush_log_at_trx_commit": 0,
        "sync_binlog": 0,
        "innodb_doublewrite": 0,
        "innodb_buffer_pool_size": "256M",
        "performance_schema": "off",
    }
    if os.geteuid() == 0:
        server["user"] = "root"  # mariadbd refuses to run as root unless told so
    return {"mariadb.cnf": render({"mysqld": server}), "mariadb.sql": _sql(lab)}


def _sql(lab: Lab) -> str:
    """Run at each start: the databases, the lab's user, and a password for root instead of none."""
    password = lab.passwords["database"]
    lines = [f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4;" for name in DATABASES]
    for host in ("127.0.0.1", "localhost"):
        lines.append(f"CREATE USER IF NOT EXISTS 'lab'@'{host}' IDENTIFIED BY '{password}';")
        lines += [f"GRANT ALL ON {name}.* TO 'lab'@'{host}';" for name in DATABASES]
    lines.append(f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{password}';")
    return "\n".join(lines) + "\n"
