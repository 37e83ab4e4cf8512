"""Key servers: how often they are asked, what counts while they are away, and who gets the pod's own token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.simulator.clock import SteppedClock
from shared.access.http import Asker
from shared.access.keys import FRESH, PAUSE, STALE, Keys
from shared.errors import Retry
from tests.support.bench import Bench
from tests.support.doors import IDP, JWKS, Web, World, id_token, public, token


@pytest.fixture
def clock() -> SteppedClock:
    """Time that the test turns."""
    clock = SteppedClock()
    clock.advance(1000)
    return clock


@pytest.fixture
def web(clock: SteppedClock) -> Web:
    """The services."""
    return Web(clock)


@pytest.fixture
def keys(web: Web, clock: SteppedClock) -> Keys:
    """The cluster's."""
    asker = Asker("the key server", web.session)
    return Keys(lambda: asker.document(JWKS), clock)


def test_keys_are_read_once(keys: Keys, web: Web, clock: SteppedClock) -> None:
    """And again when they have become old: a key that was withdrawn stops to count."""
    for _ in range(5):
        assert keys.find("cluster-1") is not None
        clock.advance(FRESH / 6)
    assert len(web.asked) == 1
    clock.advance(FRESH)
    web.cluster_keys = [public("cluster-2")]
    assert keys.find("cluster-1") is None
    assert len(web.asked) == 2


def test_a_new_key_is_found_at_once(keys: Keys, web: Web, clock: SteppedClock) -> None:
    """An issuer that has changed its key is asked before anybody is turned away."""
    assert keys.find("cluster-1") is not None
    clock.advance(PAUSE + 1)
    web.cluster_keys = [public("cluster-2")]
    assert keys.find("cluster-2") is not None


def test_invented_keys_do_not_flood_the_server(keys: Keys, web: Web, clock: SteppedClock) -> None:
    """One question in a while; in between nothing can be said, and the delivery shall come again."""
    assert keys.find("invented-0") is None
    for number in range(1, 20):
        with pytest.raises(Retry, match="a moment ago"):
            keys.find(f"invented-{number}")
    assert len(web.asked) == 1
    assert keys.find("cluster-1") is not None


def test_known_keys_count_while_the_server_is_away(keys: Keys, web: Web, clock: SteppedClock) -> None:
    """For an hour, so that an API server that restarts stops no delivery; then nobody is let in any more."""
    keys.find("cluster-1")
    web.down.add("kubernetes.default.svc")
    clock.advance(STALE - 1)
    assert keys.find("cluster-1") is not None
    clock.advance(PAUSE + 1)
    with pytest.raises(Retry, match="can't be asked now"):
        keys.find("cluster-1")
    web.down.clear()
    clock.advance(PAUSE + 1)
    assert keys.find("cluster-1") is not None


def test_a_server_that_is_away_is_not_asked_with_every_delivery(keys: Keys, web: Web, clock: SteppedClock) -> None:
    """Each question may take seconds until it is given up."""
    web.down.add("kubernetes.default.svc")
    for _ in range(5):
        with pytest.raises(Retry, match="can't be asked now"):
            keys.find("cluster-1")
    assert len(web.asked) == 1


@pytest.mark.parametrize("answer", [(200, []), (200, "keys"), (404, {}), (302, {}), (500, {"keys": []})])
def test_another_service_at_the_address(keys: Keys, web: Web, answer: tuple[int, Any]) -> None:
    """What is no key set says nothing about anybody."""
    web.pages[JWKS] = lambda _: answer
    with pytest.raises(Retry, match="the key server can't be asked now"):
        keys.find("cluster-1")


def test_nobody_is_sent_elsewhere(web: Web, keys: Keys) -> None:
    """A redirection is not followed: the keys count from where they were asked for, and tokens go nowhere else."""
    web.pages[JWKS] = lambda _: (302, f"{IDP}/certs")
    with pytest.raises(Retry, match="it answered 302"):
        keys.find("idp-1")
    assert [url for url, _ in web.asked] == [JWKS]


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": [{"kty": "RSA"}, "x", None]}])
def test_key_sets_without_keys(keys: Keys, web: Web, document: Any) -> None:
    """There is no such key then."""
    web.pages[JWKS] = lambda _: (200, document)
    assert keys.find("cluster-1") is None


@pytest.mark.parametrize("key", [{"kty": "oct", "k": "c2VjcmV0"}, {"kty": "RSA"}, {"kty": "RSA", "n": "!", "e": "?"}])
def test_keys_that_fit_no_algorithm(bench: Bench, key: dict[str, Any]) -> None:
    """A shared secret among the public keys, or half a key, verifies nothing."""
    world = World(bench)
    world.web.cluster_keys = [{**key, "kid": "cluster-1"}]
    assert world.post(authorization=f"Bearer {token()}").status_code == 401


@pytest.mark.parametrize("document", [{"issuer": "https://evil.test", "jwks_uri": f"{IDP}/certs"}, {"issuer": IDP}])
def test_a_provider_that_names_another_issuer(world: World, document: dict[str, str]) -> None:
    """OpenID Connect Discovery 1.0, 4.3: the issuer must be the one that was asked."""
    world.web.pages[f"{IDP}/.well-known/openid-configuration"] = lambda _: (200, document)
    assert world.get(authorization=f"Bearer {id_token('admin')}").status_code == 503


@pytest.mark.parametrize(
    ("url", "given"),
    [
        (JWKS, "Bearer pod-token"),
        ("https://kubernetes.default.svc.cluster.local/openid/v1/jwks", "Bearer pod-token"),
        ("http://kubernetes.default.svc/openid/v1/jwks", None),
        ("https://kubernetes.default.svc.evil.test/openid/v1/jwks", None),
        ("https://login.test/certs", None),
    ],
)
def test_the_pod_s_token_is_for_the_api_server_alone(tmp_path: Path, web: Web, url: str, given: str | None) -> None:
    """Nobody else learns it, whatever the settings say; and never without TLS."""
    (tmp_path / "token").write_text("pod-token\n")
    web.pages[url] = lambda _: (200, {"keys": []})
    Asker("x", web.session, tmp_path).get(url)
    assert web.asked[-1][1].get("Authorization") == given


def test_the_pod_s_token_is_read_anew(tmp_path: Path, web: Web) -> None:
    """Kubernetes renews it every hour."""
    asker = Asker("x", web.session, tmp_path)
    for text in ("one", "two"):
        (tmp_path / "token").write_text(text)
        asker.get(JWKS)
    assert [headers["Authorization"] for _, headers in web.asked] == ["Bearer one", "Bearer two"]


def test_errors_tell_no_credential(web: Web) -> None:
    """A connection's error may quote the request with all its headers."""
    web.down.add("keystone.test")
    with pytest.raises(Retry) as caught:
        Asker("Keystone", web.session).get("https://keystone.test/v3", {"X-Auth-Token": "planted"})
    assert "planted" not in str(caught.value)
    assert caught.value.__suppress_context__
