"""The door of `migrate`: drains of hypervisors and of network nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.door import Door

if TYPE_CHECKING:
    from shared.operations import Kind


def kinds() -> Sequence[Kind]:
    """The kinds of operations that this function runs."""
    from functions.migrate.drain import Drain, Links
    from functions.migrate.network.drain import NetworkDrain
    from functions.migrate.network.undrain import NetworkUndrain
    from functions.migrate.undrain import Undrain

    links = Links()  # one connection to a cloud serves all
    return [Drain(links), Undrain(links), NetworkDrain(links), NetworkUndrain(links)]


door = Door("migrate", kinds)
main = door.main
