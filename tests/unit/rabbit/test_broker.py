"""Where RabbitMQ is: from brokers.yaml or the environment; what can't be used is refused without its password."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import Rejected
from shared.rabbit import Management, all_brokers, find_broker

URL = "amqp://nova:s3cr%2Ft@mq1:5672,mq2/openstack"


def environment(tmp_path: Path, text: str) -> dict[str, str]:
    """An environment that names this file."""
    path = tmp_path / "brokers.yaml"
    path.write_text(text)
    return {"DROVER_BROKERS_FILE": str(path)}


def test_the_environment_names_one_broker() -> None:
    """User, password, several nodes, vhost and the management API, percent-encoding undone."""
    found = find_broker(
        "prod", {"DROVER_RABBIT_URL": URL, "DROVER_RABBIT_MANAGEMENT": "http://mq1:15672, http://mq2:15672"}
    )
    assert (found.name, found.user, found.password.get_secret_value()) == ("prod", "nova", "s3cr/t")
    assert (found.hosts, found.vhost, found.tls) == ((("mq1", 5672), ("mq2", 5672)), "openstack", False)
    assert found.management == ("http://mq1:15672", "http://mq2:15672")
    assert [parameters.host for parameters in found.parameters()] == ["mq1", "mq2"]


def test_oslo_messaging_s_way_to_write_several_nodes() -> None:
    """Each node may repeat the user; TLS has a port of its own."""
    found = find_broker(None, {"DROVER_RABBIT_URL": "amqps://nova:x@mq1:5671,nova:x@mq2/%2F"})
    assert (found.hosts, found.vhost, found.tls, found.vhost_path) == ((("mq1", 5671), ("mq2", 5671)), "/", True, "%2F")


def test_a_file_names_the_brokers_of_clouds(tmp_path: Path) -> None:
    """By the cloud's name; the only one needs no name."""
    given = environment(tmp_path, f"brokers:\n  paris:\n    url: {URL}\n")
    assert find_broker("paris", given).vhost == find_broker(None, given).vhost == "openstack"
    assert [broker.name for broker in all_brokers(given)] == ["paris"]


def test_beside_clouds_yaml(tmp_path: Path) -> None:
    """Whoever names a clouds.yaml need not name the file beside it."""
    environment(tmp_path, f"brokers:\n  paris:\n    url: {URL}\n")
    assert find_broker("paris", {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}).name == "paris"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("brokers: {paris: {url: 'http://nova:s3cret@mq'}}", "expected amqp://"),
        ("brokers: {paris: {url: 'amqp://nova:s3cret@mq:port/'}}", "a port that is no number"),
        ("brokers: {paris: {url: 'amqp://nova:s3cret@mq/', management: 'mq:15672'}}", "expected http(s)://"),
        ("brokers: {paris: {uri: 'amqp://nova:s3cret@mq/'}}", "brokers.paris.url"),
        ("brokers: {lyon: {url: 'amqp://nova:s3cret@mq/'}}", "lyon"),
        ("brokers: {paris: {url: 'amqps://nova:s3cret@mq/', key_file: key.pem}}", "key_file without cert_file"),
        ("brokers: {paris: {url: 'amqp://nova:s3cret@mq/', ca_file: ca.pem}}", "no address that speaks it"),
        ("brokers: [", "line"),
        ("- s3cret", "brokers.yaml"),
    ],
)
def test_what_can_t_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """The message says what was expected, and repeats no password."""
    with pytest.raises(Rejected) as refused:
        find_broker("paris", environment(tmp_path, text))
    assert words in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any of it there is no broker, and whoever wants one is told where it would be looked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert all_brokers({}) == []
    with pytest.raises(Rejected, match="DROVER_RABBIT_URL"):
        find_broker("paris", {})


@pytest.mark.parametrize("what", ["ca_file", "cert_file"])
def test_files_of_tls_that_can_t_be_used(tmp_path: Path, what: str) -> None:
    """Missing or something else: the file is named, and what it should be, before anything is sent."""
    (tmp_path / "junk.pem").write_text("s3cret")
    for name in ("nowhere.pem", "junk.pem"):
        entry = f"{{url: 'amqps://nova:x@mq/', management: 'https://mq:15671', {what}: {tmp_path / name}}}"
        broker = find_broker("paris", environment(tmp_path, f"brokers: {{paris: {entry}}}"))
        for attempt in (broker.parameters, lambda broker=broker: Management(broker)):
            with pytest.raises(
                Rejected, match=f"found {tmp_path / name}, which can't be used .* expected PEM"
            ) as refused:
                attempt()
            assert "s3cret" not in str(refused.value)
