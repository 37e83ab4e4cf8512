"""How the command line says who it is to a Drover elsewhere: a token of its own, or that of the person's cloud."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import requests
from requests.auth import AuthBase

from shared.access.settings import is_private
from shared.errors import Rejected, Retry

if TYPE_CHECKING:
    from shared.settings import Settings

CloudToken = Callable[[str | None, str | None], str | None]
"""The cloud's token: `(cloud, old)`; `old` is one that is not taken any more. None: no such cloud is set up here."""


class Credentials(AuthBase):
    """Adds what proves who the person is to each request.

    Nothing is sent before it is asked for, except DROVER_TOKEN, which was given for this very purpose.

    Args:
        url: where requests go.
        cloud_token: gets the token of `cloud`, which a request may name if the settings do not.
    """

    def __init__(self, url: str, settings: Settings, cloud_token: CloudToken | None = None) -> None:
        self._private = is_private(url) or settings.plain_http
        self._bearer = settings.token.get_secret_value() if settings.token else None
        self.cloud = settings.cloud
        self._cloud_token = cloud_token or token_of_cloud
        self._keystone: str | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the credential on.

        Raises:
            Rejected: it would travel where others can listen.
        """
        if not self._private:
            raise Rejected(
                "the address of Drover begins with http://, so that anybody on the way could read your token; expected "
                "https://, or an SSH tunnel to 127.0.0.1. DROVER_PLAIN_HTTP=true sends it all the same"
            )
        if self._bearer is not None:
            request.headers["Authorization"] = f"Bearer {self._bearer}"
        elif self._keystone is not None:
            request.headers["X-Auth-Token"] = self._keystone
        return request

    @property
    def auth(self) -> Credentials | None:
        """For requests' `auth`; without anything to say, what the address itself holds may count."""
        return None if self._bearer is None and self._keystone is None else self

    def renew(self, refusal: requests.Response) -> bool:
        """After a 401: whether there is something else to say now. Keystone's token is for those who ask for it."""
        if self._bearer is not None or "Keystone" not in refusal.headers.get("WWW-Authenticate", ""):
            return False
        before = self._keystone
        self._keystone = self._cloud_token(self.cloud, before)
        return self._keystone is not None and self._keystone != before

    @property
    def hint(self) -> str:
        """What a person can do who is not let in."""
        if self._bearer is not None:
            return "DROVER_TOKEN is not taken there: get a new one, or unset it to use your cloud's"
        if self._keystone is not None:
            return f"the token of cloud {self.cloud or 'in the environment'} is not taken there"
        return "set DROVER_TOKEN, or OS_CLOUD to a cloud of your clouds.yaml whose token counts there"


def token_of_cloud(cloud: str | None, old: str | None) -> str | None:
    """A Keystone token for the person's own credentials; None when there is no such cloud in clouds.yaml.

    Raises:
        Rejected: Keystone refuses the credentials.
        Retry: it does not answer.
    """
    import openstack  # takes half a second, and most servers do not ask
    from keystoneauth1 import exceptions as ks
    from openstack.config import OpenStackConfig

    if cloud is None or cloud not in OpenStackConfig().get_cloud_names():
        return None
    session = openstack.connect(cloud=cloud).session
    try:
        if old is not None:
            session.invalidate()
        return str(session.get_token())
    except (ks.Unauthorized, ks.MissingRequiredOptions) as error:
        text = f"cloud {cloud}: Keystone refuses the credentials of clouds.yaml ({type(error).__name__})"
        raise Rejected(text) from None
    except ks.ClientException as error:
        raise Retry(f"cloud {cloud}: Keystone does not answer ({type(error).__name__})") from None
