"""Sending dead letters again, on PostgreSQL."""

from tests.unit.keeper.test_replay import *  # noqa: F403
