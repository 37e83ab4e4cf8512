"""The two issuers of bearer tokens: the cluster, for the broker's deliveries, and people's identity provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from shared.access.bearer import CLAIMS, Claims, Issuer
from shared.access.caller import Caller, Role, role_of
from shared.access.errors import Forbidden
from shared.access.http import Asker
from shared.access.keys import Keys
from shared.clock import Clock
from shared.errors import Retry

DISCOVERY = "/.well-known/openid-configuration"
"""OpenID Connect Discovery 1.0, 4."""


def broker(issuer: str, audience: str, senders: Sequence[str], keys_url: str, asker: Asker, clock: Clock) -> Issuer:
    """The tokens that Knative sends with a delivery: of the service account of a Trigger, a Broker or a source.

    Args:
        senders: subjects, `system:serviceaccount:NAMESPACE:NAME`, whose deliveries are taken; `*` within NAME stands
            for any text, because Knative makes an account for each Trigger and names it itself.
        keys_url: the API server's keys.
    """

    def caller(claims: Claims) -> Caller:
        if not any(fnmatchcase(claims["sub"], pattern) for pattern in senders):
            raise Forbidden(
                "this service account's deliveries are not taken; expected one of DROVER_BROKER_SENDERS",
                "broker",
                "subject",
            )
        return Caller(claims["sub"], Role.DELIVERY, "broker")

    keys = Keys(lambda: asker.document(keys_url), clock)
    return Issuer("broker", issuer, audience, keys, caller, (*CLAIMS, "nbf"))


def people(issuer: str, audience: str, roles_claim: str, asker: Asker, clock: Clock) -> Issuer:
    """The tokens of people who signed in at an OpenID provider.

    Args:
        roles_claim: where the names of roles are; dots lead into nested claims: `realm_access.roles`.
    """

    def caller(claims: Claims) -> Caller:
        role = role_of(_roles(claims, roles_claim))
        if role is None:
            raise Forbidden(
                f"this person has no role here; expected reader or drover_operator in the token's claim {roles_claim}",
                "oidc",
                "role",
            )
        return Caller(_name(claims), role, "oidc")

    return Issuer("oidc", issuer, audience, Keys(lambda: _discovered(issuer, asker), clock), caller, person=True)


def _discovered(issuer: str, asker: Asker) -> Mapping[str, Any]:
    document = asker.document(issuer.rstrip("/") + DISCOVERY)
    address = document.get("jwks_uri")
    if document.get("issuer") != issuer or not isinstance(address, str):
        raise Retry(f"{asker.who}: its {DISCOVERY} names another issuer than DROVER_OIDC_ISSUER, or no jwks_uri")
    return asker.document(address)


def _roles(claims: Claims, path: str) -> Iterable[str]:
    found: Any = claims
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return found.split()
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def _name(claims: Claims) -> str:
    """The subject alone is nobody else's (OpenID Connect Core 1.0, 5.7); the other name is for whoever reads it."""
    nick = claims.get("preferred_username")
    return f"{nick} ({claims['sub']})" if isinstance(nick, str) and nick else str(claims["sub"])
