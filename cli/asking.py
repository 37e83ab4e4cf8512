"""From a command line's words to the event that asks for it."""

from __future__ import annotations

import getpass
import re
import socket
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.errors import Rejected

if TYPE_CHECKING:
    from shared.events import Event
    from shared.settings import Settings

SOURCE = "/drover/cli"
_PERIOD = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?:in)?)?")
"""`2h`, `90m`, `1h30m`, `1d`."""


def request(event_type: str, data: Mapping[str, Any], now: datetime, subject: str) -> Event:
    """The event that asks for something; what is None or False is left to the request's own defaults."""
    from shared.events import Event

    given = {name: value for name, value in data.items() if value is not None and value is not False}
    return Event(str(uuid.uuid4()), SOURCE, event_type, {**given, "requester": requester()}, subject[:255], now)


def requester() -> str:
    """Who asks, as far as this machine knows: `user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user has no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"[:200]


def cloud_name(given: str | None, settings: Settings, is_local: bool) -> str:
    """The cloud that is meant: `--cloud`, DROVER_CLOUD, OS_CLOUD, or the only one that is configured here.

    Raises:
        Rejected: none is named, and there is none or more than one to choose from.
    """
    name = given or settings.cloud
    if name:
        return name
    if not is_local:
        raise Rejected("no cloud is named: say --cloud NAME, as the clouds.yaml over there calls it, or set OS_CLOUD")
    known, place = _configured()
    if len(known) == 1:
        return known[0]
    if known:
        raise Rejected(
            f"no cloud is named, and there are {', '.join(known)} in {place}: say --cloud NAME, or set OS_CLOUD"
        )
    raise Rejected(
        "no cloud is configured: write ~/.config/openstack/clouds.yaml, or set OS_CLIENT_CONFIG_FILE to another one "
        "(a file that is no YAML is passed over; the log says so)"
    )


def _configured() -> tuple[list[str], str]:
    """Names of the clouds that openstacksdk finds, and where."""
    from openstack.config import OpenStackConfig
    from openstack.exceptions import ConfigException

    try:
        config = OpenStackConfig()
    except ConfigException as error:
        raise Rejected(f"the cloud configuration can't be read: {error}") from None
    entries = config.cloud_config["clouds"]
    made_up = {"defaults"} if "auth" not in entries.get("defaults", {}) else set()  # by the SDK, when there is no other
    return sorted(set(entries) - made_up), str(config.config_filename or "the environment")


def deadline(text: str | None, now: datetime) -> str | None:
    """The time that `2h`, `90m`, `1d` (from now) or an ISO 8601 time means, in UTC; a time without zone is local.

    Raises:
        Rejected: it is none of them, or lies in the past.
    """
    if text is None:
        return None
    period = _PERIOD.fullmatch(text.strip().lower())
    if period and any(period.groups()):
        days, hours, minutes = (min(int(part or 0), 10**6) for part in period.groups())  # a datetime ends in 9999
        moment = now + timedelta(days=days, hours=hours, minutes=minutes)
    else:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise Rejected(
                f"--deadline: found {text!r}, expected a time from now such as 90m, 2h or 1h30m, or an ISO 8601 time "
                "such as 2026-05-01T06:00+02:00"
            ) from None
        moment = moment.astimezone(UTC)
    if moment <= now:
        raise Rejected(f"--deadline: {text!r} is in the past (it is {now.isoformat(timespec='minutes')})")
    return moment.isoformat()
