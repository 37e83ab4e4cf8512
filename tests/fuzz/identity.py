"""Who lets in: a server of keys on the loopback address, and the tokens that it vouches for."""

from __future__ import annotations

import functools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

BROKER = "https://kubernetes.default.svc.cluster.local"
AUDIENCE = "drover"
SENDER = "system:serviceaccount:drover:trigger"
PEOPLE = 40
"""Each may make only so many requests; so there are several."""
LIFE = 12 * 3600
"""Seconds for which the tokens are good: longer than any run."""


class Identity:
    """Keys of a cluster and of an identity provider, over HTTP."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._other = ec.generate_private_key(ec.SECP256R1())
        jwk = ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        self._keys = {"keys": [{**jwk, "kid": "1", "use": "sig", "alg": "ES256"}]}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.base = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    @property
    def settings(self) -> dict[str, str]:
        """What a function needs to know of it, as variables of the environment."""
        return {
            "DROVER_BROKER_ISSUER": BROKER,
            "DROVER_BROKER_AUDIENCE": AUDIENCE,
            "DROVER_BROKER_SENDERS": SENDER,
            "DROVER_BROKER_JWKS_URL": f"{self.base}/keys",
            "DROVER_OIDC_ISSUER": self.base,
            "DROVER_OIDC_AUDIENCE": AUDIENCE,
        }

    @functools.cached_property
    def delivery(self) -> str:
        """A token of the broker's, which lets every event in."""
        return self._token(iss=BROKER, sub=SENDER)

    @functools.cached_property
    def people(self) -> list[str]:
        """Tokens of operators."""
        return [self._token(iss=self.base, sub=f"person-{number}", roles=["admin"]) for number in range(PEOPLE)]

    @functools.cached_property
    def broken(self) -> list[str]:
        """Tokens that nobody vouches for, or for somebody else."""
        good = self.delivery
        head, body, signature = good.split(".")
        return [
            "", "x", "..", "a.b.c", good[:-4], f"{head}.{body}.", f"{head}.{head}.{signature}", good * 2, "=" * 20_000,
            self._token(iss=BROKER, sub="somebody"), self._token(iss=BROKER, sub=SENDER, aud="another"),
            self._token(iss="elsewhere", sub=SENDER), self._token(iss=BROKER, sub=SENDER, exp=1),
            self._token(iss=["a", {}], sub=SENDER), self._token(iss=BROKER, sub=SENDER, exp="soon"),
            jwt.encode({"iss": BROKER, "sub": SENDER}, "k" * 40, algorithm="HS256", headers={"kid": "1"}),
            jwt.encode({"iss": BROKER, "aud": AUDIENCE, "sub": SENDER}, self._other, "ES256", {"kid": "1"}),
            jwt.encode({"iss": BROKER, "aud": AUDIENCE, "sub": SENDER}, "", algorithm="none"),
        ]  # fmt: skip

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()

    def _token(self, **claims: Any) -> str:
        now = int(time.time())
        content = {"aud": AUDIENCE, "exp": now + LIFE, "iat": now, "nbf": now, **claims}
        # not by jwt.encode: it refuses to write claims that are to be wrong
        return str(jwt.PyJWS().encode(json.dumps(content).encode(), self._key, "ES256", {"kid": "1", "typ": "JWT"}))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pages = {
            "/keys": self._keys,
            "/.well-known/openid-configuration": None,
        }
        identity = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                discovered = {"issuer": identity.base, "jwks_uri": f"{identity.base}/keys"}
                body = json.dumps(pages.get(self.path) or discovered).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler
