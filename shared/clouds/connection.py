"""Connections to clouds, configured as openstacksdk does it: clouds.yaml, OS_CLOUD, OS_* variables."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from shared import VERSION
from shared.errors import Permanent, Rejected
from shared.telemetry.redaction import clean_text

if TYPE_CHECKING:
    from openstack.config.cloud_region import CloudRegion
    from requests.adapters import BaseAdapter

    from shared.clouds.api import Api

Version = tuple[int, int]
"""A microversion: (2, 96)."""

NEWEST: Version = (2, 103)
"""The newest compute microversion whose meaning is known here (Nova 2026.1); a newer Nova is spoken to in this one."""
OLDEST: Version = (2, 65)
"""The oldest one in which every verb of a drain exists (Nova Rocky)."""
PLACEMENT: Version = (1, 29)
"""Traits, all resources and nested providers in allocation candidates (Placement Rocky)."""
PAGE = 1000
"""Entries of a list asked for at once; Nova's max_limit (1000 by default) may make it less."""

Sleep = Callable[[float], None]


class Cloud:
    """An authenticated cloud; `requests` counts, by service type, every HTTP request that was really sent."""

    def __init__(
        self,
        name: str,
        region: CloudRegion,
        *,
        inner: BaseAdapter | None = None,
        sleep: Sleep = time.sleep,
        global_request_id: str | None = None,
    ) -> None:
        from shared.clouds.transport import Transport

        self.name = name
        self.requests: Counter[str] = Counter()
        self._region = region
        self._sleep = sleep
        self._global_request_id = global_request_id
        self._session = region.get_session()
        wire: Any = self._session.session
        auth_url = str(region.get_auth_args().get("auth_url", ""))
        self._transport = Transport(inner or wire.get_adapter("https://"), auth_url, self.requests)
        wire.mount("http://", self._transport)
        wire.mount("https://", self._transport)

    @cached_property
    def compute(self) -> Api:
        """Nova, in the best microversion."""
        return self._api("compute", lambda: self.compute_version)

    @cached_property
    def placement(self) -> Api:
        """Placement, in microversion 1.29."""
        return self._api("placement", lambda: PLACEMENT)

    @cached_property
    def network(self) -> Api:
        """Neutron, below its endpoint: paths begin with "/v2.0/"."""
        return self._api("network", lambda: None)

    @cached_property
    def load_balancer(self) -> Api | None:
        """Octavia, below its endpoint: paths begin with "/v2/". None when the catalogue has none, which asks nobody.

        Raises:
            Retry: the token has run out, and Keystone does not answer.
        """
        from keystoneauth1.exceptions import CatalogException

        from shared.clouds.api import translated

        adapter = self._adapter("load-balancer")
        with self._transport.exchange("identity") as exchange:
            try:
                found = adapter.get_endpoint()
            except CatalogException:
                found = None
            except Exception as error:
                raise translated(error, self.name, "Keystone", exchange.trouble) from None
        return self._api("load-balancer", lambda: None) if found else None

    @cached_property
    def compute_version(self) -> Version:
        """The compute microversion in use: the server's newest, but at most `NEWEST`. The first use asks Nova.

        Raises:
            Permanent: the cloud is too old, or has no Nova.
            Retry: it does not answer.
        """
        from shared.clouds.api import Unanswered, translated

        with self._transport.exchange("compute") as exchange:
            try:
                found = self._adapter("compute").get_endpoint_data()
            except Exception as error:
                raise translated(error, self.name, "compute", exchange.trouble) from None
        if exchange.trouble:
            raise Unanswered(f"cloud {self.name}: compute {exchange.trouble}", None)
        newest: Version | None = found and found.max_microversion
        if not newest or newest < OLDEST:
            has = f"{newest[0]}.{newest[1]}" if newest else "none"
            raise Permanent(
                f"cloud {self.name}: its newest compute microversion is {has}; Drover needs at least "
                f"{OLDEST[0]}.{OLDEST[1]} (Nova Rocky)"
            )
        return min((newest[0], newest[1]), NEWEST)

    def supports(self, major: int, minor: int) -> bool:
        """Whether the compute microversion in use is at least this one."""
        return self.compute_version >= (major, minor)

    def authenticate(self) -> None:
        """Get a token now instead of with the first call.

        Raises:
            Rejected: the credentials are refused.
            Retry: Keystone does not answer.
        """
        from keystoneauth1 import exceptions as ks

        from shared.clouds.api import translated

        with self._transport.exchange("identity") as exchange:
            try:
                self._session.get_token()
            except ks.ClientException as error:
                told = translated(error, self.name, "Keystone", exchange.trouble)
                raise (Rejected(str(told)) if isinstance(told, Permanent) else told) from None
            except Exception as error:
                if type(error) is Exception:  # keystoneauth's way to say that an option is missing
                    raise Rejected(_incomplete(self.name, error)) from None
                raise

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _api(self, service: str, version: Callable[[], Version | None]) -> Api:
        from shared.clouds.api import Api

        return Api(
            self._adapter(service),
            self._transport,
            cloud=self.name,
            service=service,
            version=version,
            sleep=self._sleep,
            global_request_id=self._global_request_id,
        )

    def _adapter(self, service: str) -> Any:
        from keystoneauth1.adapter import Adapter

        return Adapter(
            self._session,
            service_type=self._region.get_service_type(service),
            service_name=self._region.get_service_name(service),
            interface=self._region.get_interface(service) or "public",
            region_name=self._region.get_region_name(service),
            endpoint_override=self._region.get_endpoint(service),
        )


