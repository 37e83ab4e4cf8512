"""The real OpenStack that the tests in this directory run against: brought up if it is not, cleaned on request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.openstack import LabUnderTest, open_lab


@pytest.fixture(scope="session")
def lab_session() -> LabUnderTest:
    """One lab for all tests."""
    return open_lab()


@pytest.fixture
def lab(lab_session: LabUnderTest) -> Iterator[LabUnderTest]:
    """The lab, clean before the test and after it."""
    lab_session.reset()
    yield lab_session
    lab_session.reset()


@pytest.fixture
def clouds_yaml(lab: LabUnderTest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lab's clouds.yaml, also in the environment of the test."""
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(lab.clouds_yaml))
    return lab.clouds_yaml
