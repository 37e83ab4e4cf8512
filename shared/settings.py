"""Drover's settings: environment variables that begin with `DROVER_`, and the few that others set.

Importing this module costs about 0.1 s (pydantic-settings), so that `func.py` does it at the first event.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import SettingsConfigDict

from shared.access.settings import DoorSettings, HttpUrl, long_enough
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


def _metrics_port(value: int | None) -> int | None:
    if value == FUNCTION_PORT:
        raise ValueError(f"another port than {FUNCTION_PORT}, where the function itself listens")
    return value


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class Settings(DoorSettings):
    """What the environment says; an empty variable counts as unset. The doors' part is in `shared.access.settings`."""

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

    sink_token_file: Path | None = None
    """A file with a bearer token for the sink, read anew for each event: Kubernetes renews it."""
    token: SecretStr | None = None
    """What the command line says who it is with: a bearer token, sent to `url` and nowhere else."""

    otlp_endpoint: HttpUrl | None = Field(default=None, validation_alias=_either("DROVER_OTLP_ENDPOINT"))
    """Base address of an OTLP/HTTP collector, such as http://collector:4318; none: no traces."""
    metrics_port: Annotated[int | None, Field(ge=1, le=65535), AfterValidator(_metrics_port)] = None
    """Port of the Prometheus metrics; none: they are not served.
    Knative's queue-proxy has 8012, 8013, 8022, 9090 and 9091 of the same pod: take another, such as 9464."""
    metrics_token: Annotated[SecretStr | None, AfterValidator(long_enough)] = None
    """Bearer token that Prometheus must send; none: the metrics are served on 127.0.0.1 alone."""

    slice_seconds: Annotated[float, Field(gt=0, le=55)] = 25
    """How long one invocation works on an operation before it saves and answers."""
    lease_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    """How long a worker that died blocks the operation it held."""
    continuation_hops: Annotated[int, Field(ge=0, le=100)] = 6
    """How many slices may follow each other by reply events before the next tick.
    Bounded because an in-memory channel holds the first request open until the last of them has ended."""

    keep_days: Annotated[int, Field(ge=8, le=36500)] = 30
    """Days until a cleanup removes what was received and sent. Signatures are fresh for 7 days, and the inbox, which
    knows a second delivery, must outlive them."""
    keep_operations_days: Annotated[int | None, Field(ge=8, le=36500)] = None
    """Days until a cleanup removes an operation that has ended; none: operations are kept for ever."""

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
    if variable == "DROVER_DATABASE_URL":
        scheme = _scheme(item["input"])
        found = f"a URL that begins with {scheme!r}" if scheme else "a value without `://`"
    elif _is_secret(variable):
        found = f"{len(item['input'])} characters"
    return f"{variable}: found {found}, expected {expected}; change it or unset it"


def _is_secret(variable: str) -> bool:
    field = Settings.model_fields.get(variable.removeprefix(PREFIX).lower())
    return field is not None and "SecretStr" in str(field.annotation)


def _scheme(value: SecretStr | str) -> str:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    scheme, separator, _ = text.partition("://")
    return scheme + separator if separator else ""


def _without_password(value: str) -> str:
    head, separator, rest = value.partition("://")
    if not separator or "@" not in rest:
        return value
    return f"{head}://[redacted]@{rest.rpartition('@')[2]}"
