"""Asking the services that know who somebody is: bounded in time, never redirected, failures told without secrets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shared.errors import Retry

if TYPE_CHECKING:
    import requests

TIMEOUT = (3.05, 10.0)
"""Seconds to connect, and to wait for the answer."""
AWAY = 5.0
"""Seconds after which a request shall come again that could not be judged."""

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts a pod's own token and the CA of the API server."""
API_SERVER = frozenset({"kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "kubernetes.default"})
"""Hosts that get the pod's token; no other does, whatever the settings say."""

Session = Callable[[], "requests.Session"]


def new_session() -> requests.Session:
    """An ordinary one."""
    import requests  # takes a tenth of a second, and not every door needs it

    return requests.Session()


class Asker:
    """Asks by GET.

    Args:
        who: what is asked, for messages: "Keystone".
        session: makes the HTTP session.
        account: the pod's own identity, sent to the API server of its cluster and to nobody else.
    """

    def __init__(self, who: str, session: Session = new_session, account: Path = ACCOUNT) -> None:
        self.who, self._new, self._account = who, session, account
        self._session: requests.Session | None = None

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """The answer, whatever its status below 500.

        Raises:
            Retry: there was none, or one that says nothing.
        """
        import requests

        self._session = self._session or self._new()
        identity = _identity(url, self._account)
        try:
            answer = self._session.get(
                url, headers=dict(headers or {}), timeout=TIMEOUT, allow_redirects=False, **identity
            )
        except requests.RequestException as error:
            raise self._away(type(error).__name__) from None  # its text holds the address, and may hold more
        if answer.status_code >= 500 or answer.status_code == 429:
            raise self._away(f"it answered {answer.status_code}")
        return answer

    def document(self, url: str) -> Mapping[str, Any]:
        """A JSON object.

        Raises:
            Retry: there is none.
        """
        answer = self.get(url)
        try:
            document = answer.json() if answer.status_code == 200 else None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise self._away(f"it answered {answer.status_code} and no JSON object")
        return document

    def _away(self, why: str) -> Retry:
        return Retry(f"{self.who} can't be asked now ({why}), so nobody can be let in by it; come again", AWAY)


def _identity(url: str, account: Path) -> dict[str, Any]:
    """What a request to the API server carries: the token, which is renewed every hour, and the CA."""
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname not in API_SERVER:
        return {}
    token, authority = account / "token", account / "ca.crt"
    identity: dict[str, Any] = {}
    if token.exists():
        identity["auth"] = bearer(token.read_text().strip())
    if authority.exists():
        identity["verify"] = str(authority)
    return identity


def bearer(token: str) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """For requests' `auth`: as a plain header, a user's netrc would override it."""

    def add(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return add
