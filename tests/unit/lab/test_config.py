"""The services' configuration: private, on the loopback address, and written only when it has changed."""

from __future__ import annotations

import configparser
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from lab import config, layout
from lab.config import mariadb, nova, rabbitmq
from lab.layout import Lab, Options


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A lab of three hosts that was never started."""
    return layout.create(tmp_path / "lab", Options(computes=3, cap=2))


def ini(text: str) -> configparser.RawConfigParser:
    """The text as a service reads it."""
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string(text)
    return parser


def test_files_are_private_and_written_once(lab: Lab) -> None:
    """Every file is readable by its owner only, and a second time nothing is written."""
    written = config.write(lab)
    assert {f"nova/cmp0{number}.conf" for number in (1, 2, 3)} < written
    assert {stat.S_IMODE((lab.etc / name).stat().st_mode) for name in written} == {0o600}
    assert config.write(lab) == set()


def test_new_cap_touches_the_computes_file_only(lab: Lab) -> None:
    """Another number of migrations at once is a matter of the computes alone."""
    config.write(lab)
    assert config.write(replace(lab, options=Options(computes=3, cap=5))) == {"nova/compute.conf"}


def test_computes_never_see_the_databases(lab: Lab) -> None:
    """nova-compute gets no database connection, as in production."""
    compute = ini(nova.files(lab)["nova/compute.conf"])
    assert "database" not in compute
    assert "api_database" not in compute
    assert compute["DEFAULT"]["max_concurrent_live_migrations"] == "2"


def test_listeners_are_on_loopback(lab: Lab) -> None:
    """MariaDB, RabbitMQ, its management and Erlang's own ports are bound to the loopback address."""
    assert ini(mariadb.files(lab)["mariadb.cnf"])["mysqld"]["bind-address"] == "127.0.0.1"
    broker = rabbitmq.files(lab)["rabbitmq.conf"]
    assert f"listeners.tcp.default = 127.0.0.1:{lab.port('rabbitmq')}\n" in broker
    assert "management.tcp.ip = 127.0.0.1\n" in broker
    environment = rabbitmq.environment(lab)
    assert environment["ERL_EPMD_ADDRESS"] == "127.0.0.1"
    assert "{127,0,0,1}" in environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]


def test_truth_is_written_as_oslo_reads_it(lab: Lab) -> None:
    """Booleans are lower-case words."""
    assert ini(nova.files(lab)["nova/nova.conf"])["vnc"]["enabled"] == "false"