def connect(
    name: str | None = None,
    *,
    global_request_id: str | None = None,
    sleep: Sleep = time.sleep,
    inner: BaseAdapter | None = None,
) -> Cloud:
    """Connect to a cloud of clouds.yaml and get a token.

    Args:
        name: the cloud; None takes OS_CLOUD, the OS_* variables, or the only cloud that is configured.
        global_request_id: "req-<uuid>", to find this connection's calls in the logs of all services.
        sleep: how to wait between two tries of a read.
        inner: what sends a request; keystoneauth's own adapter when None.

    Raises:
        Rejected: unknown cloud, missing or refused credentials; the message says what was found and where.
        Retry: Keystone does not answer.
    """
    cloud = Cloud(
        *_region(name),
        inner=inner,
        sleep=sleep,
        global_request_id=global_request_id,
    )
    cloud.authenticate()
    return cloud


def _region(name: str | None) -> tuple[str, CloudRegion]:
    from keystoneauth1.exceptions import ClientException
    from openstack.config import OpenStackConfig
    from openstack.exceptions import ConfigException

    try:
        config = OpenStackConfig(app_name="drover", app_version=VERSION)
    except ConfigException as error:
        raise Rejected(f"the cloud configuration can't be read: {clean_text(str(error))}") from None  # quotes lines
    known = sorted(set(config.get_cloud_names()) - {"defaults"})  # its name for having found nothing
    name = name or os.environ.get("OS_CLOUD") or None
    if name is not None and name not in known:
        raise Rejected(_unknown(name, known, config))
    try:
        region = config.get_one(cloud=name)
        if region.get_auth() is None or not region.get_auth_args():
            raise Rejected(_unconfigured(known, config))
        return str(region.name or "environment"), region
    except (ConfigException, ClientException) as error:
        if name is None and len(known) != 1:
            raise Rejected(_unconfigured(known, config)) from None
        raise Rejected(_incomplete(name or "of the environment", error)) from None


def _incomplete(cloud: str, error: Exception) -> str:
    return f"cloud {cloud}: its configuration is incomplete: {error}; complete its `auth` section in clouds.yaml"


def _unknown(name: str, known: Sequence[str], config: Any) -> str:
    found = f"the clouds found are {', '.join(known)}" if known else "no cloud is configured"
    return f"there is no cloud {name!r}: {found} ({_searched(config)})"


def _unconfigured(known: Sequence[str], config: Any) -> str:
    if known:
        return f"no cloud is named: name one of {', '.join(known)}, or set OS_CLOUD ({_searched(config)})"
    return f"no cloud is configured: write a clouds.yaml, or set OS_CLIENT_CONFIG_FILE to one ({_searched(config)})"


def _searched(config: Any) -> str:
    """Which file was read, else which ones were looked for, and those that are there and not fit to be read."""
    places = list(dict.fromkeys(str(path) for path in config._config_files))
    if config.config_filename:
        found = [f"read from {config.config_filename}"]
        places = places[: places.index(config.config_filename)]
    else:
        found = [f"looked for {', '.join(path for path in places if not path.endswith(('.yml', '.json')))}"]
    return "; ".join(found + [f"{path} can't be read as YAML" for path in places if os.path.exists(path)])
