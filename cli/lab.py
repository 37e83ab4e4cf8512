"""`drover lab`: a real OpenStack control plane with fake hypervisors on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lab.health import LabStatus
    from lab.layout import Lab

app = typer.Typer(no_args_is_help=True, help="A real OpenStack with fake hypervisors on this machine.")

Directory = Annotated[
    Path | None,
    typer.Option("--dir", envvar="DROVER_LAB_DIR", help="Where the lab lives.", show_default="~/.cache/drover/lab"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Host = Annotated[str, typer.Argument(help="A host of the lab, such as cmp01.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until Nova sees it so.")]


@app.command()
def up(
    directory: Directory = None,
    computes: Annotated[int | None, typer.Option(min=1, max=99, show_default="4")] = None,
    cap: Annotated[
        int | None, typer.Option(min=1, help="Live migrations at once from one host.", show_default="1")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long a fake live migration copies.", show_default="2")
    ] = None,
    zones: Annotated[
        str | None, typer.Option(help="Zones the hosts are dealt over, such as az1,az2.", show_default="nova")
    ] = None,
    aggregate: Annotated[
        list[str] | None, typer.Option(help="A host aggregate, such as ssd=cmp01,cmp02; may be repeated.")
    ] = None,
    host_vcpus: Annotated[int | None, typer.Option(min=1, show_default="64")] = None,
    host_memory_mb: Annotated[int | None, typer.Option(min=512, show_default="262144")] = None,
    host_disk_gb: Annotated[int | None, typer.Option(min=1, show_default="2048")] = None,
    port_base: Annotated[
        int | None, typer.Option(min=1024, max=65000, help="First of the lab's ports.", show_default="21000")
    ] = None,
) -> None:
    """Install and start the lab, or what of it is missing. Options not given stay as they are."""
    from lab import choose, lifecycle
    from lab.progress import TerminalProgress

    begin = time.monotonic()
    with _errors(), lifecycle.locked(_directory(directory)):
        given = choose.Given(
            computes=computes, cap=cap, seconds=seconds, zones=zones, aggregates=aggregate, host_vcpus=host_vcpus,
            host_memory_mb=host_memory_mb, host_disk_gb=host_disk_gb,
        )  # fmt: skip
        lab = choose.lab(_directory(directory), given, port_base)
        changed = lifecycle.up(lab, TerminalProgress())
    _say(f"the lab is up ({time.monotonic() - begin:.0f} s)" if changed else "the lab is already up")
    typer.echo(f"export OS_CLIENT_CONFIG_FILE={lab.clouds_yaml}")
    _say("clouds in it: lab (admin) and lab-user; try: openstack --os-cloud lab hypervisor list")


@app.command()
def down(directory: Directory = None) -> None:
    """Stop the lab's processes; its servers and data stay."""
    from lab import layout, lifecycle
    from lab.progress import TerminalProgress

    with _errors(), lifecycle.locked(_directory(directory)):
        ended = lifecycle.down(layout.load(_directory(directory)), TerminalProgress())
    _say("the lab is down" if ended else "the lab was down already")


@app.command()
def status(directory: Directory = None, as_json: Json = False) -> None:
    """Show processes, hosts and faults; exit code 0 if all is up, else 1."""
    from lab import health

    with _errors():
        found = health.status(_load(directory))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found)
    raise typer.Exit(0 if found.state == "up" else 1)


