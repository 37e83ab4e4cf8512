"""A drain by Drover beside two other ways to empty the same host, on the same lab, in the same run.

    drover lab up --computes 6 --cap 1
    python bench/drain.py [--servers 20] [--computes 6] [--json] [--only drover]

- blind: every live migration is asked for at once, without a target, and nobody looks after it. Nova's own pace: with
  max_concurrent_live_migrations = 1 it can't be done faster. Looking whether Nova is through is the benchmark's doing
  and is not counted.
- serial: one server after the other, each polled every two seconds until it has arrived, as common scripts do.
- drover: `drover drain --json`, the whole command, with the proof that the host is empty.

Before each, the lab is cleaned and the servers are booted anew. Requests are counted in Nova's own log, the same way
for all. `nova s` is the time from the first migration's creation to the last one's end, by Nova's clock; `wall s` the
time that a person waits. Exit code 1 when Drover needs more than 2 requests a server + 20, more than 1.15 x the blind
submission's time, or leaves a server behind.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from lab import cloud, layout
from lab.errors import LabError
from lab.fill import Wish, fill
from lab.layout import Lab
from lab.reset import reset

SOURCE = "cmp01"
MICROVERSION = "2.90"
SERIAL_POLL = 2.0
WATCH_POLL = 1.0
EACH = 30.0
"""Seconds for a server, at most; a way that takes longer is given up."""
REQUEST_MARK = " INFO nova.api.openstack.requestlog "
CALLBACK = "/os-server-external-events"
"""Neutron's calls to Nova: no tool makes them."""
MAX_RATIO = 1.15


@dataclass(frozen=True)
class Result:
    """What one way needed."""

    way: str
    moved: int
    requests: int
    wall_seconds: float
    nova_seconds: float
    targets: dict[str, int] = field(default_factory=dict)
    """Servers by host."""


class Bench:
    """The lab's cloud as the benchmark sees it."""

    def __init__(self, lab: Lab, servers: int) -> None:
        self.lab, self.servers = lab, servers
        self.compute = cloud.connect(lab).compute
        self.log = lab.log / "nova.log"
        self.ids: set[str] = set()

    def prepare(self) -> None:
        """A clean cloud with all the servers on the source."""
        reset(self.lab)
        self.ids = {server.id for server in fill(self.lab, Wish((SOURCE,), self.servers))}

    def run(self, name: str, way: Callable[[Bench], int]) -> Result:
        """Measure one way; it returns how many of Nova's requests were the benchmark's own."""
        tell(f"{name}: cleaning the lab, booting {self.servers} servers on {SOURCE}")
        self.prepare()
        tell(f"{name}: emptying {SOURCE}")
        begin, at = time.monotonic(), self.log.stat().st_size
        own = way(self)
        wall = time.monotonic() - begin
        requests = sum(1 for _ in self._requests(at)) - own
        rows = self.list()
        targets = Counter(str(row["OS-EXT-SRV-ATTR:host"]) for row in rows)
        stayed = targets.pop(SOURCE, 0)
        result = Result(name, len(rows) - stayed, requests, wall, self._nova_seconds(), dict(sorted(targets.items())))
        tell(f"{name}: {result.moved} moved, {requests} requests, {wall:.1f} s")
        return result

    def list(self) -> list[dict[str, Any]]:
        """The servers of this run."""
        rows: list[dict[str, Any]] = self._get("/servers/detail?all_tenants=1")["servers"]
        return [row for row in rows if row["id"] in self.ids]

    def post(self, server: str) -> None:
        """Ask for a live migration without a target."""
        body = {"os-migrateLive": {"host": None, "block_migration": "auto"}}
        answer = self.compute.post(f"/servers/{server}/action", json=body, microversion=MICROVERSION)
        if answer.status_code != 202:
            raise LabError(f"Nova answered {answer.status_code} to a live migration: {answer.text[:200]}")

    def get(self, server: str) -> dict[str, Any]:
        """One server."""
        row: dict[str, Any] = self._get(f"/servers/{server}")["server"]
        return row

    def deadline(self) -> float:
        """When a way that has not ended is given up."""
        return time.monotonic() + 30 + EACH * self.servers

    def _get(self, path: str) -> dict[str, Any]:
        document: dict[str, Any] = self.compute.get(path, microversion=MICROVERSION).json()
        return document

    def _requests(self, offset: int) -> Iterator[str]:
        with self.log.open(encoding="utf-8", errors="replace") as file:
            file.seek(offset)
            yield from (line for line in file if REQUEST_MARK in line and CALLBACK not in line)

    def _nova_seconds(self) -> float:
        rows = [row for row in self._get("/os-migrations")["migrations"] if row["instance_uuid"] in self.ids]
        if not rows:
            return 0.0
        first = min(datetime.fromisoformat(row["created_at"]) for row in rows)
        return (max(datetime.fromisoformat(row["updated_at"]) for row in rows) - first).total_seconds()


