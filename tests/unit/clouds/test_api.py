"""What the thin API sends, retries, counts and raises."""

from __future__ import annotations

import pytest
import requests

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from shared.clouds import AnswerLost, Refused
from shared.errors import Permanent, Retry


@pytest.fixture
def clock() -> SteppedClock:
    """Time that a test moves."""
    return SteppedClock()


@pytest.fixture
def fake(clock: SteppedClock) -> SimulatedCloud:
    """A cloud of two hosts."""
    fake = SimulatedCloud(clock)
    fake.add_host("cmp01")
    fake.add_host("cmp02")
    return fake


def test_counts_every_request_by_service(fake: SimulatedCloud) -> None:
    """The counter has the token, the discovery and the call, exactly as many as arrived."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    cloud.placement.get("/allocation_candidates", params={"resources": "MEMORY_MB:1"})
    assert cloud.requests == fake.requests == {"identity": 2, "compute": 2, "placement": 1}


def test_discovers_versions_once(fake: SimulatedCloud) -> None:
    """Further calls of a connection are one request each."""
    cloud = fake.cloud()
    for _ in range(3):
        cloud.compute.get("/os-services")
    assert cloud.requests["compute"] == 4


def test_sends_the_best_version_that_both_know() -> None:
    """With Nova at 2.90, the fields of 2.96 and later are not in the answer."""
    fake = SimulatedCloud(SteppedClock(), newest="2.90")
    fake.add_host("cmp01")
    fake.add_server("cmp01", project="admin")
    cloud = fake.cloud()
    server = cloud.compute.get("/servers/detail")["servers"][0]
    assert "pinned_availability_zone" not in server
    assert cloud.compute_version == (2, 90)
    assert not cloud.supports(2, 96)
    assert cloud.supports(2, 90)


def test_a_call_may_ask_for_an_older_version(fake: SimulatedCloud) -> None:
    """`microversion` is a ceiling for one call."""
    fake.add_server("cmp01", project="admin")
    compute = fake.cloud().compute
    assert "pinned_availability_zone" in compute.get("/servers/detail")["servers"][0]
    old = compute.get("/servers/detail", microversion=(2, 95))["servers"][0]
    assert "pinned_availability_zone" not in old


def test_a_refusal_carries_novas_own_words(fake: SimulatedCloud) -> None:
    """A 404 becomes Refused with the status and the message, and is Permanent."""
    with pytest.raises(Refused, match="Instance nobody could not be found") as caught:
        fake.cloud().compute.get("/servers/nobody")
    assert caught.value.status == 404
    assert isinstance(caught.value, Permanent)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_read_is_tried_again(fake: SimulatedCloud, status: int) -> None:
    """One transient failure of a GET is not seen by the caller."""
    fake.fail_next(status, of="GET")
    assert len(fake.cloud().compute.get("/os-services", params={"binary": "nova-compute"})["services"]) == 2


def test_a_read_is_given_up_after_three_tries(fake: SimulatedCloud) -> None:
    """The third failure is raised as Retry, with the service's Retry-After."""
    fake.fail_next(503, of="GET", times=3, retry_after=4)
    cloud = fake.cloud()
    with pytest.raises(Retry, match="compute of cloud fake answered 503") as caught:
        cloud.compute.get("/os-services")
    assert caught.value.after == 4
    assert cloud.requests["compute"] == 4


