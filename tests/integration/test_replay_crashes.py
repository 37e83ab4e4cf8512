"""The crash tests of a replay, all cases, on PostgreSQL."""

from tests.unit.keeper.test_crashes import *  # noqa: F403
