"""All processes of a lab: how each is started, and how it is seen to be ready."""

from __future__ import annotations

import os
from pathlib import Path

from lab.config import rabbitmq
from lab.install import find_program, rabbitmq_server
from lab.layout import Lab
from lab.processes import Service

THREADS = {"nova": 16, "neutron": 12, "keystone": 8, "placement": 8, "glance": 4}
"""Threads of each API; each may hold a database connection."""

INFRASTRUCTURE = ("mariadb", "memcached", "epmd", "rabbitmq")


def infrastructure(lab: Lab) -> list[Service]:
    """The database, the message bus and the cache, in the order of their start."""
    return [_mariadb(lab), _memcached(lab), _epmd(lab), _rabbitmq(lab)]


def apis(lab: Lab) -> list[Service]:
    """The HTTP services; keystone first, since all others ask it."""
    nova_files = f"{lab.venv}/etc/nova/api-paste.ini;{lab.etc}/nova/nova.conf"
    return [
        _api(lab, "keystone", "keystone.wsgi.api", {"OS_KEYSTONE_CONFIG_FILES": f"{lab.etc}/keystone.conf"}),
        _api(lab, "placement", "placement.wsgi.api", {"OS_PLACEMENT_CONFIG_DIR": f"{lab.etc}/placement"}),
        _api(lab, "glance", "glance.wsgi.api", {"OS_GLANCE_CONFIG_DIR": f"{lab.etc}/glance"}),
        _api(
            lab,
            "neutron",
            "neutron.wsgi.api",
            {"OS_NEUTRON_CONFIG_DIR": f"{lab.etc}/neutron", "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2.ini"},
        ),
        _api(
            lab,
            "nova",
            "nova.wsgi.osapi_compute",
            {"OS_NOVA_CONFIG_DIR": f"{lab.etc}/nova", "OS_NOVA_CONFIG_FILES": nova_files},
        ),
    ]


def workers(lab: Lab) -> list[Service]:
    """What works behind the APIs, and the fake hosts."""
    nova = f"--config-file={lab.etc}/nova/nova.conf"
    neutron = (f"--config-file={lab.etc}/neutron/neutron.conf", f"--config-file={lab.etc}/neutron/ml2.ini")
    inside = {"DROVER_LAB_DIR": str(lab.directory)}
    return [
        Service("nova-conductor", (lab.program("nova-conductor"), nova)),
        Service("nova-scheduler", (lab.program("nova-scheduler"), nova)),
        Service("neutron-rpc-server", (lab.program("neutron-rpc-server"), *neutron)),
        Service("neutron-periodic-workers", (lab.program("neutron-periodic-workers"), *neutron)),
        Service("agents", (lab.program("python"), "-m", "drover_lab.agents", neutron[0]), inside),
        Service("computes", (lab.program("python"), "-m", "drover_lab.computes"), inside),
    ]


def all_services(lab: Lab) -> list[Service]:
    """Every process that `up` starts itself; the computes are forked by the service `computes`."""
    return [*infrastructure(lab), *apis(lab), *workers(lab)]


def _program(name: str) -> str:
    return find_program(name) or name


def _mariadb(lab: Lab) -> Service:
    command = (_program("mariadbd"), f"--defaults-file={lab.etc}/mariadb.cnf", f"--init-file={lab.etc}/mariadb.sql")
    return Service("mariadb", command, port=lab.port("mariadb"))


def _memcached(lab: Lab) -> Service:
    port = lab.port("memcached")
    command = [_program("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-m", "64", "-c", "4096"]
    if os.geteuid() == 0:
        command += ["-u", "root"]
    return Service("memcached", tuple(command), port=port)


def _epmd(lab: Lab) -> Service:
    """Erlang's port mapper, which RabbitMQ would start as a daemon of its own that nobody stops."""
    port = lab.port("epmd")
    return Service("epmd", (_program("epmd"), "-address", "127.0.0.1", "-port", str(port)), port=port)


def _rabbitmq(lab: Lab) -> Service:
    (lab.data / "rabbitmq").mkdir(parents=True, exist_ok=True)
    return Service("rabbitmq", (rabbitmq_server(),), rabbitmq.environment(lab), port=lab.port("rabbitmq"))


def _api(lab: Lab, name: str, module: str, environment: dict[str, str]) -> Service:
    port = lab.port(name)
    command = (lab.program("python"), "-m", "drover_lab.wsgi", module, str(port), str(THREADS[name]))
    return Service(name, command, environment, port=port, url=lab.url(name))


def directories(lab: Lab) -> list[Path]:
    """Directories that the services expect to find."""
    names = ["keystone/fernet", "keystone/credential", "nova", "neutron"]
    names += [f"glance/{name}" for name in ("images", "staging", "tasks")]
    names += [f"computes/{host}" for host in lab.options.hosts]
    return [lab.data / name for name in names]
