"""A process of its own that disarms the firehose when the capture that armed it has died.

A capture in a deployment is watched by the keeper's tick. One that somebody runs from a terminal has nobody: so it
starts this beforehand, in a session of its own, where neither Ctrl-C nor kill -9 of the capture reaches it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

from shared.errors import DroverError
from shared.rabbit.broker import Broker, find_broker
from shared.rabbit.firehose import disarm_abandoned, mark_name
from shared.rabbit.management import Management

LOOK_SECONDS = 2.0
MOST_SECONDS = 3600.0
"""After so long it gives up: no capture lasts that long."""
BEGIN_SECONDS = 30.0
"""So long the capture may take until it has armed."""


def start(broker: Broker, pid: int | None = None) -> None:
    """Start the guard; it ends by itself when the firehose is disarmed.

    Args:
        pid: of a process that may arm it at any time and more than once: then it ends after that one, too.
    """
    subprocess.Popen(
        [sys.executable, "-m", "shared.rabbit.guard", broker.name, *([] if pid is None else [str(pid)])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def watch(broker: Broker, pid: int | None = None) -> None:
    """Look every two seconds until no capture has the firehose, and disarm it when that one has died."""
    begin = time.monotonic()
    seen = False
    management = Management(broker)
    while (passed := time.monotonic() - begin) < MOST_SECONDS:
        waiting = pid is not None and _lives(pid)
        if waiting:
            begin = time.monotonic()
        try:
            disarm_abandoned(broker, management)
            armed = management.parameter(mark_name(broker)) is not None
        except DroverError:
            armed = True  # not known: look again
        if seen and not armed and not waiting:
            return
        seen |= armed
        if not seen and passed > BEGIN_SECONDS:
            return
        time.sleep(LOOK_SECONDS)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    watch(find_broker(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
