"""The `drover` command: it sends events, runs or follows what they ask for, and shows how far it is."""

from __future__ import annotations

from typing import Annotated

import typer

from cli import deploy, events, exits, lab, ops, trace
from cli.drain import drain, undrain
from cli.errors import Explaining
from cli.network import drain_network, undrain_network
from cli.serve import serve

app = typer.Typer(
    cls=Explaining,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=exits.TEXT,
    help="Run the daily operations of an OpenStack cloud.\n\n"
    "Begin with a look that changes nothing: drover drain HOST --dry-run\n\n"
    "Without --url or DROVER_URL an operation runs in this process, on a store in the state directory; with it, on a "
    "Drover that is served or deployed. Results go to stdout, everything else to stderr.",
)
app.command(epilog=exits.TEXT)(drain)
app.command(epilog=exits.TEXT)(undrain)
app.command(epilog=exits.TEXT)(drain_network)
app.command(epilog=exits.TEXT)(undrain_network)
app.add_typer(ops.app, name="ops", epilog=exits.TEXT)
app.add_typer(events.app, name="events", epilog=exits.TEXT)
app.add_typer(trace.app, name="trace")
app.command()(serve)
app.add_typer(deploy.app, name="deploy")
app.add_typer(lab.app, name="lab")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"drover {version('drover')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """What is common to all commands."""


def main() -> None:
    """The entry point of the `drover` script."""
    app()


if __name__ == "__main__":
    main()
