"""Where a cloud's OVN databases are: environment variables, one set for each cloud that has OVN.

`DROVER_OVN_NB`, `DROVER_OVN_SB`, `DROVER_OVN_KEY`, `DROVER_OVN_CERT`, `DROVER_OVN_CA` and `DROVER_OVN_SECONDS` are of
the cloud that DROVER_CLOUD or OS_CLOUD names, or of any cloud if neither is set. With a cloud's name in them, as in
`DROVER_OVN_NORTH_1_NB` for `north-1`, they are of that cloud alone, and then all of them are.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from functions.migrate.network.ovn_wire import SECONDS, Address, Database, Tls
from shared.settings import OTHERS, PREFIX, SettingsError

_TOLD = re.compile(
    r"(?P<scheme>tcp|ssl):(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]/]+)):(?P<port>\d{1,5})|unix:(?P<path>/.+)"
)


def _addresses(value: Any) -> Any:
    return tuple(_address(part.strip()) for part in value.split(",")) if isinstance(value, str) else value


def _address(text: str) -> Address:
    found = _TOLD.fullmatch(text)
    if not found or (found["port"] and not 0 < int(found["port"]) < 65536):
        raise ValueError("tcp:HOST:PORT or ssl:HOST:PORT, of a cluster all members with commas between them")
    if found["path"]:
        return Address("unix", found["path"])
    return Address(found["scheme"], found["six"] or found["host"], int(found["port"]))


Addresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_addresses)]


class OvnSettings(BaseSettings):
    """One cloud's; an empty variable counts as unset."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    nb: Addresses = ()
    """The northbound database: what Neutron wants."""
    sb: Addresses = ()
    """The southbound one: what the chassis do."""
    key: Path | None = None
    """File of Drover's private key (PEM, not encrypted)."""
    cert: Path | None = None
    """File of its certificate."""
    ca: Path | None = None
    """File of the authority that signs the servers' certificates."""
    seconds: Annotated[float, Field(gt=0, le=30)] = SECONDS
    """How long one exchange may take."""

    @model_validator(mode="after")
    def _complete(self) -> OvnSettings:
        if bool(self.nb) != bool(self.sb):
            raise ValueError("the addresses of both databases, or of neither: …NB and …SB")
        files = (self.key, self.cert, self.ca)
        if any(address.scheme == "ssl" for address in self.nb + self.sb) and None in files:
            raise ValueError("…KEY, …CERT and …CA, the files of TLS, for an address that begins with ssl:")
        return self


def databases(cloud: str) -> tuple[Database, Database] | None:
    """The northbound and the southbound database of a cloud; None: no OVN is set for it.

    Raises:
        SettingsError: a variable can't be used.
    """
    own = f"{PREFIX}OVN_{re.sub(r'[^A-Z0-9]', '_', cloud.upper())}_"
    common = f"{PREFIX}OVN_"
    default = os.environ.get("DROVER_CLOUD") or os.environ.get(OTHERS["DROVER_CLOUD"]) or cloud
    settings = _load(own)
    if not settings.nb and cloud == default:
        settings = _load(common)
    if not settings.nb:
        return None
    tls = Tls(settings.key, settings.cert, settings.ca) if settings.key and settings.cert and settings.ca else None
    return (
        Database("OVN_Northbound", settings.nb, tls, settings.seconds),
        Database("OVN_Southbound", settings.sb, tls, settings.seconds),
    )


def _load(prefix: str) -> OvnSettings:
    try:
        return OvnSettings(_env_prefix=prefix)
    except ValidationError as error:
        lines = []
        for item in error.errors(include_context=False):
            expected = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            variable = prefix + str(item["loc"][0]).upper() if item["loc"] else prefix + "…"
            found = repr(str(item["input"])) if item["loc"] else "a part of them"
            lines.append(f"{variable}: found {found}, expected {expected}; change it or unset it")
        raise SettingsError("\n".join(lines)) from None
