"""Network drains on the simulated cloud."""

from __future__ import annotations

import pytest

from shared.store import Database
from tests.support.nodes import Nodes


@pytest.fixture
def nodes(database: Database) -> Nodes:
    """Three network nodes, a store and a worker."""
    return Nodes(database)
