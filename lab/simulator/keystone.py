"""The simulated Keystone: users with a password, tokens that expire and can be taken back, and the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.simulator.protocol import Answer, HttpError, Request, Route, Service
from lab.simulator.records import Caller, Json, new_id

REGION = "R"
ENDPOINTS = {
    "identity": "/identity/v3",
    "compute": "/compute/v2.1",
    "placement": "/placement",
    "network": "/network",
    "load-balancer": "/load-balancer",
    "image": "/image",
}
"""Paths of the services, by type."""
DOMAIN = {"id": "default", "name": "Default"}
UNAUTHORIZED = "The request you have made requires authentication."


@dataclass
class User:
    """Somebody who may ask for a token."""

    name: str
    password: str
    project: str
    """Name and id of the only project it has roles in."""
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """A token that was given out. Its times are those of this machine: its holder compares them with its own clock."""

    user: User
    issued: datetime
    expires: datetime
    system: bool = False


class Keystone(Service):
    """Identity v3, as far as a service or a session needs it."""

    name = "identity"
    root = "/identity"

    def __init__(self, token_seconds: float = 3600.0) -> None:
        self.token_seconds = token_seconds
        self.endpoints = dict(ENDPOINTS)
        self.users = {
            user.name: user
            for user in (
                User("admin", "secret", "admin", ("admin", "member", "reader")),
                User("operator", "secret", "admin", ("drover_operator", "reader")),
                User("reader", "secret", "admin", ("reader",)),
                User("demo", "secret", "demo", ("member", "reader")),
            )
        }
        self._tokens: dict[str, Token] = {}
        super().__init__()

    @property
    def password(self) -> str:
        """The admin's password."""
        return self.users["admin"].password

    @password.setter
    def password(self, password: str) -> None:
        self.users["admin"].password = password

    def revoke_all(self) -> None:
        """Make every token that was given out worthless, as after a loss of Keystone's keys."""
        self._tokens.clear()

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        return [
            ("GET", "", self._versions),
            ("GET", "/v3", self._version),
            ("POST", "/v3/auth/tokens", self._issue),
            ("GET", "/v3/auth/tokens", self._validate),
            ("HEAD", "/v3/auth/tokens", self._validate),
            ("DELETE", "/v3/auth/tokens", self._revoke),
            ("GET", "/v3/auth/catalog", self._catalogue),
            ("GET", "/v3/projects", self._projects),
            ("GET", "/v3/roles", self._roles),
        ]

    def error(self, error: HttpError) -> Json:
        """As Keystone words it."""
        titles = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
        title = titles.get(error.status, "Error")
        return {"error": {"code": error.status, "message": error.message, "title": title}}

    def caller(self, request: Request) -> Caller:
        """Who has sent a request.

        Raises:
            HttpError: 401, its token is missing, unknown or has expired.
        """
        token = self._known(request.headers.get("x-auth-token", ""))
        if token is None:
            raise HttpError(401, UNAUTHORIZED)
        return Caller(token.user.name, token.user.project, frozenset(token.user.roles))

    def _known(self, text: str) -> Token | None:
        token = self._tokens.get(text)
        return token if token is not None and token.expires > datetime.now(UTC) else None

    def _versions(self, request: Request) -> Answer:
        location = {"Location": f"{request.base}/identity/v3/"}
        return Answer(300, {"versions": {"values": [self._about(request)]}}, location)

    def _version(self, request: Request) -> Answer:
        return Answer(200, {"version": self._about(request)})

    def _about(self, request: Request) -> Json:
        link = [{"rel": "self", "href": f"{request.base}/identity/v3/"}]
        return {"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z", "links": link}

    def _issue(self, request: Request) -> Answer:
        try:
            auth = request.body["auth"]
            wanted = auth["identity"]["password"]["user"]
            system = "system" in auth.get("scope", {})
            name, password = wanted.get("name") or wanted["id"], wanted["password"]
        except (LookupError, TypeError, AttributeError):
            raise HttpError(400, "Expecting to find identity.password.user in auth.") from None
        user = self.users.get(name)
        if user is None or user.password != password or (system and "admin" not in user.roles):
            raise HttpError(401, UNAUTHORIZED)
        now = datetime.now(UTC)
        token, text = Token(user, now, now + timedelta(seconds=self.token_seconds), system), f"token-{new_id()}"
        self._tokens[text] = token
        return Answer(201, {"token": self._view(token, request)}, {"X-Subject-Token": text})

    def _validate(self, request: Request) -> Answer:
        self.caller(request)
        subject = request.headers.get("x-subject-token", "")
        token = self._known(subject)
        if token is None:
            raise HttpError(404, "Could not recognize Fernet token")
        return Answer(200, {"token": self._view(token, request)}, {"X-Subject-Token": subject})

    def _revoke(self, request: Request) -> Answer:
        self.caller(request)
        self._tokens.pop(request.headers.get("x-subject-token", ""), None)
        return Answer(204)

    def _view(self, token: Token, request: Request) -> Json:
        def text(time: datetime) -> str:
            return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

        view: dict[str, Any] = {
            "methods": ["password"],
            "user": {"id": token.user.name, "name": token.user.name, "domain": DOMAIN, "password_expires_at": None},
            "expires_at": text(token.expires),
            "issued_at": text(token.issued),
            "roles": [{"id": role, "name": role} for role in token.user.roles],
            "catalog": self._entries(request),
            "is_domain": False,
        }
        if token.system:
            return view | {"system": {"all": True}}
        return view | {"project": {"id": token.user.project, "name": token.user.project, "domain": DOMAIN}}

    def _catalogue(self, request: Request) -> Answer:
        self.caller(request)
        return Answer(200, {"catalog": self._entries(request)})

    def _projects(self, request: Request) -> Answer:
        self.caller(request)
        names = sorted({user.project for user in self.users.values()})
        return Answer(200, {"projects": [{"id": n, "name": n, "domain_id": "default", "enabled": True} for n in names]})

    def _roles(self, request: Request) -> Answer:
        self.caller(request)
        names = sorted({role for user in self.users.values() for role in user.roles})
        return Answer(200, {"roles": [{"id": name, "name": name, "domain_id": None} for name in names]})

    def _entries(self, request: Request) -> list[Json]:
        """The catalogue, with the address under which the caller knows the cloud."""
        return [{"type": kind, "name": kind, "id": kind, "endpoints": _endpoints(kind, request.base + path)}
                for kind, path in self.endpoints.items()]  # fmt: skip


def _endpoints(kind: str, url: str) -> list[Json]:
    return [
        {"id": f"{kind}-{interface}", "interface": interface, "region": REGION, "region_id": REGION, "url": url}
        for interface in ("public", "internal", "admin")
    ]