@app.command()
def fill(
    host: Annotated[str, typer.Argument(help="Host, or several: cmp01,cmp02.")],
    count: Annotated[int, typer.Argument(min=1, help="Servers on each of the hosts.")],
    flavor: Annotated[str, typer.Option(help="small, medium or large.")] = "small",
    name: Annotated[str | None, typer.Option(help="Base of the servers' names.", show_default="vm-HOST")] = None,
    group_policy: Annotated[
        str | None, typer.Option(help="Put all into a server group: anti-affinity, affinity, soft-...")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Name of the server group.", show_default="NAME-POLICY")] = None,
    project: Annotated[str, typer.Option(help="admin, or demo, the project of the plain user.")] = "admin",
    directory: Directory = None,
    as_json: Json = False,
) -> None:
    """Boot servers on a host and wait until they are ACTIVE."""
    from lab.fill import Wish
    from lab.fill import fill as boot

    wish = Wish(tuple(host.split(",")), count, flavor, name, project, group, group_policy)
    with _errors(), _step(f"booting {count} servers on {host}") as tell:
        servers = boot(_load(directory), wish, tell)
    if as_json:
        typer.echo(json.dumps([vars(server) for server in servers], indent=2))
    else:
        for server in servers:
            typer.echo(f"{server.id}  {server.host}  {server.name}")


@app.command()
def reset(directory: Directory = None) -> None:
    """Delete all servers, faults, groups and leftovers; enable every host."""
    from lab import lifecycle
    from lab.reset import reset as clean

    with _errors(), lifecycle.locked(_directory(directory)), _step("cleaning the cloud") as tell:
        count = clean(_load(directory), tell)
    _say(f"{count} servers were deleted; every host is enabled")


@app.command()
def kill(
    host: Host,
    freeze: Annotated[bool, typer.Option("--freeze", help="Only stop it, as a host that hangs.")] = False,
    wait: Wait = True,
    directory: Directory = None,
) -> None:
    """Let a host die: its nova-compute is killed, its network agent falls silent."""
    from lab import computes

    lab = _load(directory)
    with _errors(), _step(f"killing {host}") as tell:
        computes.kill(lab, host, "frozen" if freeze else "dead")
        if wait:
            computes.wait_for_state(lab, host, "down", tell)


@app.command()
def revive(host: Host, wait: Wait = True, directory: Directory = None) -> None:
    """Let a dead or frozen host come back."""
    from lab import computes

    lab = _load(directory)
    with _errors(), _step(f"reviving {host}") as tell:
        computes.revive(lab, host)
        if wait:
            computes.wait_for_state(lab, host, "up", tell)


@app.command()
def faults(
    file: Annotated[Path | None, typer.Argument(help="A faults file to check and to put in force.")] = None,
    directory: Directory = None,
) -> None:
    """Show the faults in force, or put others in force."""
    from lab import faults as model

    lab = _load(directory)
    with _errors():
        if file:
            model.save(lab.faults_yaml, model.load(file, must_exist=True))
        found = model.load(lab.faults_yaml)
    for line in found.describe() or ["no faults"]:
        typer.echo(line)
    _say(f"they are in {lab.faults_yaml}; a change works at once")


@app.command()
def simulate(
    fleet: Annotated[Path, typer.Argument(help="A fleet snapshot (drover.fleet/1).")],
    port_base: Annotated[int, typer.Option(min=0, max=65000, help="The port; 0 takes a free one.")] = 22000,
    speed: Annotated[
        float, typer.Option(min=0, max=1000, help="How fast its time goes; 0: only when it is stepped.")
    ] = 1.0,
    faults: Annotated[Path | None, typer.Option(help="A script of what goes wrong.")] = None,
    cap: Annotated[int, typer.Option(min=1, help="Live migrations at once from one host.")] = 1,
    seconds: Annotated[
        float | None,
        typer.Option(min=0, help="How long a live migration copies.", show_default="the fleet's estimates"),
    ] = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where clouds.yaml goes.", show_default="~/.cache/drover/simulated")
    ] = None,
) -> None:
    """Play a cloud of any size that no hypervisor stands behind, until Ctrl-C or SIGTERM."""
    from lab.layout import default_directory
    from lab.simulator.run import Simulation, Wish, serve

    where = directory.expanduser().absolute() if directory else default_directory().parent / "simulated"
    begin = time.monotonic()

    def tell(simulation: Simulation) -> None:
        world = simulation.cloud.world
        _say(f"{len(world.hosts)} hosts and {len(world.servers)} servers at {simulation.door.base} "
             f"({time.monotonic() - begin:.0f} s); Ctrl-C ends it")  # fmt: skip
        typer.echo(f"export OS_CLIENT_CONFIG_FILE={simulation.clouds_yaml}")
        _say("clouds in it: simulated (admin), simulated-operator, simulated-reader and simulated-user")

    with _errors():
        serve(Wish(fleet.expanduser(), where, port_base, speed, faults, cap, seconds), tell)


@app.command()
def destroy(directory: Directory = None) -> None:
    """Stop the lab and remove its directory."""
    from lab import lifecycle
    from lab.progress import TerminalProgress

    with _errors(), lifecycle.locked(_directory(directory)):
        removed = lifecycle.destroy(_directory(directory), TerminalProgress())
    _say("the lab is gone" if removed else f"there is no lab in {_directory(directory)}")


def _directory(given: Path | None) -> Path:
    from lab.layout import default_directory

    return given.expanduser().absolute() if given else default_directory()


def _load(directory: Path | None) -> Lab:
    from lab import layout

    with _errors():
        return layout.load(_directory(directory))


def _say(text: str) -> None:
    typer.echo(text, err=True)


@contextmanager
def _errors() -> Iterator[None]:
    """What a person can mend is told in red on stderr; exit code 1."""
    from lab.errors import explain

    try:
        yield
    except Exception as error:
        if isinstance(error, typer.Exit) or (text := explain(error)) is None:
            raise
        typer.secho(text, fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from error


@contextmanager
def _step(title: str) -> Iterator[Callable[[str], None]]:
    from lab.progress import TerminalProgress

    with TerminalProgress().step(title) as tell:
        yield tell


def _show(found: LabStatus) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(
        f"lab in {found.directory}: [bold]{found.state}[/bold]; its logs are in {found.directory}/log", soft_wrap=True
    )
    console.print(f"a host migrates {found.cap} servers at once, and copies each for {found.seconds:g} s")
    _table(console, Table("process", "state", "pid", "port", "log"),
           [vars(row) | {"log": Path(row.log).name} for row in found.processes],
           ("name", "state", "pid", "port", "log"))  # fmt: skip
    _table(console, Table("host", "service", "status", "agent", "servers", "zone", "fault"),
           [vars(row) for row in found.hosts],
           ("name", "service", "status", "agent", "servers", "zone", "fault"))  # fmt: skip
    missing = found.missing if found.state == "partial" else ()
    for text in (*(f"missing: {name}" for name in missing), *(f"fault: {fault}" for fault in found.faults)):
        console.print(text, soft_wrap=True, markup=False)
    if missing:
        _say("`drover lab up` starts what is missing")


def _table(console: Any, table: Any, rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    for row in rows:
        table.add_row(*("" if row[column] is None else str(row[column]) for column in columns))
    if rows:
        console.print(table)


if __name__ == "__main__":
    app()
