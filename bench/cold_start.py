"""How long a pod of Drover takes to be ready, against a parliament function that does nothing, in the same run.

    python bench/cold_start.py [--function migrate] [--runs 15]

Both start as in the image, by `python -m parliament .`, alternately. The time goes from the start of the process to the
first 200 of /health/readiness; memory is the peak resident set (VmHWM of proc(5)) at that moment. Then the first
event that needs the store is timed (a tick, on a new SQLite file). The first run of each is not
counted: it may still have to write bytecode, which an image has.

Exit code 1 when Drover takes more than `--ratio` times as long to be ready, or more than `--megabytes` of memory.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PORT = 8080
"""parliament's; it can't be chosen."""
PATIENCE = 60.0
"""Seconds until a process that does not become ready is given up."""
STEP = 0.002
"""Seconds between two looks."""
TICK_KEY = "the-key-of-this-benchmark-alone"
TICK = {
    "content-type": "application/json", "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/bench",
    "ce-type": "io.drover.tick", "ce-drovertick": base64.b64encode(TICK_KEY.encode()).decode(),
}  # fmt: skip
BARE = 'def main(context):\n    return "{}", 200, {"Content-Type": "application/json"}\n'


@dataclass(frozen=True)
class Start:
    """One process: seconds until ready and of its first answer, peak megabytes (10^6 bytes) then."""

    ready: float
    ready_mb: float
    first: float
    first_mb: float


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--function", default="migrate", help="value of FUNCTION; empty: all functions")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--ratio", type=float, default=2.0)
    parser.add_argument("--megabytes", type=float, default=80.0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    if not is_free():
        print(f"port {PORT} is in use, expected it free: parliament listens there and nowhere else", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        bare, drover = measure(Path(scratch), chosen.function, chosen.runs)
    return report(bare, drover, chosen)


def measure(scratch: Path, function: str, runs: int) -> tuple[list[Start], list[Start]]:
    """Starts of the bare function and of Drover, alternately."""
    (scratch / "func.py").write_text(BARE)
    bare: list[Start] = []
    drover: list[Start] = []
    for number in range(runs + 1):
        settings = {"FUNCTION": function, "DROVER_DATABASE_URL": f"sqlite:///{scratch}/{number}.db"}
        bare.append(one(scratch, {}))
        drover.append(one(ROOT, settings))
        if sys.stderr.isatty():
            print(f"\rrun {number} of {runs}", end="\n" * (number == runs), file=sys.stderr, flush=True)
    return bare[1:], drover[1:]


def one(directory: Path, settings: dict[str, str]) -> Start:
    """Start a function, wait until it is ready, send it a tick, stop it."""
    with running(directory, settings) as (process, begin):
        while fetch("/health/readiness") != 200:
            if process.poll() is not None or time.perf_counter() - begin > PATIENCE:
                raise SystemExit(f"the function in {directory} does not become ready; start it by hand to see why")
            time.sleep(STEP)
        ready, ready_mb = time.perf_counter() - begin, peak_megabytes(process.pid)
        asked = time.perf_counter()
        status = fetch("/", timeout=PATIENCE, headers=TICK)
        if status not in (200, 204):
            raise SystemExit(f"a tick: found status {status}, expected 200 or 204")
        return Start(ready, ready_mb, time.perf_counter() - asked, peak_megabytes(process.pid))


@contextmanager
def running(directory: Path, settings: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """A function's process and when it was started; it is ended by its pid."""
    left_out = ("DROVER_", "FUNCTION", "K_SINK", "PYTHONDONTWRITEBYTECODE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "parliament", "."],
        cwd=directory,
        env=environment | {"DROVER_DOOR_TICK": TICK_KEY} | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process, begin
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def fetch(path: str, timeout: float = 5.0, headers: Mapping[str, str] | None = None) -> int | None:
    """Status of a GET, or with headers of the POST of an event; None as long as nobody answers."""
    connection = HTTPConnection("127.0.0.1", PORT, timeout=timeout)
    try:
        if headers is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, b"{}", dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def is_free() -> bool:
    """Whether nobody listens on parliament's port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", PORT)) != 0


def peak_megabytes(pid: int) -> float:
    """The process's peak resident set so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


def report(bare: list[Start], drover: list[Start], limits: argparse.Namespace) -> int:
    """Print medians and the verdict; 0 if both limits are kept."""
    rows = {
        name: {each: median(vars(start)[each] for start in starts) for each in vars(starts[0])}
        for name, starts in (("bare", bare), ("drover", drover))
    }
    ratio = rows["drover"]["ready"] / rows["bare"]["ready"]
    kept = ratio <= limits.ratio and rows["drover"]["ready_mb"] <= limits.megabytes
    if limits.json:
        print(json.dumps({**rows, "ratio": ratio, "runs": len(drover), "kept": kept}))
        return 0 if kept else 1
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, median of {len(drover)} runs")
    print(f"{'':8} {'ready s':>9} {'peak MB':>9} {'first answer s':>15} {'peak MB':>9}")
    for name, row in rows.items():
        print(f"{name:8} {row['ready']:9.3f} {row['ready_mb']:9.1f} {row['first']:15.3f} {row['first_mb']:9.1f}")
    print(f"ratio {ratio:.2f} (at most {limits.ratio:g}), {rows['drover']['ready_mb']:.1f} MB (at most "
          f"{limits.megabytes:g}): {'kept' if kept else 'NOT KEPT'}")  # fmt: skip
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
