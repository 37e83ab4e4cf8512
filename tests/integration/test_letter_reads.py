"""Reading dead letters, on PostgreSQL."""

from tests.unit.letters.test_reads import *  # noqa: F403
