"""`drover trace record`: a full capture into a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cli.errors import say
from cli.follow import Interrupt
from cli.text import side
from functions.rpc_trace.capture import Capture
from functions.rpc_trace.events import Mode
from functions.rpc_trace.price import PRICES
from functions.rpc_trace.recorder import Recorder
from shared.errors import Rejected, Retry
from shared.rabbit import find_broker, guard
from shared.settings import load

TURN = 1.0
"""Seconds of reading between two looks at the terminal."""
TRIES = 5
"""Lost connections in a row after which it gives up."""


def record(file: Path, seconds: float, cloud: str | None) -> dict[str, Any]:
    """Capture for so long, or until Ctrl-C.

    Returns:
        `events`, `seconds`, `dropped`, and `note`: why it ended early.
    """
    broker = find_broker(cloud or load().cloud)
    capture = Capture(broker, f"record-{int(time.time())}")
    if why := capture.firehose.refusal():
        raise Rejected(f"nothing was captured: {why}")
    say(f"The price: {PRICES[Mode.FULL]}.")
    with Recorder(file) as recorder, Interrupt().listening() as interrupt:
        guard.start(broker)
        begin = time.monotonic()
        capture.open()
        note = ""
        try:
            with side().status("recording") as status:
                failures = 0
                while not note and interrupt.signal is None and (left := begin + seconds - time.monotonic()) > 0:
                    try:
                        note = capture.read(recorder.take, min(left, TURN))
                        failures = 0
                    except Retry as error:
                        failures += 1
                        note = str(error) if failures >= TRIES else ""
                    status.update(f"recording: {recorder.written} events, {max(0, left):.0f} s to go")
        finally:
            ended = capture.close(recorder.take, recorder.written)
        recorder.end(ended.until, ended.dropped, capture.connections())
    if note:
        say(f"It ended early: {note}")
    return {"file": str(file), "events": recorder.written, "seconds": round(time.monotonic() - begin, 1),
            "dropped": ended.dropped, "note": note}  # fmt: skip
