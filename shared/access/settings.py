"""The settings of the doors: who is let in, and how he says who he is. With none of them nobody is."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, model_validator
from pydantic_settings import BaseSettings, NoDecode

SHORTEST = 16
"""Characters of a secret at least; 32 random bytes in base64 are 44."""
JWKS_URL = "https://kubernetes.default.svc/openid/v1/jwks"
"""The API server's keys, in every cluster."""

_SENDER = re.compile(r"system:serviceaccount:[a-z0-9-]+:[a-z0-9.*-]+")


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an http:// or https:// address with a host")
    return value


def long_enough(value: SecretStr | None) -> SecretStr | None:
    """Every key in it is too long to be guessed.

    Raises:
        ValueError: one is not.
    """
    if value is not None and any(len(key) < SHORTEST for key in value.get_secret_value().split() or [""]):
        raise ValueError(f"a random secret of {SHORTEST} characters or more, such as `openssl rand -hex 32` prints")
    return value


def _parts(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part for part in (part.strip() for part in value.split(",")) if part)
    return value


def _service_accounts(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if not _SENDER.fullmatch(name):
            raise ValueError("system:serviceaccount:NAMESPACE:NAME, several with commas between them")
    return value


def _keystone_url(value: str | None) -> str | None:
    if value is None:
        return None
    trimmed = value.rstrip("/")
    if not trimmed.endswith("/v3"):
        raise ValueError("Keystone's address with its version: https://HOST/v3")
    return trimmed


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Secret = Annotated[SecretStr | None, AfterValidator(long_enough)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_parts)]


class DoorSettings(BaseSettings):
    """What a deployed function lets in, and how its own events prove where they come from."""

    door_secret: Secret = None
    """Shared with whoever sends signed events. Several keys with blanks between them: the first signs, all count."""
    door_tick: Secret = None
    """Key of little power, for schedules: it lets time events in and nothing else."""

    broker_issuer: str | None = None
    """Issuer of the cluster's service account tokens; with the two below, deliveries are verified by Knative's OIDC."""
    broker_audience: str | None = None
    """What the delivery tokens must be made for: the `audience` of the Trigger's subscriber."""
    broker_senders: Annotated[Names, AfterValidator(_service_accounts)] = ()
    """Service accounts whose deliveries are taken, with commas: system:serviceaccount:NAMESPACE:NAME. `*` within NAME
    stands for any text: Knative makes an account for each Trigger and names it itself."""
    broker_jwks_url: HttpUrl = JWKS_URL
    """The keys of the cluster's tokens."""

    keystone_url: Annotated[HttpUrl | None, AfterValidator(_keystone_url)] = None
    """Keystone that knows the people, https://HOST/v3."""
    keystone_projects: Names = ()
    """Projects whose scope counts, with commas: NAME@DOMAIN or ids. That of the system always does."""

    oidc_issuer: HttpUrl | None = None
    """OpenID provider where people sign in."""
    oidc_audience: str | None = None
    """What their tokens must be made for."""
    oidc_roles_claim: str = "roles"
    """The claim with the names of their roles; dots lead into nested ones: realm_access.roles."""

    plain_http: bool = False
    """Whether credentials may travel without TLS, where something else keeps listeners out."""

    @property
    def door_secrets(self) -> tuple[str, ...]:
        """The keys of `door_secret`, the newest first."""
        return tuple(self.door_secret.get_secret_value().split()) if self.door_secret else ()

    @model_validator(mode="after")
    def _means_are_whole(self) -> DoorSettings:
        broker = {"ISSUER": self.broker_issuer, "AUDIENCE": self.broker_audience, "SENDERS": self.broker_senders}
        _all_or_none("DROVER_BROKER_", broker)
        _all_or_none("DROVER_OIDC_", {"ISSUER": self.oidc_issuer, "AUDIENCE": self.oidc_audience})
        if self.oidc_issuer and self.oidc_issuer == self.broker_issuer:
            raise ValueError(
                "DROVER_OIDC_ISSUER: found that of DROVER_BROKER_ISSUER, expected another: people and service accounts "
                "are told apart by it"
            )
        if self.keystone_projects and not self.keystone_url:
            raise ValueError("DROVER_KEYSTONE_PROJECTS: found without DROVER_KEYSTONE_URL; set both or neither")
        return self

    @model_validator(mode="after")
    def _credentials_travel_safely(self) -> DoorSettings:
        urls = {"KEYSTONE_URL": self.keystone_url, "OIDC_ISSUER": self.oidc_issuer}
        urls["BROKER_JWKS_URL"] = self.broker_jwks_url
        for name, url in urls.items():
            if url and not self.plain_http and not is_private(url):
                raise ValueError(
                    f"DROVER_{name}: found an address without TLS, expected https://: whoever listens would learn "
                    "tokens, whoever answers would let himself in. DROVER_PLAIN_HTTP=true permits it"
                )
        return self


def is_private(url: str) -> bool:
    """Whether nobody else can listen: TLS, or this machine's own loopback."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        return parts.scheme == "https" or host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _all_or_none(prefix: str, values: dict[str, Any]) -> None:
    missing = [name for name, value in values.items() if not value]
    if missing and len(missing) < len(values):
        raise ValueError(
            f"{prefix}{' and '.join(missing)}: found nothing, expected a value: "
            f"{', '.join(prefix + name for name in values)} only mean something together"
        )
