"""The door of `rpc_trace`: captures of RPC traffic, and the watch over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.door import Door

if TYPE_CHECKING:
    from shared.operations import Kind


def kinds() -> Sequence[Kind]:
    """The kinds of operations that this function runs."""
    from functions.rpc_trace.trace import Trace
    from functions.rpc_trace.watch import TraceWatch

    return [Trace(), TraceWatch()]


door = Door("rpc_trace", kinds)
main = door.main
