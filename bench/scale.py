"""How a drain's requests, time and memory grow with the cloud, from 100 to 10,000 hypervisors with 23 servers each.

    python bench/scale.py [--sizes 100,316,1000,3162,10000] [--servers 200] [--seed 1] [--no-whole] [--json]

For each size a simulated cloud (`drover lab simulate`) runs as one process and Drover as another: it reads the fleet
around one host of 200 servers, plans, and drains the host, with the store in a file. The cloud's time is stepped, so
that a drain of an hour takes seconds. Beside it, in the same run, `whole` reads what a script does that lists the whole
cloud before it plans, with Drover's own reader and planner.

Growth is the slope in a log-log plot: 1 is linear, 0 does not grow. It is given over all sizes and over the last step,
where constant parts weigh least. Exit code 1 when something grows faster than linearly, when planning takes over 3 s
after the reads or Drover over 300 MB in the largest cloud, or when a drain leaves a server behind.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZES = (100, 316, 1_000, 3_162, 10_000)
SOURCE = "cmp00000"
FILL = 0.7
"""The share of a host's memory that is in use."""
CAPACITY = {"vcpus": 512, "memory_mb": 512 * 1024, "disk_gb": 8000}
FLAVORS = ((2, 4096, 40), (4, 8192, 40), (8, 16384, 80), (16, 32768, 80), (4, 32768, 40), (32, 131072, 160))
"""vCPUs, MiB and GiB; on the average 23 servers fill a host."""
WEIGHTS = (30, 30, 20, 10, 7, 3)
SMALL = (2, 2048, 20)
"""Of the servers on the host that is drained."""
GROUPED = 0.08
"""The share of servers that are in a server group."""
COPY_SECONDS = 10
LOADING = 120.0
"""Seconds that the simulated cloud may take until it listens."""
ONE = 900.0
"""Seconds that one measurement may take."""
MAX_PLANNING, MAX_MB = 3.0, 300.0
LINEAR, LINEAR_AT_THE_END = 1.0, 1.3
"""The steepest slopes that pass; a single step is measured on a machine that does other things as well."""

ROWS = (
    ("planning read, requests", "drover", "read_requests"),
    ("planning read, seconds", "drover", "reads_seconds"),
    ("planning after it, seconds", "drover", "planning_seconds"),
    ("peak memory, MB", "drover", "peak_mb"),
    ("store, kB", "drover", "store_kb"),
    ("whole drain, requests", "drover", "drain_requests"),
    ("CPU of a slice, ms", "drover", "slice_cpu_ms"),
    ("whole cloud: requests", "whole", "read_requests"),
    ("whole cloud: read seconds", "whole", "reads_seconds"),
    ("whole cloud: planning seconds", "whole", "planning_seconds"),
    ("whole cloud: peak MB", "whole", "peak_mb"),
)
"""What is printed: its name, whose it is, and the figure."""


