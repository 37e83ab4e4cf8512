"""The faults file as the fake driver sees it: read again whenever it has changed.

The format is described by the model in `lab/faults.py` of Drover, which also checks it; here it is read as it is, since
the OpenStack venv holds no pydantic, and a file that can't be read counts as unchanged.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import threading
from dataclasses import dataclass
from typing import Any

import yaml

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """What is wrong with one server, see `lab/faults.py`."""

    pattern: str
    seconds: float | None = None
    stalled: bool = False
    fail: str | None = None
    kill: str | None = None
    times: int | None = None
    targets: tuple[str, ...] = ()
    spawn: str | None = None
    spawn_seconds: float = 0.0


class Faults:
    """The content of one faults file, kept until the file changes."""

    def __init__(self, path: str, counts: str) -> None:
        """`counts` is a directory where the faults that struck are counted, shared by all computes."""
        self.path = path
        self.counts = counts
        self._stamp: tuple[int, int] | None = None
        self._content: dict[str, Any] = {}
        self._lock = threading.Lock()

    def content(self) -> dict[str, Any]:
        """The file as a dictionary; empty if there is none."""
        with self._lock:
            try:
                stat = os.stat(self.path)
                stamp = (stat.st_mtime_ns, stat.st_size)
                if stamp != self._stamp:
                    with open(self.path) as file:
                        self._content = yaml.safe_load(file) or {}
                    self._stamp = stamp
            except FileNotFoundError:
                self._content, self._stamp = {}, None
            except (OSError, yaml.YAMLError) as error:
                LOG.error("faults file %s can't be read, the last good one counts: %s", self.path, error)
            return self._content

    def of_server(self, uuid: str, name: str) -> Fault | None:
        """The first fault whose key is the server's id, its name, or a pattern that fits its name."""
        for pattern, values in (self.content().get("servers") or {}).items():
            if pattern == uuid or fnmatch.fnmatchcase(name, str(pattern)):
                values = dict(values or {})
                values["targets"] = tuple(values.get("targets") or ())
                return Fault(pattern=str(pattern), **values)
        return None

    def host_state(self, host: str) -> str | None:
        """'dead', 'frozen', or None for a host that is well."""
        value = (self.content().get("hosts") or {}).get(host)
        return value.get("state") if isinstance(value, dict) else value

    def strikes(self, fault: Fault, kind: str, uuid: str, target: str) -> bool:
        """Whether the fault hits this time: the target is one of those named, and `times` is not used up.

        Each hit is counted.
        """
        if fault.targets and target not in fault.targets:
            return False
        os.makedirs(self.counts, exist_ok=True)
        counter = os.path.join(self.counts, f"{uuid}.{kind}")
        with open(counter, "ab") as file:
            if fault.times is not None and file.tell() >= fault.times:
                return False
            file.write(b".")
        return True
