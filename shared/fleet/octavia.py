"""Which servers are amphorae, by Octavia's own word: neither a name nor a project of Nova's tells for sure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from shared.clouds.errors import Refused
from shared.errors import Rejected
from shared.fleet.snapshot import Amphora, Server

if TYPE_CHECKING:
    from shared.clouds.api import Api
    from shared.clouds.connection import Cloud


def read_amphorae(cloud: Cloud, servers: Collection[Server]) -> dict[str, Amphora]:
    """Those of the servers that are amphorae, by server id.

    Octavia is asked only when the cloud has one and a server has a config drive, which every amphora has: one request
    for every 1000 amphorae, and one for every 1000 load balancers if any of the servers is an amphora.

    Raises:
        Rejected: Octavia does not tell these credentials. An amphora must not be taken for any other server.
        Retry: it does not answer.
    """
    candidates = {server.id for server in servers if server.config_drive}
    if not candidates or (api := cloud.load_balancer) is None:
        return {}
    try:
        mine = [one for one in api.pages("/v2/octavia/amphorae", "amphorae") if one.get("compute_id") in candidates]
        balancers = _balancers(api, {one["loadbalancer_id"] for one in mine if one.get("loadbalancer_id")})
    except Refused as refused:
        raise Rejected(
            f"cloud {cloud.name}: which servers are amphorae only Octavia knows, and it does not tell: {refused}. Give "
            "the account the role load-balancer_admin (or admin): an amphora is failed over, not moved"
        ) from refused
    return {one["compute_id"]: amphora(one, balancers.get(one.get("loadbalancer_id") or "", {})) for one in mine}


def amphora(entry: Mapping[str, Any], balancer: Mapping[str, Any]) -> Amphora:
    """One entry of octavia/amphorae, with its load balancer's entry of lbaas/loadbalancers ({} when unknown)."""
    return Amphora(
        id=entry["id"],
        server=entry.get("compute_id") or "",
        role=entry.get("role") or "",
        status=entry.get("status") or "",
        balancer=entry.get("loadbalancer_id"),
        balancer_name=balancer.get("name") or entry.get("loadbalancer_id") or "",
        balancer_status=balancer.get("provisioning_status") or "",
    )


def _balancers(api: Api, wanted: set[str]) -> dict[str, Mapping[str, Any]]:
    if not wanted:
        return {}
    found = api.pages("/v2/lbaas/loadbalancers", "loadbalancers")
    return {one["id"]: one for one in found if one["id"] in wanted}
