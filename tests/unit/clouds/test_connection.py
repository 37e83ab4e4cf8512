"""Finding a cloud, getting in, and saying what is wrong when that fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from lab.simulator.clock import SteppedClock
from lab.simulator.cloud import SimulatedCloud
from shared.clouds import connect
from shared.errors import Permanent, Rejected, Retry

CLOUDS = """
clouds:
  one:
    region_name: R
    auth: {auth_url: "http://cloud.test/identity/v3", username: admin, password: secret, project_name: admin,
           user_domain_id: default, project_domain_id: default}
  two:
    auth: {auth_url: "http://cloud.test/identity/v3", username: admin}
"""

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Write a clouds.yaml that is the only one found."""
    for variable in ("OS_CLOUD", "OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("openstack.config.loader.CONFIG_FILES", [str(tmp_path / "clouds.yaml")])

    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(path))
        return path

    return write


@pytest.fixture
def fake() -> SimulatedCloud:
    """A cloud with one host."""
    fake = SimulatedCloud(SteppedClock())
    fake.add_host("cmp01")
    return fake


def test_connects_to_a_named_cloud(written: Written, fake: SimulatedCloud) -> None:
    """The name is found in clouds.yaml and a token is got, with no request to Nova yet."""
    written(CLOUDS)
    cloud = connect("one", inner=fake.wire)
    assert cloud.name == "one"
    assert cloud.requests == {"identity": 2}
    assert cloud.supports(2, 96)
    cloud.close()


