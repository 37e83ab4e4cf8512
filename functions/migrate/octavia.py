"""Octavia's verbs as a drain needs them. Each one is one request; what comes of a failover is read from the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.clouds.errors import Refused
from shared.errors import Retry

if TYPE_CHECKING:
    from shared.clouds.api import Api
    from shared.clouds.connection import Cloud

DELETED = "DELETED"
"""The status of what Octavia does not know (any more)."""


class Octavia:
    """The verbs. All may raise `Refused`, `Retry` and, when they change something, `AnswerLost`, as `Nova` says."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def balancer_status(self, balancer: str) -> str:
        """The provisioning_status of a load balancer: ACTIVE, PENDING_…, ERROR; DELETED when there is none."""
        return self._status(f"/v2/lbaas/loadbalancers/{balancer}", "loadbalancer", "provisioning_status")

    def amphora_status(self, amphora: str) -> str:
        """The status of an amphora; DELETED when there is none. While it is failed over it is PENDING_DELETE."""
        return self._status(f"/v2/octavia/amphorae/{amphora}", "amphora", "status")

    def fail_over(self, amphora: str) -> None:
        """Have an amphora replaced by a new one, wherever Nova's scheduler puts that; then its server is deleted.

        Octavia makes the load balancer PENDING_UPDATE before it answers 202. It ends ACTIVE, or in ERROR.

        Raises:
            Refused: 404, there is no such amphora (any more); 409, its load balancer is not ACTIVE.
        """
        self._api.put(f"/v2/octavia/amphorae/{amphora}/failover")

    @property
    def _api(self) -> Api:
        api = self._cloud.load_balancer
        if api is None:  # it was there when the drain was planned
            raise Retry(f"cloud {self._cloud.name}: its catalogue has no endpoint for load-balancer any more")
        return api

    def _status(self, path: str, key: str, field: str) -> str:
        try:
            found: dict[str, Any] = self._api.get(path)[key]
        except Refused as refused:
            if refused.status == 404:
                return DELETED
            raise
        return str(found[field])
