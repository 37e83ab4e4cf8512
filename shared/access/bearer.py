"""Bearer tokens that are JWTs (RFC 7519): the broker's, and those of people who sign in at an identity provider."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.access.caller import Caller, Knock
from shared.access.errors import Unauthenticated
from shared.access.keys import Keys

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
"""Signatures by a private key. Never a shared secret (HS*), which a public key could be mistaken for, never `none`."""
LEEWAY = 30
"""Seconds by which clocks may differ."""
MAX_TOKEN = 16_384
CLAIMS = ("exp", "iat", "iss", "aud", "sub")

_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Somebody whose tokens count.

    `claims` must be there; `caller` reads verified ones and raises `Forbidden` for somebody who may do nothing.
    """

    name: str
    issuer: str
    audience: str
    keys: Keys
    caller: Callable[[Claims], Caller]
    claims: Sequence[str] = CLAIMS
    person: bool = False


class Bearer:
    """Lets in who has a token of one of the issuers."""

    challenge = 'Bearer realm="drover"'

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self.name = "+".join(each.name for each in issuers)
        self._issuers = {each.issuer: each for each in issuers}

    def judge(self, knock: Knock) -> Caller | None:
        """The token's subject, if there is a token.

        Raises:
            Unauthenticated: the token does not count, and why.
            Forbidden: it counts, and its subject may do nothing here.
            Retry: the key server is away.
        """
        header = knock.headers.get("Authorization")
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or len(token) > MAX_TOKEN or not _JWT.fullmatch(token):
            raise _refused(self.name, "expected `Authorization: Bearer` and a JWT", "malformed", knock.reads)
        issuer = self._issuers.get(_claimed_issuer(token))
        if issuer is None:
            expected = " or ".join(self._issuers)
            raise _refused(self.name, f"expected a token of {expected}", "issuer", knock.reads)
        return issuer.caller(_verified(token, issuer))


def _claimed_issuer(token: str) -> str:
    """What the token says of itself; nothing is believed before `_verified`."""
    import jwt  # takes a twentieth of a second, which a pod without tokens need not wait for

    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return ""
    issuer = claims.get("iss")
    return issuer if isinstance(issuer, str) else ""


def _verified(token: str, issuer: Issuer) -> Claims:
    import jwt

    try:
        key = _key(token, issuer)
        claims: Claims = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=issuer.audience,
            issuer=issuer.issuer,
            leeway=LEEWAY,
            options={"require": list(issuer.claims), "enforce_minimum_key_length": True},
        )
    except jwt.PyJWTError as error:
        reason, text = _told(error, issuer)
        raise _refused(issuer.name, text, reason, issuer.person) from None
    except (ValueError, TypeError, RecursionError):
        raise _refused(issuer.name, "the token can't be read", "malformed", issuer.person) from None
    return claims


def _key(token: str, issuer: Issuer) -> Any:
    """The issuer's key that the token names, bound to the token's algorithm, which must be one of `ALGORITHMS`."""
    import jwt

    header = jwt.get_unverified_header(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    if not isinstance(kid, str):
        raise jwt.InvalidKeyError
    key = issuer.keys.find(kid)
    if key is None or key.get("use", "sig") != "sig":
        raise jwt.InvalidKeyError
    if key.get("alg", algorithm) != algorithm:
        raise jwt.InvalidAlgorithmError
    return jwt.PyJWK(dict(key), algorithm)


def _told(error: Exception, issuer: Issuer) -> tuple[str, str]:
    """The reason, and what was expected; PyJWT's own texts may quote the token."""
    import jwt

    told: Sequence[tuple[type[Exception], str, str]] = (
        (jwt.ExpiredSignatureError, "expired", "the token has expired; get a new one"),
        (jwt.ImmatureSignatureError, "not yet valid", "the token is not valid yet; check the issuer's clock"),
        (jwt.InvalidAudienceError, "audience", f"expected a token for the audience {issuer.audience}"),
        (jwt.InvalidIssuerError, "issuer", f"expected a token of {issuer.issuer}"),
        (jwt.MissingRequiredClaimError, "claims", f"expected a token with {', '.join(issuer.claims)}"),
        (jwt.InvalidAlgorithmError, "algorithm", f"expected a token signed with one of {', '.join(ALGORITHMS)}"),
        (jwt.InvalidKeyError, "key", f"expected a token signed with a key that {issuer.issuer} publishes"),
        (jwt.PyJWKError, "key", f"expected a token signed with a key that {issuer.issuer} publishes"),
        (jwt.InvalidSignatureError, "bad signature", "the token's signature does not fit"),
    )
    for kind, reason, text in told:
        if isinstance(error, kind):
            return reason, text
    return "malformed", "the token can't be read"


def _refused(means: str, text: str, reason: str, counted: bool) -> Unauthenticated:
    return Unauthenticated(text, means, reason, counted=counted)