def test_waits_as_long_as_the_service_asks(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """Between two tries of a read passes the Retry-After."""
    cloud = fake.cloud()
    fake.fail_next(503, of="GET", retry_after=3)
    before = clock.monotonic()
    cloud.compute.get("/os-services")
    assert clock.monotonic() - before == 3


def test_backs_off_when_the_service_asks_for_nothing(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """Without Retry-After the waits are half a second, then one."""
    cloud = fake.cloud()
    fake.fail_next(500, of="GET", times=2)
    before = clock.monotonic()
    cloud.compute.get("/os-services")
    assert clock.monotonic() - before == 1.5


def test_a_long_wait_is_left_to_the_caller(fake: SimulatedCloud, clock: SteppedClock) -> None:
    """A Retry-After of a minute is raised at once, since a slice is short."""
    cloud = fake.cloud()
    fake.fail_next(503, of="GET", retry_after=60)
    before = clock.monotonic()
    with pytest.raises(Retry) as caught:
        cloud.compute.get("/os-services")
    assert caught.value.after == 60
    assert clock.monotonic() == before


@pytest.mark.parametrize("status", [429, 503])
def test_a_change_that_was_not_begun_is_for_later(fake: SimulatedCloud, status: int) -> None:
    """429 and 503 to a POST are Retry, sent once, and nothing was done."""
    server = fake.add_server("cmp01")
    cloud = fake.cloud()
    fake.fail_next(status, of="POST", retry_after=7)
    with pytest.raises(Retry) as caught:
        cloud.compute.post(f"/servers/{server}/action", json={"os-stop": None})
    assert caught.value.after == 7
    assert fake.history == []
    assert cloud.requests["compute"] == 2


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_change_that_failed_inside_may_have_been_made(fake: SimulatedCloud, status: int) -> None:
    """500, 502 and 504 to a POST say nothing about the change: AnswerLost, and no second try."""
    server = fake.add_server("cmp01")
    cloud = fake.cloud()
    fake.fail_next(status, of="POST")
    with pytest.raises(AnswerLost, match=f"the answer was {status}"):
        cloud.compute.post(f"/servers/{server}/action", json={"os-stop": None})
    assert cloud.requests["compute"] == 2


def test_a_lost_answer_is_neither_done_nor_undone(fake: SimulatedCloud) -> None:
    """When the connection breaks after a POST, the caller gets AnswerLost and the change is there."""
    server = fake.add_server("cmp01")
    fake.drop_answer_of_next("stop")
    with pytest.raises(AnswerLost, match="may or may not have been carried out: no answer came"):
        fake.cloud().compute.post(f"/servers/{server}/action", json={"os-stop": None})
    assert [act.verb for act in fake.history] == ["stop"]


def test_a_lost_answer_of_a_put(fake: SimulatedCloud) -> None:
    """PUT is treated as POST."""
    cloud = fake.cloud()
    service = cloud.compute.get("/os-services", params={"host": "cmp01"})["services"][0]
    fake.drop_answer_of_next("disable")
    with pytest.raises(AnswerLost):
        cloud.compute.put(f"/os-services/{service['id']}", json={"status": "disabled"})


def test_a_refused_connection_is_not_a_lost_answer(fake: SimulatedCloud) -> None:
    """Without a connection nothing was sent: a POST becomes Retry."""
    server = fake.add_server("cmp01")
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    fake.unreachable = True
    with pytest.raises(Retry, match=r"compute at cloud.test does not answer"):
        cloud.compute.post(f"/servers/{server}/action", json={"os-stop": None})


def test_a_read_timeout_of_a_change_is_a_lost_answer(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request was sent and its answer did not come in time."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    monkeypatch.setattr(fake.wire, "send", _raise(requests.ReadTimeout("slow")))
    with pytest.raises(AnswerLost):
        cloud.compute.delete("/servers/x/migrations/1")


def test_a_connect_timeout_of_a_change_is_for_later(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """No connection in time: nothing was sent."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    monkeypatch.setattr(fake.wire, "send", _raise(requests.ConnectTimeout("slow")))
    with pytest.raises(Retry, match="does not answer"):
        cloud.compute.delete("/servers/x/migrations/1")


def test_a_slow_read_is_not_tried_again(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times the read time-out would be longer than any slice."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    monkeypatch.setattr(fake.wire, "send", _raise(requests.ReadTimeout("slow")))
    with pytest.raises(Retry, match="did not answer within 60 s"):
        cloud.compute.get("/os-services")
    assert cloud.requests["compute"] == 3


def test_every_request_is_bounded_in_time(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """5 s to connect and 60 s to answer, for the token as for the rest."""
    limits = []
    plain = fake.wire.send

    def send(request, stream, timeout, *args):  # type: ignore[no-untyped-def]
        limits.append(timeout)
        return plain(request)

    monkeypatch.setattr(fake.wire, "send", send)
    fake.cloud().compute.get("/os-services")
    assert limits == [(5.0, 60.0)] * 4


def test_no_secret_in_the_log(fake: SimulatedCloud, caplog: pytest.LogCaptureFixture) -> None:
    """Even at the level DEBUG neither the password nor the token is logged."""
    caplog.set_level("DEBUG")
    fake.cloud().compute.get("/os-services")
    assert "os-services" in caplog.text
    assert "secret" not in caplog.text
    assert "token-1" not in caplog.text


def test_an_untrusted_certificate_says_what_to_set(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SSL error names `cacert`, and trying again would not help."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    monkeypatch.setattr(fake.wire, "send", _raise(requests.exceptions.SSLError("self-signed")))
    with pytest.raises(Permanent, match="cacert"):
        cloud.compute.get("/os-services")


def test_a_missing_service_names_the_catalogue(fake: SimulatedCloud) -> None:
    """A service without an endpoint is no transient failure."""
    del fake.keystone.endpoints["network"]
    with pytest.raises(Permanent, match="no endpoint for network"):
        fake.cloud().network.get("/v2.0/agents")


def test_an_expired_token_with_changed_credentials(fake: SimulatedCloud) -> None:
    """Nova's 401 asks Keystone again, and its refusal says where the credentials are."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    fake.keystone.password = "changed"
    fake.fail_next(401, of="os-services")
    with pytest.raises(Permanent, match=r"Keystone refuses the credentials \(401\).*clouds.yaml"):
        cloud.compute.get("/os-services")


def test_an_expired_token_is_renewed(fake: SimulatedCloud) -> None:
    """A 401 for a POST was not carried out: with a new token it is sent again."""
    server = fake.add_server("cmp01")
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    fake.fail_next(401, of="POST")
    cloud.compute.post(f"/servers/{server}/action", json={"os-stop": None})
    assert [act.verb for act in fake.history] == ["stop"]


def test_pages_follow_the_links(fake: SimulatedCloud) -> None:
    """A list longer than max_limit comes whole, each entry once."""
    small = SimulatedCloud(SteppedClock(), page=3)
    small.add_host("cmp01")
    ids = {small.add_server("cmp01") for _ in range(8)}
    cloud = small.cloud()
    found = [entry["id"] for entry in cloud.compute.pages("/servers/detail", "servers", params={"all_tenants": 1})]
    assert set(found) == ids
    assert len(found) == 8
    assert cloud.requests["compute"] == 1 + 3
    assert all("all_tenants=1" in line for line in small.log if "servers" in line)


def test_sends_the_global_request_id(fake: SimulatedCloud) -> None:
    """The id of the call, or else of the connection, is in the header that oslo.middleware reads."""
    from shared.clouds import Cloud

    server = fake.add_server("cmp01")
    seen: list[str | None] = []
    plain = fake.wire.send

    def send(request: requests.PreparedRequest, *args: object, **kwargs: object) -> requests.Response:
        seen.append(request.headers.get("X-Openstack-Request-Id"))
        return plain(request)

    fake.wire.send = send  # type: ignore[method-assign]
    cloud = Cloud("fake", fake.region(), inner=fake.wire, global_request_id="req-1")
    cloud.compute.get("/os-services")
    cloud.compute.post(f"/servers/{server}/action", json={"os-stop": None}, global_request_id="req-2")
    assert seen[-2:] == ["req-1", "req-2"]


def test_no_secret_in_an_error(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address with a password in it is not told, not even by the chained exception."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    leak = requests.ConnectionError("HTTPConnection(http://admin:hunter2@cloud.test) broke")
    monkeypatch.setattr(fake.wire, "send", _raise(leak))
    with pytest.raises(Retry) as caught:
        cloud.compute.get("/os-services")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_an_error_without_a_document_has_the_http_reason(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's HTML page is not parsed: its status line is told."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    page = requests.Response()
    page.status_code, page.reason, page._content = 413, "Payload Too Large", b"<html>"
    monkeypatch.setattr(fake.wire, "send", lambda *args, **kwargs: page)
    with pytest.raises(Refused, match=r"\(413\): Payload Too Large"):
        cloud.compute.get("/os-services")


def test_placements_form_of_errors(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Placement says `errors` with a `detail`."""
    cloud = fake.cloud()
    cloud.placement.get("/allocation_candidates", params={"resources": "VCPU:1"})
    page = requests.Response()
    page.status_code, page._content = 400, b'{"errors": [{"detail": " No such trait: X "}]}'
    monkeypatch.setattr(fake.wire, "send", lambda *args, **kwargs: page)
    with pytest.raises(Refused, match=r"placement refused it \(400\): No such trait: X$"):
        cloud.placement.get("/allocation_candidates")


def test_a_bug_is_not_dressed_up(fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is none of keystoneauth's comes through as it is."""
    cloud = fake.cloud()
    cloud.compute.get("/os-services")
    monkeypatch.setattr(fake.wire, "send", _raise(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cloud.compute.get("/os-services")


def _raise(error: Exception):  # type: ignore[no-untyped-def]
    def send(*args: object, **kwargs: object) -> None:
        raise error

    return send
