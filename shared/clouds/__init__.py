"""Clouds: connections to OpenStack that count their requests and name their failures."""

from shared.clouds.connection import Cloud, connect
from shared.clouds.errors import AnswerLost, Refused

__all__ = ["AnswerLost", "Cloud", "Refused", "connect"]
