"""Where the RabbitMQ of each cloud is, and who Drover is there.

`brokers.yaml` names them as clouds.yaml names the clouds:

    brokers:
      prod:
        url: amqps://drover:PASSWORD@mq1:5671,mq2:5671/openstack
        management: [https://mq1:15671, https://mq2:15671]
        ca_file: /etc/ssl/certs/mq.pem

It is read from DROVER_BROKERS_FILE, else from beside the clouds.yaml that OS_CLIENT_CONFIG_FILE names, ~/.config/drover
or /etc/drover. With DROVER_RABBIT_URL (and DROVER_RABBIT_MANAGEMENT, comma-separated, DROVER_RABBIT_CA_FILE) no file is
read.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import SplitResult, quote, unquote, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator, model_validator

from shared.errors import Rejected

if TYPE_CHECKING:
    from pika.connection import Parameters

FILE = "brokers.yaml"
TIMEOUT = 10.0
"""Seconds that a broker has to answer."""
HEARTBEAT = 30
"""Seconds; a connection that is silent for so long is lost."""
PORTS = {"amqp": 5672, "amqps": 5671}

Model = TypeVar("Model", bound=BaseModel)


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    url: SecretStr
    management: tuple[str, ...] = ()
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _is_amqp(cls, value: SecretStr) -> SecretStr:
        parts = urlsplit(value.get_secret_value())
        if parts.scheme not in PORTS or not parts.netloc:
            raise ValueError("expected amqp://USER:PASSWORD@HOST[:PORT][,HOST…]/VHOST, or amqps")
        return value

    @field_validator("management", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [entry.strip() for entry in value.split(",") if entry.strip()] if isinstance(value, str) else value

    @field_validator("management")
    @classmethod
    def _is_http(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(entry.startswith(("http://", "https://")) for entry in value):
            raise ValueError("expected http(s)://HOST:PORT of each node's management API")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> _Entry:
        if self.key_file and not self.cert_file:
            raise ValueError("found key_file without cert_file: name the certificate that the key belongs to")
        addresses = (self.url.get_secret_value(), *self.management)
        if (self.ca_file or self.cert_file) and not any(one.startswith(("amqps:", "https:")) for one in addresses):
            raise ValueError("found files for TLS, and no address that speaks it: write amqps:// and https://")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    brokers: dict[str, _Entry]


@dataclass(frozen=True)
class Broker:
    """One RabbitMQ: a node or several, and the vhost that OpenStack uses.

    Attributes:
        management: base addresses of the management API, one for each node.
    """

    name: str
    vhost: str
    user: str
    password: SecretStr
    hosts: tuple[tuple[str, int], ...]
    tls: bool
    management: tuple[str, ...]
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def parameters(self) -> list[Parameters]:
        """For pika, one for each node, to be tried in turn."""
        from pika import ConnectionParameters, PlainCredentials, SSLOptions

        credentials = PlainCredentials(self.user, self.password.get_secret_value())
        return [
            ConnectionParameters(
                host=host, port=port, virtual_host=self.vhost, credentials=credentials, heartbeat=HEARTBEAT,
                ssl_options=SSLOptions(self.tls_context(), host) if self.tls else None, socket_timeout=TIMEOUT,
                blocked_connection_timeout=HEARTBEAT, client_properties={"connection_name": "drover"},
            )
            for host, port in self.hosts
        ]  # fmt: skip

    def tls_context(self) -> ssl.SSLContext:
        """Verifies the broker, by its own authority if one is named, and shows a certificate if there is one.

        Raises:
            Rejected: a file can't be used.
        """
        file = self.ca_file
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
            if file := self.cert_file:
                # An empty password: a key that has one is refused, where OpenSSL would ask for it at the terminal.
                context.load_cert_chain(file, self.key_file, password="")
        except OSError as error:
            key = f" with the key in {self.key_file}" if self.key_file and file == self.cert_file else ""
            raise Rejected(
                f"the TLS of {self.name}'s RabbitMQ: found {file}{key}, which can't be used ({_short(error)}); "
                "expected PEM files that we may read: ca_file with certificates, cert_file with one and its chain, "
                "key_file with its key and no password"
            ) from error
        return context

    @property
    def authorities(self) -> str | bool:
        """For requests: the file or directory of those that may sign the broker's certificate, which are the system's
        if none is named, as for AMQP; True where the system has none, for those that requests brings.
        """
        found = ssl.get_default_verify_paths()
        return str(self.ca_file) if self.ca_file else found.cafile or found.capath or True

    @property
    def vhost_path(self) -> str:
        """The vhost as the management API writes it in paths."""
        return quote(self.vhost, safe="")


def find_broker(name: str | None, environment: Mapping[str, str] | None = None) -> Broker:
    """The broker of a cloud.

    Args:
        name: as brokers.yaml has it; None for the only one there is.

    Raises:
        Rejected: there is none of this name, or what is said of it can't be used.
    """
    given = os.environ if environment is None else environment
    if given.get("DROVER_RABBIT_URL"):
        return _broker(name or "default", _of_environment(given))
    path, places = _file(given)
    if path is None:
        tried = ", ".join(map(str, places))
        raise Rejected(
            "nothing says where RabbitMQ is: set DROVER_RABBIT_URL to amqp(s)://USER:PASSWORD@HOST/VHOST and "
            f"DROVER_RABBIT_MANAGEMENT to http(s)://HOST:15672, or write {FILE} with `brokers:`, and below it by the "
            f"cloud's name `url` and `management`; looked for {tried}"
        )
    entries = _validated(_File, _read(path), str(path)).brokers
    if name is None and len(entries) == 1:
        name = next(iter(entries))
    if name is None or name not in entries:
        known = ", ".join(sorted(entries)) or "none"
        raise Rejected(f"found {name or 'no name of a cloud'}, expected one of the brokers in {path}: {known}")
    return _broker(name, entries[name])


def all_brokers(environment: Mapping[str, str] | None = None) -> list[Broker]:
    """Every broker that is configured; none if nothing says where they are.

    Raises:
        Rejected: what is said of them can't be used.
    """
    given = os.environ if environment is None else environment
    if given.get("DROVER_RABBIT_URL"):
        return [_broker("default", _of_environment(given))]
    path, _ = _file(given)
    entries = _validated(_File, _read(path), str(path)).brokers if path else {}
    return [_broker(name, entry) for name, entry in entries.items()]


def _of_environment(given: Mapping[str, str]) -> _Entry:
    entry = {"url": given["DROVER_RABBIT_URL"], "management": given.get("DROVER_RABBIT_MANAGEMENT", "")} | {
        key: given[variable]
        for key in ("ca_file", "cert_file", "key_file")
        if given.get(variable := f"DROVER_RABBIT_{key.upper()}")
    }
    return _validated(_Entry, entry, "DROVER_RABBIT_*")


def _file(given: Mapping[str, str]) -> tuple[Path | None, list[Path]]:
    """The file that counts, and where it was looked for."""
    from platformdirs import user_config_dir

    if named := given.get("DROVER_BROKERS_FILE"):
        return Path(named), [Path(named)]
    places = [Path(user_config_dir("drover")) / FILE, Path("/etc/drover") / FILE]
    if clouds := given.get("OS_CLIENT_CONFIG_FILE"):
        places.insert(0, Path(clouds).parent / FILE)
    return next((place for place in places if place.exists()), None), places


def _read(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"{path}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise Rejected(f"{path}:{where} this is no YAML") from None  # its own text repeats the file, passwords and all


def _validated(model: type[Model], document: Any, where: str) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_input=False)]
        raise Rejected(f"{where}: {'; '.join(lines)}") from None


def _broker(name: str, entry: _Entry) -> Broker:
    parts = urlsplit(entry.url.get_secret_value())
    hosts = parts.netloc.split(",")
    user, _, password = hosts[0].rpartition("@")[0].partition(":")
    return Broker(
        name=name,
        vhost=unquote(parts.path[1:]) or "/",
        user=unquote(user) or "guest",
        password=SecretStr(unquote(password) or "guest"),
        hosts=tuple(_host(host, parts) for host in hosts),
        tls=parts.scheme == "amqps",
        management=entry.management,
        ca_file=entry.ca_file,
        cert_file=entry.cert_file,
        key_file=entry.key_file,
    )


def _short(error: OSError) -> str:
    return str(error.strerror or error).partition(" (_ssl")[0]


def _host(text: str, parts: SplitResult) -> tuple[str, int]:
    """`host`, `host:port` or `[address]:port`; each of several may repeat the user, as oslo.messaging writes it."""
    one = urlsplit(f"//{text.rpartition('@')[2]}")
    try:
        return one.hostname or "localhost", one.port or PORTS[parts.scheme]
    except ValueError:
        raise Rejected(f"the address of RabbitMQ: found a port that is no number in {one.hostname}") from None