def make_fleet(path: Path, hosts: int, servers: int, seed: int) -> int:
    """Write a fleet of so many hosts, loaded but the first, which has `servers` small ones; gives their total.

    Three zones, a trait on half of the hosts, a tenth of the servers bound to a zone or a trait, and groups within
    projects, of which there is one for every four hosts.
    """
    draw = random.Random(seed)
    names = [f"cmp{number:05}" for number in range(hosts)]
    projects: dict[str, list[tuple[str, str]]] = {}
    total = 0
    with path.open("w") as file:
        rows = ",\n".join(json.dumps(_host(number, name)) for number, name in enumerate(names))
        file.write(f'{{"format": "drover.fleet/1", "hosts": [{rows}], "servers": [\n')
        for number, name in enumerate(names):
            for flavor in [SMALL] * servers if name == SOURCE else _filling(draw):
                row = _server(total, number, name, flavor, draw, max(1, hosts // 4))
                file.write(f"{',' if total else ''}\n{json.dumps(row)}")
                projects.setdefault(row["project"], []).append((row["id"], name))
                total += 1
        file.write(f'], "groups": {json.dumps(list(_groups(projects, draw)))}}}')
    return total


def _host(number: int, name: str) -> dict[str, Any]:
    traits = ["HW_CPU_X86_AVX512F"] if number % 2 else []
    place = {"zone": f"az{number % 3 + 1}", "rack": f"rack{number // 20:04}"}
    return {"name": name, **place, "capacity": CAPACITY, "accepts": number % 100 != 7, "aggregates": [],
            "traits": traits}  # fmt: skip


def _filling(draw: random.Random) -> Iterator[tuple[int, int, int]]:
    used, limit = 0, FILL * CAPACITY["memory_mb"]
    while True:
        flavor = draw.choices(FLAVORS, WEIGHTS)[0]
        used += flavor[1]
        if used > limit:
            return
        yield flavor


def _server(
    number: int, host_number: int, host: str, flavor: tuple[int, int, int], draw: random.Random, projects: int
) -> dict[str, Any]:
    needs = {
        "zone": f"az{host_number % 3 + 1}" if draw.random() < 0.1 else None,
        "aggregates": [],
        "traits": ["HW_CPU_X86_AVX512F"] if host_number % 2 and draw.random() < 0.1 else [],
    }
    uses = dict(zip(CAPACITY, flavor, strict=True))
    return {"id": f"srv{number:07}", "host": host, "project": f"project{draw.randrange(projects):05}",
            "status": "ACTIVE", "uses": uses, "requires": needs, "movable": True, "seconds": 10}  # fmt: skip


def _groups(projects: Mapping[str, list[tuple[str, str]]], draw: random.Random) -> Iterator[dict[str, Any]]:
    """Anti-affinity groups of two to five servers of one project, on different hosts."""
    for project, servers in projects.items():
        for number in range(round(GROUPED * len(servers) / 3)):
            chosen = {
                host: server for server, host in draw.sample(servers, min(len(servers), draw.choice((2, 3, 3, 5))))
            }
            yield {"id": f"{project}-{number}", "policy": "anti-affinity", "members": list(chosen.values())}


@contextmanager
def simulated(fleet: Path, directory: Path) -> Iterator[tuple[str, Path]]:
    """A cloud in a process of its own; gives the address of its control path, and clouds.yaml."""
    command = [sys.executable, "-m", "cli.main", "lab", "simulate", str(fleet), "--speed", "0", "--port-base", "0",
               "--seconds", str(COPY_SECONDS), "--cap", "5", "--dir", str(directory)]  # fmt: skip
    with (directory / "log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True)
        try:
            yield _listening(process, directory / "log"), directory / "clouds.yaml"
        finally:
            process.terminate()
            process.wait(30)


def _listening(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + LOADING
    while time.monotonic() < deadline and process.poll() is None:
        told = log.read_text()
        if "clouds in it" in told:
            address = next(word for word in told.split() if word.startswith("http://"))
            return f"{address}/control"
        time.sleep(0.2)
    raise SystemExit(f"the simulated cloud did not begin to listen:\n{log.read_text()[-2000:]}")


def measure(way: str, control: str, clouds: Path) -> dict[str, Any]:
    """One way in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DROVER_", "OS_"))}
    environment["OS_CLIENT_CONFIG_FILE"] = str(clouds)
    script = Path(__file__).resolve().with_name("scale_drover.py")
    done = subprocess.run([sys.executable, str(script), way, control, SOURCE], env=environment, stdout=subprocess.PIPE,
                          timeout=ONE, check=False, text=True)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{way}: exit code {done.returncode}")
    figures: dict[str, Any] = json.loads(done.stdout)
    figures["read_requests"] = sum(figures["reads"].values())
    if way == "drover":
        figures["drain_requests_by_service"] = figures.pop("drain_requests")
        figures["drain_requests"] = sum(figures["drain_requests_by_service"].values())
        figures["store_kb"] = round(figures.pop("store_bytes") / 1024)
        figures["slice_cpu_ms"] = round(figures.pop("slice_cpu_seconds") * 1000, 1)
    return figures


def run(hosts: int, servers: int, seed: int, ways: tuple[str, ...]) -> dict[str, Any]:
    """All that is measured of one size."""
    with tempfile.TemporaryDirectory(prefix="drover-scale-") as name:
        fleet = Path(name) / "fleet.json"
        total = make_fleet(fleet, hosts, servers, seed)
        figures: dict[str, Any] = {"hosts": hosts, "servers": total}
        with simulated(fleet, Path(name)) as (control, clouds):
            for way in sorted(ways, reverse=True):  # the drain changes the cloud: it comes last
                tell(f"{hosts} hosts, {total} servers: {way}")
                figures[way] = measure(way, control, clouds)
    return figures


def slope(first: Mapping[str, Any], last: Mapping[str, Any], way: str, name: str) -> float:
    """The growth exponent of a figure between two sizes."""
    ratio = max(last[way][name], 1e-3) / max(first[way][name], 1e-3)
    return math.log(ratio) / math.log(last["hosts"] / first["hosts"])


def growth(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each figure that all sizes have: its slopes, and whether they are at most linear."""
    rows = []
    for title, way, name in ROWS:
        if len(runs) > 1 and all(way in each for each in runs):
            whole, end = slope(runs[0], runs[-1], way, name), slope(runs[-2], runs[-1], way, name)
            linear = whole <= LINEAR and end <= LINEAR_AT_THE_END
            rows.append({"of": title, "way": way, "over_all": round(whole, 2), "last_step": round(end, 2),
                         "at_most_linear": linear})  # fmt: skip
    return rows


def verdicts(runs: list[dict[str, Any]], servers: int) -> dict[str, bool]:
    """The limits, and whether they were kept."""
    own = [each["drover"] for each in runs]
    found = {
        f"planning after the reads under {MAX_PLANNING:g} s": all(
            each["planning_seconds"] < MAX_PLANNING for each in own
        ),
        f"memory under {MAX_MB:g} MB": all(each["peak_mb"] < MAX_MB for each in own),
        f"all {servers} servers moved": all(each["state"] == "succeeded" and each["moved"] == servers for each in own),
    }
    if slopes := [row["at_most_linear"] for row in growth(runs) if row["way"] == "drover"]:
        found["everything grows at most linearly"] = all(slopes)
    return found


def report(runs: list[dict[str, Any]]) -> None:
    """The table, for people."""
    slopes = {row["of"]: row for row in growth(runs)}
    print(f"{'hosts':30}" + "".join(f"{each['hosts']:>10}" for each in runs) + "   growth  last step")
    print(f"{'servers':30}" + "".join(f"{each['servers']:>10}" for each in runs))
    for title, way, name in ROWS:
        if any(way in each for each in runs):
            cells = "".join(f"{each[way][name] if way in each else '-':>10}" for each in runs)
            row = slopes.get(title)
            print(f"{title:30}{cells}" + (f"{row['over_all']:>9.2f}{row['last_step']:>11.2f}" if row else ""))
    for each in runs:
        by_service = ", ".join(f"{service} {number}" for service, number in sorted(each["drover"]["reads"].items()))
        print(f"{each['hosts']:>6} hosts: the planning read is {by_service}; {each['drover']['servers_read']} servers")
    last = runs[-1]
    if "whole" in last:
        ratios = [f"{last['whole'][name] / max(last['drover'][name], 1e-3):.1f} x the {what}" for name, what in
                  (("read_requests", "requests"), ("reads_seconds", "seconds"), ("peak_mb", "memory"))]  # fmt: skip
        print(f"reading the whole of the largest cloud takes {', '.join(ratios)}")


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure all sizes and print the figures."""
    options = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of hosts")
    options.add_argument("--servers", type=int, default=200, help="on the host that is drained")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--no-whole", action="store_true", help="leave out the comparison with reading everything")
    options.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    chosen = options.parse_args()
    ways = ("drover",) if chosen.no_whole else ("drover", "whole")
    runs = [
        run(size, chosen.servers, chosen.seed, ways) for size in sorted({int(each) for each in chosen.sizes.split(",")})
    ]
    judged = verdicts(runs, chosen.servers)
    if chosen.json:
        print(json.dumps({"runs": runs, "growth": growth(runs), "verdicts": judged}))
    else:
        report(runs)
        for what, kept in judged.items():
            print(f"{'PASS' if kept else 'FAIL'}  {what}")
    return 0 if all(judged.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
