"""The crash tests, all cases, on PostgreSQL."""

from tests.unit.operations.test_crashes import *  # noqa: F403
