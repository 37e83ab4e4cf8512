"""Drover's settings: environment variables that begin with `DROVER_`, and the few that others set.

Importing this module costs about 0.1 s (pydantic-settings), so that `func.py` does it at the first event.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import DroverError

PREFIX = "DROVER_"
FUNCTION_PORT = 8080
"""Where parliament listens, in a pod and elsewhere."""
DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
"""URL schemes that are taken, and the SQLAlchemy dialect and driver that each one means."""

OTHERS = {
    "DROVER_SINK": "K_SINK",
    "DROVER_CLOUD": "OS_CLOUD",
    "DROVER_OTLP_ENDPOINT": "OTEL_EXPORTER_OTLP_ENDPOINT",
}
"""What Knative, OpenStack and OpenTelemetry call the same thing; Drover's own variable wins."""


class SettingsError(DroverError):
    """An environment variable has a value that can't be used; nothing was started."""


def _either(variable: str) -> AliasChoices:
    return AliasChoices(variable, OTHERS[variable])


def _default_database() -> SecretStr:
    from platformdirs import user_state_dir  # only needed without DROVER_DATABASE_URL

    return SecretStr(f"sqlite:///{Path(user_state_dir('drover')) / 'drover.db'}")


def _default_log_format() -> Literal["json", "console"]:
    return "console" if sys.stderr.isatty() else "json"


def _database_url(value: SecretStr) -> SecretStr:
    scheme, separator, rest = value.get_secret_value().partition("://")
    if not separator or scheme not in DRIVERS or not rest:
        raise ValueError("a URL such as postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////a/file.db")
    return SecretStr(f"{DRIVERS[scheme]}://{rest}")


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an http:// or https:// address with a host")
    return value


def _metrics_port(value: int | None) -> int | None:
    if value == FUNCTION_PORT:
        raise ValueError(f"another port than {FUNCTION_PORT}, where the function itself listens")
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class Settings(BaseSettings):
    """What the environment says; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    database_url: Annotated[SecretStr, AfterValidator(_database_url)] = Field(default_factory=_default_database)
    """The store, as an SQLAlchemy URL; secret because it may hold a password.
    By default an SQLite file in the user's state directory, which the store makes when it opens it."""

    log_format: Annotated[Literal["json", "console"], BeforeValidator(_lower)] = Field(
        default_factory=_default_log_format
    )
    """One JSON object a line, or lines for people; by default the latter when stderr is a terminal."""
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(_upper)] = "INFO"

    sink: HttpUrl | None = Field(default=None, validation_alias=_either("DROVER_SINK"))
    """Where events go that are no reply; Knative's SinkBinding sets K_SINK."""
    url: HttpUrl | None = None
    """A served or deployed Drover that the command line talks to; none: it runs operations itself."""
    cloud: str | None = Field(default=None, validation_alias=_either("DROVER_CLOUD"))
    """The entry of clouds.yaml that is meant when a request names none."""

    otlp_endpoint: HttpUrl | None = Field(default=None, validation_alias=_either("DROVER_OTLP_ENDPOINT"))
    """Base address of an OTLP/HTTP collector, such as http://collector:4318; none: no traces."""
    metrics_port: Annotated[int | None, Field(ge=1, le=65535), AfterValidator(_metrics_port)] = None
    """Port of the Prometheus metrics; none: they are not served.
    Knative's queue-proxy has 8012, 8013, 8022, 9090 and 9091 of the same pod: take another, such as 9464."""

    slice_seconds: Annotated[float, Field(gt=0, le=55)] = 25
    """How long one invocation works on an operation before it saves and answers."""
    lease_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    """How long a worker that died blocks the operation it held."""
    continuation_hops: Annotated[int, Field(ge=0, le=100)] = 6
    """How many slices may follow each other by reply events before the next tick.
    Bounded because an in-memory channel holds the first request open until the last of them has ended."""

    @model_validator(mode="after")
    def _lease_outlives_slice(self) -> Settings:
        if self.lease_seconds <= self.slice_seconds:
            raise ValueError(
                f"DROVER_LEASE_SECONDS: found {self.lease_seconds:g}, expected more than the "
                f"{self.slice_seconds:g} of DROVER_SLICE_SECONDS; else two workers would do the same slice"
            )
        return self


def load() -> Settings:
    """The settings of this process.

    Raises:
        SettingsError: one line for each variable that can't be used: what was found and what was expected.
    """
    try:
        return Settings()
    except ValidationError as error:
        # `from None`: pydantic's own text repeats the inputs, and one of them may hold a password
        lines = [_explain(item) for item in error.errors(include_context=False)]
        raise SettingsError("\n".join(lines)) from None


def _explain(item: Mapping[str, Any]) -> str:
    expected = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if not item["loc"]:
        return str(expected)
    name = str(item["loc"][0])
    variable = name if name.isupper() else PREFIX + name.upper()
    if variable in OTHERS and not os.environ.get(variable):
        variable = OTHERS[variable]
    found = repr(_without_password(str(item["input"])))
    if isinstance(item["input"], SecretStr) or variable == "DROVER_DATABASE_URL":
        scheme = _scheme(item["input"])
        found = f"a URL that begins with {scheme!r}" if scheme else "a value without `://`"
    return f"{variable}: found {found}, expected {expected}; change it or unset it"


def _scheme(value: SecretStr | str) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    scheme, separator, _ = text.partition("://")
    return scheme + separator if separator else ""


def _without_password(value: str) -> str:
    head, separator, rest = value.partition("://")
    if not separator or "@" not in rest:
        return value
    return f"{head}://[redacted]@{rest.rpartition('@')[2]}"
