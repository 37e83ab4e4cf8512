"""Everybody whom a door asks, at the HTTP layer, and the keys and tokens of those who knock."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from io import BytesIO
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
from cloudevents.conversion import to_binary, to_structured
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from flask.testing import FlaskClient
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from parliament import server
from requests.adapters import BaseAdapter
from werkzeug.test import TestResponse

from lab.simulator.clock import SteppedClock
from shared.access.assembly import make_gate, make_signer
from shared.access.signature import Signer
from shared.door import Door, cloud_event
from shared.events import Event
from shared.settings import Settings
from tests.support.bench import Bench

SECRET = "planted-door-secret-0123456789abcdef"
TICK = "planted-tick-key-0123456789"
CLUSTER = "https://kubernetes.default.svc.cluster.local"
JWKS = "https://kubernetes.default.svc/openid/v1/jwks"
AUDIENCE = "drover/migrate"
SENDER = "system:serviceaccount:drover:migrate"
KEYSTONE = "https://keystone.test/v3"
IDP = "https://login.test/realms/ops"
EVERYTHING: Mapping[str, Any] = {
    "door_secret": SECRET,
    "door_tick": TICK,
    "broker_issuer": CLUSTER,
    "broker_audience": AUDIENCE,
    "broker_senders": f"{SENDER},system:serviceaccount:drover:keeper",
    "keystone_url": KEYSTONE,
    "keystone_projects": "ops@Default",
    "oidc_issuer": IDP,
    "oidc_audience": "drover",
    "oidc_roles_claim": "realm_access.roles",
}


@functools.cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key; the same name is the same key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@functools.cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """The same on a curve."""
    return ec.generate_private_key(ec.SECP256R1())


def public(kid: str, **more: Any) -> dict[str, Any]:
    """The public half of the key with this id, as its issuer publishes it."""
    kind = ec_key(kid) if kid.startswith("ec") else rsa_key(kid)
    algorithm: Any = ECAlgorithm if kid.startswith("ec") else RSAAlgorithm
    document: dict[str, Any] = algorithm.to_jwk(kind.public_key(), as_dict=True)
    return {**document, "kid": kid, "use": "sig", **more}


def token(kid: str = "cluster-1", algorithm: str | None = None, key: Any = None, **claims: Any) -> str:
    """A signed token of the cluster's, right in everything that `claims` do not change; None leaves a claim out."""
    now = int(time.time())
    right = {"iss": CLUSTER, "aud": [AUDIENCE], "sub": SENDER, "exp": now + 3600, "iat": now, "nbf": now}
    content = {name: value for name, value in {**right, **claims}.items() if value is not None}
    algorithm = algorithm or ("ES256" if kid.startswith("ec") else "RS256")
    signing = key if key is not None else (ec_key(kid) if kid.startswith("ec") else rsa_key(kid))
    return jwt.encode(content, signing, algorithm=algorithm, headers={"kid": kid})


def id_token(*roles: str, **claims: Any) -> str:
    """A person's token of the identity provider."""
    who = {"iss": IDP, "aud": "drover", "sub": "4711", "preferred_username": "ann", "nbf": None}
    return token(**{"kid": "idp-1", **who, "realm_access": {"roles": list(roles)}, **claims})


class Web(BaseAdapter):
    """requests' way to all the services; `down` hosts do not answer. `asked` keeps what was asked, in order."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self.clock = clock
        self.down: set[str] = set()
        self.asked: list[tuple[str, Mapping[str, str]]] = []
        self.pages: dict[str, Callable[[requests.PreparedRequest], tuple[int, Any]]] = {
            JWKS: lambda _: (200, {"keys": self.cluster_keys}),
            f"{IDP}/.well-known/openid-configuration": lambda _: (200, {"issuer": IDP, "jwks_uri": f"{IDP}/certs"}),
            f"{IDP}/certs": lambda _: (200, {"keys": [public("idp-1", alg="RS256")]}),
            f"{KEYSTONE}/auth/tokens?nocatalog": self._keystone,
        }
        self.cluster_keys = [public("cluster-1", alg="RS256"), public("ec-1")]
        self.tokens: dict[str, dict[str, Any]] = {}

    def session(self) -> requests.Session:
        """A session that goes here."""
        session = requests.Session()
        session.trust_env = False
        session.mount("https://", self)
        session.mount("http://", self)
        return session

    def person(self, token: str, *roles: str, name: str = "ann", minutes: float = 60, **scope: Any) -> str:
        """Let Keystone know a token; by default one of the project ops."""
        ends = self.clock.now() + timedelta(minutes=minutes)
        project = {"id": "p1", "name": "ops", "domain": {"id": "default", "name": "Default"}}
        self.tokens[token] = {
            "user": {"id": "u1", "name": name, "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": role, "name": role} for role in roles],
            "expires_at": ends.isoformat().replace("+00:00", "Z"),
            **(scope or {"project": project}),
        }
        return token

    def _keystone(self, request: requests.PreparedRequest) -> tuple[int, Any]:
        given = request.headers["X-Auth-Token"]
        if given not in self.tokens:
            return 401, {"error": {"message": "The request you have made requires authentication."}}
        assert request.headers["X-Subject-Token"] == given  # what a user may look at without any right
        return 200, {"token": self.tokens[given]}

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Answer."""
        url = str(request.url)
        self.asked.append((url, dict(request.headers)))
        if urlsplit(url).hostname in self.down:
            raise requests.ConnectionError(f"refused: {request.headers}")
        status, document = self.pages[url](request)
        response = requests.Response()
        response.status_code, response.url, response.request = status, url, request
        if status == 302 and isinstance(document, str):
            response.headers["Location"] = document
        response._content, response.raw = json.dumps(document).encode(), BytesIO()
        return response

    def close(self) -> None:
        """Nothing is open."""


class World:
    """A function with a door, everybody whom it asks, and those who knock."""

    def __init__(self, bench: Bench, settings: Mapping[str, Any] = EVERYTHING) -> None:
        self.bench, self.clock = bench, bench.clock
        self.web = Web(self.clock)
        self.settings = Settings(**settings)
        self.door = Door(
            "test",
            lambda: [bench.kind],
            make_gate(self.settings, self.clock, self.web.session),
            make_signer(self.settings, self.clock),
        )
        self.door._engine = bench.engine
        self.client: FlaskClient = server.create(SimpleNamespace(main=self.door.main)).test_client()

    def event(
        self, type: str = "io.drover.walk.requested", data: Any = None, id: str = "1", **extensions: str
    ) -> Event:
        """An event of this moment."""
        data = {"target": "cmp01"} if data is None else data
        return Event(id, "/tests", type, data, "cmp01", self.clock.now(), extensions)

    def signed(self, event: Event | None = None, secret: str = SECRET) -> Event:
        """With a signature."""
        return Signer([secret], self.clock).sign(event or self.event())

    def post(self, event: Event | None = None, structured: bool = False, **headers: str) -> TestResponse:
        """Deliver an event, with more headers."""
        sent, body = (to_structured if structured else to_binary)(cloud_event(event or self.event()))
        return self.client.post(
            "/", data=body, headers={**sent, **{k.replace("_", "-"): v for k, v in headers.items()}}
        )

    def get(self, query: str = "?operations", **headers: str) -> TestResponse:
        """Read."""
        return self.client.get(f"/{query}", headers={k.replace("_", "-"): v for k, v in headers.items()})
