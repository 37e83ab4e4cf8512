"""How a cloud's OVN databases are named in the environment."""

from __future__ import annotations

import pytest

from functions.migrate.network.ovn import Ovn
from functions.migrate.network.ovn_settings import databases
from functions.migrate.network.ovn_wire import Address
from shared.settings import SettingsError


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DROVER_CLOUD", "OS_CLOUD", "DROVER_OVN_NB", "DROVER_OVN_SB"):
        monkeypatch.delenv(name, raising=False)


def addresses(cloud: str) -> list[str] | None:
    """Of the northbound database."""
    found = databases(cloud)
    return [str(address) for address in found[0]._addresses] if found else None


def test_without_settings_there_is_no_ovn() -> None:
    """A cloud whose databases nobody named has none."""
    assert databases("north-1") is None
    assert Ovn.of("north-1") is None


def test_the_common_names_are_of_the_default_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are never taken for another cloud than the one that the environment names, which may have the same hosts."""
    monkeypatch.setenv("DROVER_OVN_NB", "tcp:10.0.0.1:6641, tcp:[2001:db8::1]:6641")
    monkeypatch.setenv("DROVER_OVN_SB", "unix:/run/ovn/sb.sock")
    assert addresses("anything") == ["tcp:10.0.0.1:6641", "tcp:[2001:db8::1]:6641"]
    monkeypatch.setenv("OS_CLOUD", "north-1")
    assert addresses("north-1")
    assert addresses("south") is None
    monkeypatch.setenv("DROVER_OVN_SOUTH_NB", "tcp:south:6641")
    monkeypatch.setenv("DROVER_OVN_SOUTH_SB", "tcp:south:6642")
    assert addresses("south") == ["tcp:south:6641"]
    monkeypatch.setenv("DROVER_OVN_NORTH_1_NB", "tcp:north:6641")
    monkeypatch.setenv("DROVER_OVN_NORTH_1_SB", "tcp:north:6642")
    assert addresses("north-1") == ["tcp:north:6641"]


@pytest.mark.parametrize(
    ("nb", "sb", "told"),
    [
        ("10.0.0.1:6641", "tcp:a:1", "DROVER_OVN_NB: found '10.0.0.1:6641', expected tcp:HOST:PORT or ssl:HOST:PORT"),
        ("tcp:a:0", "tcp:a:1", "DROVER_OVN_NB: found 'tcp:a:0'"),
        ("tcp:a:65536", "tcp:a:1", "DROVER_OVN_NB"),
        ("tcp:a:1,", "tcp:a:1", "DROVER_OVN_NB"),
        ("tcp:a:1", "", "expected the addresses of both databases"),
        ("ssl:a:1", "ssl:a:2", "expected …KEY, …CERT and …CA, the files of TLS"),
    ],
)
def test_what_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch, nb: str, sb: str, told: str) -> None:
    """The message names the variable, what was found and what was expected."""
    monkeypatch.setenv("DROVER_OVN_NB", nb)
    monkeypatch.setenv("DROVER_OVN_SB", sb)
    with pytest.raises(SettingsError) as caught:
        databases("north-1")
    assert told in str(caught.value)


def test_addresses_are_written_as_ovn_writes_them() -> None:
    """IPv6 in brackets, a socket by its path."""
    assert str(Address("ssl", "::1", 6641)) == "ssl:[::1]:6641"
    assert str(Address("unix", "/run/nb.sock")) == "unix:/run/nb.sock"
