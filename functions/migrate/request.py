"""What every request to `migrate` says."""

from __future__ import annotations

from pydantic import Field

from shared.events import EventData


class CloudRequest(EventData):
    """Which cloud, why, and who asks."""

    cloud: str = Field(description="Name of the cloud in clouds.yaml.", min_length=1, max_length=200)
    reason: str = Field(description="Why. It goes on record and into the cloud's own note of it (Nova's "
                        "disabled_reason, an agent's description).", min_length=1, max_length=200,
                        pattern=r"\S")  # fmt: skip
    requester: str = Field(default="unknown", description="Who asks.", max_length=200)