def test_the_environment_names_the_cloud(
    written: Written, fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OS_CLOUD is taken when no name is given."""
    written(CLOUDS)
    monkeypatch.setenv("OS_CLOUD", "one")
    assert connect(inner=fake.wire).name == "one"


def test_introduces_itself_as_drover(written: Written, fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user agent begins with drover and its version, for the operator who reads the API's log."""
    written(CLOUDS)
    agents: list[str] = []
    plain = fake.wire.send

    def send(request, *args, **kwargs):  # type: ignore[no-untyped-def]
        agents.append(request.headers["User-Agent"])
        return plain(request)

    monkeypatch.setattr(fake.wire, "send", send)
    connect("one", inner=fake.wire)
    assert agents[-1].startswith("drover/")


def test_an_unknown_cloud_lists_those_that_are_known(written: Written) -> None:
    """The message has the wrong name, the known names and the file."""
    path = written(CLOUDS)
    with pytest.raises(Rejected, match="no cloud 'three': the clouds found are one, two") as caught:
        connect("three")
    assert str(path) in str(caught.value)


def test_an_unknown_cloud_of_the_environment(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong OS_CLOUD is told as a wrong name is."""
    written(CLOUDS)
    monkeypatch.setenv("OS_CLOUD", "three")
    with pytest.raises(Rejected, match="no cloud 'three'"):
        connect()


def test_no_name_among_several(written: Written) -> None:
    """With two clouds and no name, the choice is the person's."""
    written(CLOUDS)
    with pytest.raises(Rejected, match="name one of one, two, or set OS_CLOUD"):
        connect()


def test_no_configuration_at_all(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any clouds.yaml the message says where it was looked for and what to do."""
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)
    with pytest.raises(Rejected, match=r"no cloud is configured: write a clouds.yaml.*looked for .*clouds.yaml"):
        connect()


def test_an_unknown_cloud_without_configuration(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is of no use when there is no file."""
    monkeypatch.delenv("OS_CLIENT_CONFIG_FILE", raising=False)
    with pytest.raises(Rejected, match="no cloud 'one': no cloud is configured"):
        connect("one")


def test_missing_credentials(written: Written) -> None:
    """A cloud without a password is told to be incomplete."""
    written(CLOUDS)
    with pytest.raises(Rejected, match=r"cloud two: its configuration is incomplete: password"):
        connect("two", inner=SimulatedCloud(SteppedClock()).wire)


def test_a_broken_file(written: Written) -> None:
    """openstacksdk passes over a file that it can't parse: the message says so."""
    path = written("clouds: [")
    with pytest.raises(Rejected, match=r"no cloud 'one'.*can't be read as YAML") as caught:
        connect("one")
    assert f"{path} can't be read" in str(caught.value)


def test_an_empty_file(written: Written) -> None:
    """A file without any mapping is told as such."""
    written("nothing")
    with pytest.raises(Rejected, match=r"can't be read: .*not a valid mapping"):
        connect("one")


def test_an_incomplete_cloud(written: Written) -> None:
    """A cloud without an auth_url is told to be incomplete."""
    written("clouds: {three: {auth: {username: admin}}}")
    with pytest.raises(Rejected, match=r"cloud three: its configuration is incomplete: .*auth_url"):
        connect("three")


def test_an_untrusted_certificate(written: Written, fake: SimulatedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of one's own authority names the option that says so."""
    written(CLOUDS)

    def send(*args: object, **kwargs: object) -> None:
        raise requests.exceptions.SSLError("self-signed certificate")

    monkeypatch.setattr(fake.wire, "send", send)
    with pytest.raises(Rejected, match="cacert"):
        connect("one", inner=fake.wire)


def test_refused_credentials(written: Written, fake: SimulatedCloud) -> None:
    """A wrong password is the person's to correct, and is not in the message."""
    written(CLOUDS)
    fake.keystone.password = "another"
    with pytest.raises(Rejected, match=r"cloud one: Keystone refuses the credentials \(401\)") as caught:
        connect("one", inner=fake.wire)
    assert "secret" not in str(caught.value)


def test_keystone_out_of_reach(written: Written, fake: SimulatedCloud) -> None:
    """No connection is Retry: it may come back."""
    written(CLOUDS)
    fake.unreachable = True
    with pytest.raises(Retry, match=r"cloud one: Keystone.* does not answer"):
        connect("one", inner=fake.wire)


def test_a_cloud_that_is_too_old() -> None:
    """Below 2.65 a drain lacks verbs, and the message says so."""
    with pytest.raises(Permanent, match=r"newest compute microversion is 2.60; Drover needs at least 2.65"):
        SimulatedCloud(SteppedClock(), newest="2.60").cloud().compute_version  # noqa: B018


def test_a_cloud_that_is_newer_than_we_are() -> None:
    """A Nova of the future is spoken to in the newest version whose meaning is known."""
    assert SimulatedCloud(SteppedClock(), newest="2.250").cloud().compute_version == (2, 103)


def test_discovery_out_of_reach(fake: SimulatedCloud) -> None:
    """Not to learn Nova's versions is Retry."""
    cloud = fake.cloud()
    cloud.authenticate()
    fake.unreachable = True
    with pytest.raises(Retry, match=r"compute.*does not answer"):
        cloud.compute_version  # noqa: B018


def test_discovery_answered_by_a_gateway(fake: SimulatedCloud) -> None:
    """A 503 instead of Nova's versions is Retry, not a cloud without versions."""
    cloud = fake.cloud()
    fake.fail_next(503, of="GET /compute/v2.1")
    with pytest.raises(Retry, match="compute answers 503"):
        cloud.compute_version  # noqa: B018


def test_a_region_without_nova(written: Written, fake: SimulatedCloud) -> None:
    """A wrong region is told as a missing endpoint."""
    written(CLOUDS.replace("region_name: R", "region_name: X"))
    with pytest.raises(Permanent, match=r"compute microversion is none|no endpoint for compute"):
        connect("one", inner=fake.wire).compute.get("/os-services")


def test_openstacksdk_talks_to_the_double_unchanged(fake: SimulatedCloud) -> None:
    """The double is a cloud for openstacksdk's own objects, too."""
    from openstack.connection import Connection

    server = fake.add_server("cmp01", name="web-1")
    region = fake.region()
    session = region.get_session().session
    session.mount("http://", fake.wire)
    connection = Connection(config=region)
    assert [found.id for found in connection.compute.servers(all_projects=True)] == [server]
    connection.close()


def test_importing_is_cheap() -> None:
    """A function that only names Cloud does not load openstacksdk, keystoneauth or requests."""
    code = (
        "import sys, shared.clouds, shared.fleet.reader, functions.migrate.nova;"
        "print([m for m in ('openstack', 'keystoneauth1', 'requests', 'tenacity') if m in sys.modules])"
    )
    root = Path(__file__).parents[3]
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert found.stdout.strip() == "[]"
