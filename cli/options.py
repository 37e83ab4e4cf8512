"""Options that several commands share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from shared.errors import Rejected

Cloud = Annotated[
    str | None,
    typer.Option(
        help="The cloud, as clouds.yaml calls it.", show_default="DROVER_CLOUD, OS_CLOUD, or the only one there is"
    ),
]
LIMITS = "Limits"
"""The panel of `--help` with the limits of an operation."""
Deadline = Annotated[
    str | None,
    typer.Option(help="Nothing new starts after it: 90m, 2h, 1h30m, or an ISO 8601 time.", rich_help_panel=LIMITS),
]
Json = Annotated[bool, typer.Option("--json", help="Print the final document on stdout, and nothing else there.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Only ask for it; don't wait for its end.")]
Url = Annotated[
    str | None,
    typer.Option(
        help="A Drover that is served or deployed; without it the operation runs in this process.",
        show_default="DROVER_URL",
    ),
]
Operation = Annotated[str, typer.Argument(help="Id of the operation, from `drover ops list`.", metavar="ID")]


def print_json(document: Any) -> None:
    """The one thing that `--json` puts on stdout."""
    typer.echo(json.dumps(document, indent=2))


def check_reason(reason: str | None, example: str) -> None:
    """Refuse what would change a cloud without saying why."""
    if not (reason and reason.strip()):
        raise Rejected(f'no --reason was given: say why, such as --reason "{example}"; it goes on record')
