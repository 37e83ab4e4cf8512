"""What is typed changes a lab's options, what is not typed stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import choose, layout
from lab.choose import Given
from lab.errors import LabError
from lab.layout import Options


def test_nothing_given_changes_nothing() -> None:
    """Without options the lab stays as it is."""
    before = Options(computes=7, cap=3, zones=("a",), aggregates={"ssd": ("cmp01",)})
    assert choose.options(before, Given()) == before


@given(before=st.integers(1, 99), wanted=st.integers(1, 99))
def test_computes_are_added_never_removed(before: int, wanted: int) -> None:
    """A smaller number of computes than there are changes nothing, a larger one adds."""
    found = choose.options(Options(computes=before, cap=2), Given(computes=wanted))
    assert found.computes == max(before, wanted)


def test_new_lab_may_be_smaller_than_the_default(tmp_path: Path) -> None:
    """A lab that is made with one compute has one."""
    assert choose.lab(tmp_path / "lab", Given(computes=1), None).options.computes == 1


def test_given_options_are_kept(tmp_path: Path) -> None:
    """An option given once holds for the next time."""
    choose.lab(tmp_path / "lab", Given(cap=4, aggregates=["ssd=cmp01,cmp02"]), 24000)
    again = choose.lab(tmp_path / "lab", Given(seconds=9.5), None)
    assert (again.options.cap, again.options.seconds, again.port_base) == (4, 9.5, 24000)
    assert again.options.aggregates == {"ssd": ("cmp01", "cmp02")}
    assert layout.load(tmp_path / "lab") == again


def test_ports_of_a_lab_stay(tmp_path: Path) -> None:
    """Another port base for a lab that is there is refused, since its endpoints are stored."""
    choose.lab(tmp_path / "lab", Given(), 24000)
    with pytest.raises(LabError, match="from 24000 on, which can't be changed"):
        choose.lab(tmp_path / "lab", Given(), 25000)


def test_default_zone_alone_is_no_zone() -> None:
    """`nova` alone is Nova's own default zone, which needs no aggregate."""
    assert choose.options(Options(zones=("a", "b")), Given(zones="nova")).zones == ()
    assert choose.options(Options(), Given(zones="a, b")).zones == ("a", "b")


@pytest.mark.parametrize(
    ("given_options", "complaint"),
    [
        (Given(aggregates=["ssd"]), "expected NAME=HOST,HOST"),
        (Given(aggregates=["ssd=cmp01,cmp77"]), "no such hosts in --aggregate: cmp77"),
        (Given(zones="a b"), "wrong options: zones.0"),
        (Given(cap=0), "wrong options: cap"),
        (Given(seconds=-1), "wrong options: seconds"),
    ],
)
def test_wrong_option_is_named(given_options: Given, complaint: str) -> None:
    """An option that makes no sense is refused by name."""
    with pytest.raises(LabError, match=complaint):
        choose.options(Options(), given_options)
