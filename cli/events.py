"""`drover events`: the events that a broker could not deliver; look at them, and have them sent again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cli import exits
from cli.options import Json, NoWait, print_json
from shared.errors import Rejected

app = typer.Typer(
    no_args_is_help=True, help="Events that could not be delivered (dead letters): look at them, send them again."
)

Keeper = Annotated[
    str | None,
    typer.Option(
        "--url", help="The deployed keeper; without it, the store of this machine.", show_default="DROVER_URL"
    ),
]
TYPE = "--type"


@app.command()
def dead(
    context: typer.Context,
    type: Annotated[str | None, typer.Option(TYPE, help="Only those of this event type.")] = None,
    replayed: Annotated[
        bool | None,
        typer.Option(
            "--replayed/--waiting", help="Only those that were sent again, or that wait.", show_default="both"
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most (1 to 1000).")] = 50,
    before: Annotated[str | None, typer.Option(help="The page after the letter with this id.")] = None,
    as_json: Json = False,
    url: Keeper = None,
) -> None:
    """List the events that could not be delivered, newest first.

    Example: drover events dead --waiting --type io.drover.drain.requested
    """
    from cli.backend import opened
    from cli.letters import show_letters
    from cli.run import parts_of
    from cli.text import output
    from shared.settings import load

    given = {"type": type, "replayed": None if replayed is None else str(replayed).lower(), "before": before}
    query = {name: value for name, value in given.items() if value is not None}
    with opened(parts_of(context), load(), url) as backend:
        page = backend.letters({"letters": "", **query, "limit": str(limit)})
    if as_json:
        print_json(page)
    else:
        show_letters(output(), page)


@app.command()
def show(
    context: typer.Context,
    letter: Annotated[str, typer.Argument(help="Id of the letter, from `drover events dead`.", metavar="ID")],
    as_json: Json = False,
    url: Keeper = None,
) -> None:
    """Show one letter whole: the event, what went wrong, and what was answered.

    Example: drover events show 4f1c2a9be07d3c55
    """
    from cli.backend import opened
    from cli.letters import show_letter
    from cli.run import parts_of
    from cli.text import output
    from shared.settings import load

    with opened(parts_of(context), load(), url) as backend:
        document = backend.letters({"letter": letter})
    if as_json:
        print_json(document)
    else:
        show_letter(output(), document)


@app.command()
def replay(
    context: typer.Context,
    letters: Annotated[
        list[str] | None, typer.Argument(help="Ids of letters, from `drover events dead`.", metavar="ID...")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    type: Annotated[str | None, typer.Option(TYPE, help="All that wait and are of this event type.")] = None,
    reason: Annotated[str | None, typer.Option(help="Why; it goes on record. Needed for all but a dry run.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")] = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Keeper = None,
) -> None:
    """Send events again, unchanged: what was done after all is not done twice, since receivers know an event's id.

    Look first: drover events replay --all --dry-run

    Then do it: drover events replay 4f1c2a9be07d3c55 --reason "the database is back"

    On this machine's own store it sends to DROVER_SINK, the broker's address.
    """
    from cli.asking import request
    from cli.backend import ask, opened
    from cli.run import parts_of, stored, watch
    from shared.settings import load

    if [bool(letters), all_, type is not None].count(True) != 1:
        raise Rejected("say which letters: either their ids, or --type TYPE, or --all")
    if not dry_run and not (reason and reason.strip()):
        raise Rejected('no --reason was given: say why, such as --reason "the database is back"; it goes on record')
    data = {
        "letters": letters or None, "all": all_, "type": type, "reason": reason or "dry run", "dry_run": dry_run,
    }  # fmt: skip
    parts = parts_of(context)
    with opened(parts, load(), url, sending=True) as backend:
        event = request("io.drover.replay.requested", data, parts.clock.now(), _subject(letters, type))
        answer = ask(backend, event)
        if dry_run:
            _show_plan(answer, as_json=as_json)
        elif no_wait:
            stored(backend, answer["operation"], as_json=as_json)
        else:
            watch(backend, parts, answer["operation"], as_json=as_json)


def _subject(letters: list[str] | None, type: str | None) -> str:
    return letters[0] if letters else type or "all"


def _show_plan(plan: Mapping[str, Any], *, as_json: bool) -> None:
    from cli.letters import show_plan
    from cli.text import output

    if as_json:
        print_json(plan)
    else:
        show_plan(output(), plan)
    raise typer.Exit(exits.DONE if plan["sendable"] == plan["total"] else exits.FAILED)
