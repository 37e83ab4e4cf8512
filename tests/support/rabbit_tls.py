"""RabbitMQ that speaks TLS only, with an authority of the tests' own."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.rabbit import Rabbit

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; all of its files lie in one directory."""

    def __init__(self, directory: Path, name: str = "tests") -> None:
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {name}")])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file = directory / f"{name}-authority.pem"
        found = _begun(self._name, self._key, self._name)
        found = found.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file.write_bytes(found.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, *hosts: str, password: bytes | None = None) -> Identity:
        """A certificate for hosts, by name or address; without any it is a client's.

        Args:
            password: of the key's file; None leaves it readable.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        found = _begun(subject, key, self._name)
        if hosts:
            found = found.add_extension(x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False)
        identity = Identity(self._directory / f"{name}.pem", self._directory / f"{name}-key.pem")
        pem = serialization.Encoding.PEM
        identity.certificate.write_bytes(found.sign(self._key, hashes.SHA256()).public_bytes(pem))
        cipher = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        identity.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, cipher))
        return identity


def _begun(subject: x509.Name, key: ec.EllipticCurvePrivateKey, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class TlsRabbit(Rabbit):
    """AMQP and the management API over TLS, and neither without it; its certificate is for `localhost` only.

    Args:
        demanding: whether it refuses clients that show no certificate of its authority.

    Attributes:
        demanding: as above.
        authority: signs what it shows, `identity`.
        client: a certificate that it accepts.
    """

    scheme = "https"

    def __init__(self, *, demanding: bool, wait: bool = True) -> None:
        self.demanding = demanding
        self._files = tempfile.TemporaryDirectory(prefix="drover-tls-")
        self.authority = Authority(Path(self._files.name))
        self.identity = self.authority.issue("server", "localhost")
        self.client = self.authority.issue("client")
        super().__init__(wait=wait)

    @property
    def url(self) -> str:
        """For pika, vhost /."""
        return f"amqps://lab:guest-of-tests@localhost:{self.lab.port('rabbitmq')}/%2F"

    @property
    def management(self) -> str:
        """Of the management API, without the password."""
        return f"https://localhost:{self.lab.port('rabbitmq-management')}"

    def _settings(self, settings: dict[str, str]) -> dict[str, str]:
        found = super()._settings(settings)
        address = found.pop("listeners.tcp.default")
        port = found.pop("management.tcp.port")
        found.pop("management.tcp.ip")
        tls = {
            "cacertfile": str(self.authority.file),
            "certfile": str(self.identity.certificate),
            "keyfile": str(self.identity.key),
            "verify": "verify_peer" if self.demanding else "verify_none",
            "fail_if_no_peer_cert": str(self.demanding).lower(),
        }
        return (
            found
            | {"listeners.tcp": "none", "listeners.ssl.default": address}
            | {"management.ssl.port": port, "management.ssl.ip": "127.0.0.1"}
            | {f"ssl_options.{name}": value for name, value in tls.items()}
            | {f"management.ssl.{name}": value for name, value in tls.items()}
        )

    def _tls(self) -> ssl.SSLContext:
        found = ssl.create_default_context(cafile=str(self.authority.file))
        found.check_hostname = False  # `ask` names the address
        found.load_cert_chain(self.client.certificate, self.client.key)
        return found

    def close(self) -> None:
        """Stop it, and remove its files."""
        super().close()
        self._files.cleanup()
