"""The requests of the table in docs/security.md: every door against every sort of stranger."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import jwt
from cloudevents.conversion import to_binary
from cryptography.hazmat.primitives import serialization
from flask.testing import FlaskClient
from werkzeug.test import Client, TestResponse

from shared.access import OpenGate
from shared.access.limits import FAILURES, PERSON
from shared.door import cloud_event
from shared.server import MAX_EVENT
from shared.telemetry.scraping import metrics_app
from tests.support.doors import CLUSTER, IDP, SENDER, TICK, World, id_token, rsa_key, token

TICKED = "io.drover.tick"
KEY = {"drovertick": "cGxhbnRlZC10aWNrLWtleS0wMTIzNDU2Nzg5"}  # base64 of TICK
METRICS = "planted-metrics-token-0123"


@dataclass(frozen=True)
class Row:
    """One request and what becomes of it."""

    door: str
    request: str
    status: int
    says: str
    knock: Callable[[World], TestResponse]

    @property
    def name(self) -> str:
        return f"{self.door}: {self.request}"


def bearer(world: World, token: str) -> TestResponse:
    """An event with a bearer token."""
    return world.post(authorization=f"Bearer {token}")


def as_user(world: World, *roles: str, type: str = "io.drover.walk.requested", **scope: object) -> TestResponse:
    """A request of a person's with a token of Keystone's."""
    return world.post(world.event(type), x_auth_token=world.web.person("gAAAAAB-good", *roles, **scope))


def public_as_hmac(world: World) -> TestResponse:
    """The old trick: sign with HMAC, and the public key as its secret (RFC 8725, 2.1)."""
    pem = (
        rsa_key("cluster-1")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    encode = jwt.utils.base64url_encode
    header = encode(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "cluster-1"}).encode())
    body = token().encode().split(b".")[1]
    mac = jwt.get_algorithm_by_name("HS256")
    raw = mac.sign(header + b"." + body, pem)  # type: ignore[arg-type]
    return bearer(world, b".".join([header, body, encode(raw)]).decode())


def tampered(world: World) -> TestResponse:
    """A good token with another subject in it."""
    header, _, signature = token().split(".")
    body = token(sub="system:serviceaccount:drover:keeper").split(".")[1]
    return bearer(world, f"{header}.{body}.{signature}")


def away(world: World, host: str, knock: Callable[[World], TestResponse]) -> TestResponse:
    """While a service does not answer."""
    world.web.down.add(host)
    return knock(world)


def aged(world: World, **ago: float) -> TestResponse:
    """A signed event of another time."""
    return world.post(world.signed(replace(world.event(), time=world.clock.now() - timedelta(**ago))))


def untimed(world: World) -> TestResponse:
    """A signed event whose time has been taken away."""
    headers, body = to_binary(cloud_event(world.signed()))
    return world.client.post("/", data=body, headers={k: v for k, v in headers.items() if k != "ce-time"})


def changed(world: World) -> TestResponse:
    """Another host than the signed one."""
    return world.post(replace(world.signed(), data={"target": "cmp02"}))


def after(times: float, once: Callable[[World], TestResponse], world: World) -> TestResponse:
    """The last of so many."""
    for _ in range(int(times)):
        once(world)
    return once(world)


def revoked(world: World) -> TestResponse:
    """A token that was good a minute ago."""
    token = world.web.person("gAAAAAB-good", "drover_operator")
    assert world.get(x_auth_token=token).status_code == 200
    del world.web.tokens[token]
    world.clock.advance(61)
    return world.post(x_auth_token=token)


def metrics(_: World, token: str = METRICS, **headers: str) -> TestResponse:
    """A scrape."""
    return Client(metrics_app(_.bench.engine.metrics, token)).get("/metrics", headers=headers)


def served(world: World, host: str) -> TestResponse:
    """`drover serve`, called by some name."""
    world.door._gate = OpenGate()
    return world.get(host=host)


def bare(world: World) -> FlaskClient:
    """The same function without any setting."""
    return World(world.bench, {}).client


def raw(world: World, **headers: str) -> TestResponse:
    """A POST that is no event."""
    return world.client.post("/", data="{", headers={k.replace("_", "-"): v for k, v in headers.items()})


CE = {"ce_id": "1", "ce_source": "/x", "ce_type": "io.drover.walk.requested", "ce_specversion": "1.0"}
PAST = int(time.time()) - 600
ROWS = [
    Row("any", "a POST, and nothing is configured", 401, "nobody is let in", lambda w: bare(w).post("/")),
    Row("any", "a GET, and nothing is configured", 401, "nobody is let in", lambda w: bare(w).get("/?operations")),
    Row("any", "an event without any credential", 401, "says who he is", lambda w: w.post()),
    Row("any", "a read without any credential", 401, "says who he is", lambda w: w.get()),
    Row("any", "a POST that is no event, without any credential", 401, "says who he is", raw),
    Row("any", "a broken event without any credential", 401, "says who he is", lambda w: raw(w, **CE)),
    Row("any", "a body of two megabytes", 413, f"at most {MAX_EVENT}",
        lambda w: w.client.post("/", data="x" * 2 * MAX_EVENT)),
    Row("any", "a read with a body", 400, "with a body", lambda w: w.client.get("/?operations", data="x")),
    Row("any", "a good credential beside a wrong one", 401, "not the tick key",
        lambda w: w.post(w.signed(w.event(drovertick="bm90IHRoZSBrZXk=")))),
    Row("any", "another good credential beside a wrong one", 401, "does not fit",
        lambda w: w.post(w.signed(secret="another secret, long enough"),
                         x_auth_token=w.web.person("gAAAAAB-good", "drover_operator"))),
    Row("broker", "a delivery with its token", 200, "accepted", lambda w: bearer(w, token())),
    Row("broker", "a token signed on a curve", 200, "accepted", lambda w: bearer(w, token("ec-1"))),
    Row("broker", "an expired token", 401, "has expired", lambda w: bearer(w, token(exp=PAST))),
    Row("broker", "a token that is not valid yet", 401, "not valid yet", lambda w: bearer(w, token(nbf=PAST + 1200))),
    Row("broker", "a token for another audience", 401, "the audience", lambda w: bearer(w, token(aud="other"))),
    Row("broker", "a token of another issuer", 401, CLUSTER, lambda w: bearer(w, token(iss="https://evil.test"))),
    Row("broker", "a token of another service account", 403, "DROVER_BROKER_SENDERS",
        lambda w: bearer(w, token(sub="system:serviceaccount:default:default"))),
    Row("broker", "a token without a claim", 401, "nbf", lambda w: bearer(w, token(nbf=None))),
    Row("broker", "a token signed by an unknown key", 401, "publishes", lambda w: bearer(w, token("stranger"))),
    Row("broker", "a token signed by another key of the same name", 401, "does not fit",
        lambda w: bearer(w, token(key=rsa_key("stranger")))),
    Row("broker", "a token with another subject put in", 401, "does not fit", tampered),
    Row("broker", "a token signed with HMAC and the public key", 401, "RS256", public_as_hmac),
    Row("broker", "a token that says it needs no signature", 401, "JWT",
        lambda w: bearer(w, token(algorithm="none", key=""))),
    Row("broker", "a text that is no token", 401, "JWT", lambda w: bearer(w, "planted-nonsense")),
    Row("broker", "a name and a password", 401, "JWT", lambda w: w.post(authorization="Basic cGxhbnRlZA==")),
    Row("broker", "a read with the broker's token", 403, "reader", lambda w: w.get(authorization=f"Bearer {token()}")),
    Row("broker", "the key server is away", 503, "can't be asked",
        lambda w: away(w, "kubernetes.default.svc", lambda w: bearer(w, token()))),
    Row("signature", "a signed event", 200, "accepted", lambda w: w.post(w.signed())),
    Row("signature", "an event signed with another secret", 401, "does not fit",
        lambda w: w.post(w.signed(secret="another secret, long enough"))),
    Row("signature", "a signed event that was changed", 401, "does not fit", changed),
    Row("signature", "a signature that is no signature", 401, "does not fit",
        lambda w: w.post(w.event(droversignature="planted"))),
    Row("signature", "a signed event of eight days ago", 401, "7 days", lambda w: aged(w, days=8)),
    Row("signature", "a signed event of the future", 401, "7 days", lambda w: aged(w, minutes=-6)),
    Row("signature", "a signed event without its time", 401, "does not fit", untimed),
    Row("tick", "a tick with the key", 204, "", lambda w: w.post(w.event(TICKED, {}, **KEY))),
    Row("tick", "a tick with another key", 401, "not the tick key",
        lambda w: w.post(w.event(TICKED, {}, drovertick="cGxhbnRlZA=="))),
    Row("tick", "a tick with the key as plain text", 401, "base64",
        lambda w: w.post(w.event(TICKED, {}, drovertick=TICK))),
    Row("tick", "a tick without a key", 401, "says who he is", lambda w: w.post(w.event(TICKED, {}))),
    Row("tick", "the tick key for a drain", 403, "all that the tick key is for", lambda w: w.post(w.event(**KEY))),
    Row("tick", "the tick key for a continuation", 403, "all that the tick key is for",
        lambda w: w.post(w.event("io.drover.walk.progressed", {"operation": "1"}, **KEY))),
    Row("keystone", "a read with the role reader", 200, "operations",
        lambda w: w.get(x_auth_token=w.web.person("gAAAAAB-good", "reader"))),
    Row("keystone", "a request with the role drover_operator", 200, "accepted",
        lambda w: as_user(w, "drover_operator")),
    Row("keystone", "a request with the role admin of the system", 200, "accepted",
        lambda w: as_user(w, "admin", system={"all": True})),
    Row("keystone", "a request with the role reader", 403, "drover_operator", lambda w: as_user(w, "reader")),
    Row("keystone", "a read without a role that counts", 403, "reader",
        lambda w: w.get(x_auth_token=w.web.person("gAAAAAB-good", "member"))),
    Row("keystone", "a token of another project", 403, "scope",
        lambda w: as_user(w, "admin", project={"id": "p2", "name": "shop", "domain": {"name": "Default"}})),
    Row("keystone", "a token of a project of the same name elsewhere", 403, "scope",
        lambda w: as_user(w, "admin", project={"id": "p3", "name": "ops", "domain": {"name": "Other"}})),
    Row("keystone", "a token of a domain", 403, "scope", lambda w: as_user(w, "admin", domain={"id": "default"})),
    Row("keystone", "an unscoped token", 403, "scope", lambda w: as_user(w, domain=None)),
    Row("keystone", "an unknown token", 401, "does not know", lambda w: w.post(x_auth_token="gAAAAAB-unknown")),
    Row("keystone", "an expired token", 401, "has expired",
        lambda w: w.post(x_auth_token=w.web.person("gAAAAAB-old", "admin", minutes=-1))),
    Row("keystone", "a token that was revoked a minute ago", 401, "does not know", revoked),
    Row("keystone", "a person's tick", 403, ".requested", lambda w: as_user(w, "admin", type=TICKED)),
    Row("keystone", "a person's continuation", 403, ".requested",
        lambda w: as_user(w, "admin", type="io.drover.walk.progressed")),
    Row("keystone", "Keystone is away", 503, "can't be asked",
        lambda w: away(w, "keystone.test", lambda w: as_user(w, "admin"))),
    Row("keystone", "too many requests of one person", 429, "ann@Default",
        lambda w: after(PERSON.burst, lambda w: w.get(x_auth_token=w.web.person("gAAAAAB-good", "reader")), w)),
    Row("keystone", "too many wrong tokens from one address", 429, "too many",
        lambda w: after(FAILURES.burst, lambda w: w.get(x_auth_token=f"gAAAAAB-{len(w.web.asked)}"), w)),
    Row("oidc", "a read with the role reader", 200, "operations",
        lambda w: w.get(authorization=f"Bearer {id_token('reader')}")),
    Row("oidc", "a request with the role drover_operator", 200, "accepted",
        lambda w: bearer(w, id_token("drover_operator"))),
    Row("oidc", "a request with the role reader", 403, "drover_operator", lambda w: bearer(w, id_token("reader"))),
    Row("oidc", "a token without a role that counts", 403, "realm_access.roles",
        lambda w: bearer(w, id_token("staff"))),
    Row("oidc", "an expired token", 401, "has expired", lambda w: bearer(w, id_token("admin", exp=PAST))),
    Row("oidc", "a token for another audience", 401, "the audience",
        lambda w: bearer(w, id_token("admin", aud="shop"))),
    Row("oidc", "a token of another issuer", 401, IDP,
        lambda w: bearer(w, id_token("admin", iss="https://evil.test"))),
    Row("oidc", "a token signed by the cluster's key", 401, "publishes",
        lambda w: bearer(w, id_token("admin", kid="cluster-1"))),
    Row("oidc", "a person's token that names a service account", 200, "accepted",
        lambda w: bearer(w, id_token("admin", sub=SENDER))),
    Row("oidc", "the identity provider is away", 503, "can't be asked",
        lambda w: away(w, "login.test", lambda w: bearer(w, id_token("admin")))),
    Row("oidc", "too many requests of one person", 429, "ann (4711)",
        lambda w: after(PERSON.burst, lambda w: w.get(authorization=f"Bearer {id_token('reader')}"), w)),
    Row("metrics", "a scrape with the token", 200, "drover_events",
        lambda w: metrics(w, Authorization=f"Bearer {METRICS}")),
    Row("metrics", "a scrape without a token", 401, "DROVER_METRICS_TOKEN", metrics),
    Row("metrics", "a scrape with another token", 401, "DROVER_METRICS_TOKEN",
        lambda w: metrics(w, Authorization="Bearer planted")),
    Row("serve", "a request by this machine's own name", 200, "operations", lambda w: served(w, "127.0.0.1:8080")),
    Row("serve", "a request of a web page by another name", 403, "localhost", lambda w: served(w, "evil.test")),
]  # fmt: skip
