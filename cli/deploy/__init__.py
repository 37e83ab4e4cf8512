"""`drover deploy`: looks at the manifests of a deployment before a cluster does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from cli import exits
from cli.errors import say

if TYPE_CHECKING:
    from cli.deploy.report import Report

app = typer.Typer(no_args_is_help=True, help="Deploy on Knative: docs/deploy.md. `check` says what would break.")

EXITS = "Exit codes: 0 nothing would break; 1 problems were found; 2 the input can't be read or rendered."


@app.callback()
def deploy() -> None:
    """What is common to these commands."""


@app.command(epilog=EXITS)
def check(
    path: Annotated[
        str,
        typer.Argument(
            help="A directory with a kustomization.yaml, a file of manifests, or - for stdin.", metavar="[PATH|-]"
        ),
    ] = ".",
    external: Annotated[
        list[str] | None,
        typer.Option(help="A Secret that is made elsewhere; may be repeated. Or list them in an annotation of the "
                     "Namespace, drover.io/external-secrets."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:  # fmt: skip
    """Say what would break if these manifests were applied. It talks to no cluster."""
    from cli.deploy.checks import examine
    from cli.deploy.manifests import Unusable, read

    try:
        report = examine(read(path), external or ())
    except Unusable as error:
        say(f"drover: {error}")
        raise typer.Exit(exits.WRONG) from None
    if as_json:
        typer.echo(json.dumps(report.document(), indent=2))
    else:
        _show(report)
    raise typer.Exit(exits.FAILED if report.problems else exits.DONE)


def _show(report: Report) -> None:
    from cli.text import count

    for problem in report.problems:
        typer.echo(str(problem))
    for need in report.needs:
        say(f"needs: {need}")
    for name in report.unchecked:
        say(f"not checked, no schema: {name}")
    found = count(len(report.problems), "problem") if report.problems else "nothing would break"
    say(f"{count(report.objects, 'object')}: {found}")
