"""The gate of a served function, from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.access.gate import Gate, Means
from shared.access.http import Asker, Session, new_session
from shared.access.limits import FAILURES, Buckets
from shared.access.signature import Signature, Signer
from shared.access.tick import TickKey
from shared.clock import Clock, SystemClock

if TYPE_CHECKING:
    from shared.access.bearer import Issuer
    from shared.settings import Settings


def make_gate(settings: Settings, clock: Clock | None = None, session: Session = new_session) -> Gate:
    """The gate with all means that the settings name."""
    clock = clock or SystemClock()
    failures = Buckets(FAILURES, clock)
    means: list[Means] = []
    if settings.door_secrets:
        means.append(Signature(settings.door_secrets, clock))
    if settings.door_tick:
        means.append(TickKey(settings.door_tick.get_secret_value()))
    if issuers := _issuers(settings, clock, session):
        from shared.access.bearer import Bearer

        means.append(Bearer(issuers))
    if settings.keystone_url:
        from shared.access.keystone import Keystone

        asker = Asker("Keystone", session)
        means.append(Keystone(settings.keystone_url, settings.keystone_projects, asker, failures, clock))
    return Gate(means, failures, clock)


def make_signer(settings: Settings, clock: Clock | None = None) -> Signer | None:
    """What signs the events that Drover sends; None without a shared secret."""
    return Signer(settings.door_secrets, clock or SystemClock()) if settings.door_secrets else None


def _issuers(settings: Settings, clock: Clock, session: Session) -> list[Issuer]:
    found: list[Issuer] = []
    if settings.broker_issuer and settings.broker_audience:
        from shared.access.issuers import broker

        asker = Asker("the cluster's key server", session)
        names = (settings.broker_issuer, settings.broker_audience, settings.broker_senders)
        found.append(broker(*names, settings.broker_jwks_url, asker, clock))
    if settings.oidc_issuer and settings.oidc_audience:
        from shared.access.issuers import people

        asker = Asker("the identity provider", session)
        found.append(people(settings.oidc_issuer, settings.oidc_audience, settings.oidc_roles_claim, asker, clock))
    return found
