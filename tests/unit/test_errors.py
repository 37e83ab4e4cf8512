"""What errors repeat of what others said."""

from __future__ import annotations

import pytest

from shared.errors import Permanent, Retry


@pytest.mark.parametrize("kind", [Permanent, Retry])
def test_secrets_that_others_tell_stay_out(kind: type[Permanent] | type[Retry]) -> None:
    """Their messages are stored, logged and sent on: passwords and tokens in them are cut out where they come in."""
    error = kind("no answer of rabbit://nova:hush@mq:5672/ with password=hush; correct the address")
    assert str(error) == "no answer of rabbit://[redacted]@mq:5672/ with password=[redacted]; correct the address"
    assert error.args == (str(error),)
