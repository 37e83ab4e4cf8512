"""Drover's client of OVSDB against real servers: clusters, TLS, servers that are silent, dead, or something else."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from functions.migrate.network.ovn_wire import Address, Database, Tls
from shared.clouds import AnswerLost
from shared.errors import Permanent, Retry
from tests.support.ovn import Programs, free_port, schema_file, until

NORTH = "OVN_Northbound"
NAMES = [{"op": "select", "table": "Logical_Switch", "where": [], "columns": ["name"]}]


def tcp(port: int) -> Address:
    """A port of the loopback interface."""
    return Address("tcp", "127.0.0.1", port)


def insert(name: str) -> dict[str, object]:
    """A change: one more switch."""
    return {"op": "insert", "table": "Logical_Switch", "row": {"name": name}}


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """What starts servers, and stops them in the end."""
    programs = Programs(tmp_path)
    yield programs
    programs.close()


@pytest.fixture
def server(programs: Programs) -> Address:
    """A northbound database on a server of its own."""
    port = free_port()
    programs.database("nb", "ovn-nb.ovsschema", f"--remote=ptcp:{port}:127.0.0.1")
    return tcp(port)


def test_an_answer_of_many_pieces_is_put_together(server: Address) -> None:
    """Twenty thousand rows come back whole, and a comment of a transaction counts for nothing."""
    database = Database(NORTH, [server])
    database.change([insert(f"switch {number} {{}}" + "é" * 20) for number in range(20_000)])
    (rows,) = database.read(NAMES)
    assert len({row["name"] for row in rows}) == 20_000


def test_nothing_is_changed_when_one_operation_is_refused(server: Address) -> None:
    """A transaction is carried out whole or not at all, and the message says why."""
    database = Database(NORTH, [server])
    with pytest.raises(Permanent, match="nothing was changed"):
        database.change([insert("one"), {"op": "update", "table": "No", "where": [], "row": {}}])
    assert database.read(NAMES) == [[]]


def test_the_wrong_database_is_named(server: Address) -> None:
    """A northbound address where the southbound is expected is no reason to wait."""
    with pytest.raises(Permanent, match="exchange DROVER_OVN_NB and DROVER_OVN_SB"):
        Database("OVN_Southbound", [server]).read([])


def test_only_the_member_that_leads_is_asked(programs: Programs) -> None:
    """Whatever the order of the addresses; when the leader dies its follower is, without a word changed."""
    raft = [free_port() for _ in range(3)]
    ports = [free_port() for _ in range(3)]
    paths = [programs.directory / f"member-{number}.db" for number in range(3)]
    first = f"tcp:127.0.0.1:{raft[0]}"
    programs.run("ovsdb-tool", "create-cluster", paths[0], schema_file("ovn-nb.ovsschema"), first)
    for number in (1, 2):
        mine = f"tcp:127.0.0.1:{raft[number]}"
        programs.run("ovsdb-tool", "join-cluster", paths[number], NORTH, mine, first)
    for number, path in enumerate(paths):
        sock = programs.serve(f"member-{number}", path, f"--remote=ptcp:{ports[number]}:127.0.0.1")
        programs.run("ovsdb-client", "--timeout=20", "wait", f"unix:{sock}", NORTH, "connected")
    addresses = [tcp(port) for port in reversed(ports)]
    database = Database(NORTH, addresses)
    database.change([insert("before")])
    with pytest.raises(Retry, match="it does not lead the cluster"):
        Database(NORTH, addresses[:2]).change([insert("by a follower")])
    programs.stop("member-0", signal.SIGKILL)

    def written() -> bool:
        try:
            database.change([insert("after")])
        except (Retry, AnswerLost):
            return False
        return True

    until(written, "another member leads")
    assert {row["name"] for row in database.read(NAMES)[0]} == {"before", "after"}


def test_a_server_that_is_silent_or_dead_costs_a_bounded_time(server: Address) -> None:
    """Each address has its share of the time; the one that works is found behind them, or the deadline holds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deaf, dead = tcp(silent.getsockname()[1]), tcp(free_port())
        start = time.monotonic()
        assert Database(NORTH, [deaf, dead, server], seconds=1).read(NAMES) == [[]]
        with pytest.raises(Retry, match=r"does not answer in time.*refused"):
            Database(NORTH, [deaf, dead], seconds=0.5).change([insert("never")])
        assert time.monotonic() - start < 2.5


def test_something_else_is_recognised() -> None:
    """A port where no OVSDB answers is a mistake that waiting does not mend."""
    with socket.create_server(("127.0.0.1", 0)) as other, talker(other):
        database = Database(NORTH, [tcp(other.getsockname()[1])], seconds=5)
        with pytest.raises(Permanent, match="is it the right port and scheme"):
            database.read(NAMES)


@contextmanager
def talker(listener: socket.socket) -> Iterator[None]:
    """Somebody who talks first, as SSH does, to one caller."""
    listener.settimeout(10)

    def greet() -> None:
        line, _ = listener.accept()
        line.sendall(b"SSH-2.0-OpenSSH\r\n")
        line.recv(1000)

    thread = threading.Thread(target=greet, daemon=True)
    thread.start()
    yield
    thread.join(10)


class Authority:
    """Signs certificates, as ovs-pki does: for names that are no hosts."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = directory / f"{name}.pem"
        self._certificate = self._sign(name, self._key.public_key(), authority=True)
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def identity(self, name: str) -> tuple[Path, Path]:
        """The files of a new key and its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        files = self._directory / f"{self._name}-{name}.key", self._directory / f"{self._name}-{name}.crt"
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        files[0].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        files[1].write_bytes(self._sign(name, key.public_key(), authority=False).public_bytes(pem))
        return files

    def _sign(self, name: str, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.now(UTC)

        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )


def test_tls_lets_in_who_belongs_and_trusts_whom_it_should(programs: Programs, tmp_path: Path) -> None:
    """With the authority's files it works; without, or with another's on either side, nothing is sent or taken."""
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    port = free_port()
    key, cert = ours.identity("server")
    files = (f"--private-key={key}", f"--certificate={cert}", f"--ca-cert={ours.file}")
    programs.database("nb", "ovn-nb.ovsschema", f"--remote=pssl:{port}:127.0.0.1", *files)
    address = Address("ssl", "127.0.0.1", port)
    Database(NORTH, [address], Tls(*ours.identity("drover"), ours.file)).change([insert("over TLS")])
    with pytest.raises(Retry, match="certificate verify failed"):
        Database(NORTH, [address], Tls(*ours.identity("drover"), others.file)).read(NAMES)
    with pytest.raises(Retry, match="no server"):
        Database(NORTH, [address], Tls(*others.identity("stranger"), ours.file)).read(NAMES)
    with pytest.raises(Permanent, match="set DROVER_OVN_KEY, DROVER_OVN_CERT and DROVER_OVN_CA"):
        Database(NORTH, [address]).read(NAMES)
    with pytest.raises(Permanent, match="TLS files for OVN can't be used"):
        Database(NORTH, [address], Tls(tmp_path / "none", cert, ours.file)).read(NAMES)
    with pytest.raises(Retry, match="no server"):
        Database(NORTH, [tcp(port)], seconds=2).read(NAMES)
