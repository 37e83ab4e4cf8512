"""Tokens: how they are judged by Keystone and refused by the services."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.stage import Stage


def ask(stage: Stage, method: str, path: str, **more: Any) -> Any:
    """A request to Keystone with headers of the test's own and no token but these."""
    url = str(stage.connection.session.get_endpoint(service_type="identity", interface="public")).rstrip("/")
    base = url if url.endswith("/v3") else f"{url}/v3"
    return stage.connection.session.request(base + path, method, authenticated=False, raise_exc=False, **more)


def test_a_token_is_validated(stage: Stage) -> None:
    """Who, for which project, with which roles, until when; and the catalogue."""
    token = str(stage.connection.session.get_token())
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    answer = ask(stage, "GET", "/auth/tokens", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["X-Subject-Token"] == token
    found = answer.json()["token"]
    assert found["user"]["name"] == "admin"
    assert found["user"]["domain"]["name"] == "Default"
    assert found["project"]["name"] == "admin"
    assert "admin" in {role["name"] for role in found["roles"]}
    assert found["expires_at"] > found["issued_at"]
    kinds = {entry["type"] for entry in found["catalog"]}
    assert kinds >= {"identity", "compute", "placement", "network", "image"}


def test_a_token_that_is_none(stage: Stage) -> None:
    """404 when it is asked about, 401 when it is to ask."""
    token = str(stage.connection.session.get_token())
    bad = ask(stage, "GET", "/auth/tokens", headers={"X-Auth-Token": token, "X-Subject-Token": "bad"})
    assert (bad.status_code, bad.json()["error"]["code"]) == (404, 404)
    stranger = ask(stage, "GET", "/auth/tokens", headers={"X-Auth-Token": "bad", "X-Subject-Token": token})
    assert stranger.status_code == 401
    assert stranger.json()["error"]["title"] == "Unauthorized"


def test_a_wrong_password(stage: Stage) -> None:
    """401, in words that tell nothing."""
    user = {"name": "admin", "domain": {"id": "default"}, "password": "not-it"}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}
    answer = ask(stage, "POST", "/auth/tokens", json=body)
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "The request you have made requires authentication."


@pytest.mark.parametrize("service", ["compute", "network", "placement"])
def test_services_refuse_a_token_that_is_none(stage: Stage, service: str) -> None:
    """401 from each of them."""
    proxy = getattr(stage.connection, service)
    path = {"compute": "/servers", "network": "/agents", "placement": "/resource_providers"}[service]
    url = str(proxy.get_endpoint()).rstrip("/")
    answer = stage.connection.session.request(
        url + path, "GET", authenticated=False, raise_exc=False, headers={"X-Auth-Token": "bad"}
    )
    assert answer.status_code == 401
