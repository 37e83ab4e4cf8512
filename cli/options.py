"""Options that several commands share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

Cloud = Annotated[
    str | None,
    typer.Option(
        help="The cloud, as clouds.yaml calls it.", show_default="DROVER_CLOUD, OS_CLOUD, or the only one there is"
    ),
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