def away(row: dict[str, Any]) -> bool:
    """Whether the server has left the source and nothing is under way."""
    return row["OS-EXT-SRV-ATTR:host"] != SOURCE and row["OS-EXT-STS:task_state"] is None


def blind(bench: Bench) -> int:
    """All at once; returns how often the benchmark looked."""
    for row in bench.list():
        bench.post(str(row["id"]))
    looks, deadline = 0, bench.deadline()
    while time.monotonic() < deadline:
        looks += 1
        rows = bench.list()
        if all(away(row) for row in rows):
            break
        if not any(row["OS-EXT-STS:task_state"] for row in rows):
            break  # nothing runs any more: whatever is still here, Nova has given up
        time.sleep(WATCH_POLL)
    return looks


def serial(bench: Bench) -> int:
    """One after the other."""
    deadline = bench.deadline()
    for row in bench.list():
        server = str(row["id"])
        bench.post(server)
        while not away(bench.get(server)) and time.monotonic() < deadline:
            time.sleep(SERIAL_POLL)
    return 0


def drover(bench: Bench) -> int:
    """`drover drain`, with a store of its own."""
    command = [sys.executable, "-m", "cli.main", "drain", SOURCE, "--cloud", "lab", "--reason", "benchmark", "--json"]
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("DROVER_", "OS_"))},
            "OS_CLIENT_CONFIG_FILE": str(bench.lab.clouds_yaml),
            "XDG_STATE_HOME": directory,
        }
        limit, root = bench.deadline() - time.monotonic(), Path(__file__).resolve().parent.parent
        try:
            subprocess.run(command, env=environment, cwd=root, stdout=subprocess.DEVNULL, timeout=limit, check=True)
        except subprocess.CalledProcessError as error:
            tell(f"drover: exit code {error.returncode}")
        except subprocess.TimeoutExpired:
            tell(f"drover: given up after {limit:.0f} s")
    return 0


WAYS = {"blind": blind, "serial": serial, "drover": drover}


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def report(results: dict[str, Result], servers: int) -> bool:
    """Print the table and the ratios; True when Drover kept to its limits, as far as they were measured."""
    print(f"{'way':8} {'moved':>6} {'requests':>9} {'wall s':>8} {'nova s':>8}  servers by target")
    for each in results.values():
        targets = " ".join(f"{host}:{number}" for host, number in each.targets.items())
        figures = f"{each.moved:>6} {each.requests:>9} {each.wall_seconds:>8.1f} {each.nova_seconds:>8.1f}"
        print(f"{each.way:8} {figures}  {targets}")
    own = results.get("drover")
    if own is None:
        return True
    for other in (results[name] for name in ("blind", "serial") if name in results):
        print(
            f"drover / {other.way}: {own.wall_seconds / other.wall_seconds:.2f} of the time, "
            f"{own.requests / other.requests:.2f} of the requests"
        )
    limit = 2 * servers + 20
    good = own.moved == servers and own.requests <= limit
    print(f"limit of requests: {limit}, found {own.requests}")
    if "blind" in results:
        ratio = own.wall_seconds / results["blind"].wall_seconds
        good = good and ratio <= MAX_RATIO
        print(f"limit of the time: {MAX_RATIO} x blind, found {ratio:.2f}")
    return good


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", type=int, default=20)
    parser.add_argument("--computes", type=int, default=6, help="what the lab must have at least")
    parser.add_argument("--dir", type=Path, default=None, help="the lab's directory")
    parser.add_argument("--only", choices=list(WAYS), action="append", help="these ways alone; may be repeated")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    directory = options.dir or Path(os.environ.get("DROVER_LAB_DIR", "~/.cache/drover/lab")).expanduser()
    try:
        lab = layout.load(directory)
        if len(lab.options.hosts) < options.computes:
            raise LabError(f"the lab has {len(lab.options.hosts)} hosts, expected {options.computes}: "
                           f"drover lab up --computes {options.computes} --cap 1")  # fmt: skip
        bench = Bench(lab, options.servers)
        chosen = options.only or list(WAYS)
        results = {name: bench.run(name, WAYS[name]) for name in chosen}
        reset(lab)
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({name: asdict(result) for name, result in results.items()}, indent=2))
        return 0
    return 0 if report(results, options.servers) else 1


if __name__ == "__main__":
    sys.exit(main())
