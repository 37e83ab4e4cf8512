"""`drover drain-network` and `drover undrain-network`."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import typer

from cli import exits
from cli.options import LIMITS, Cloud, Deadline, Json, NoWait, Url, check_reason, print_json
from functions.migrate.network.model import NetworkPolicy

_DEFAULT = NetworkPolicy()

Node = Annotated[
    str,
    typer.Argument(help="The host, as `openstack network agent list` shows it.", metavar="HOST", show_default=False),
]


def drain_network(
    context: typer.Context,
    host: Node,
    cloud: Cloud = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Why; it goes on record and into the agents' descriptions. Needed for all but a dry run."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    concurrency: Annotated[
        int | None,
        typer.Option(
            help="Networks and HA routers that get another agent at the same time; other routers go one by one.",
            show_default=str(_DEFAULT.at_once),
            rich_help_panel=LIMITS,
        ),
    ] = None,
    max_attempts: Annotated[
        int | None,
        typer.Option(
            help="Tries of one item, each with another agent, before it is set aside.",
            show_default=str(_DEFAULT.max_attempts),
            rich_help_panel=LIMITS,
        ),
    ] = None,
    error_budget: Annotated[
        int | None,
        typer.Option(
            help="Items set aside before the drain halts.",
            show_default=str(_DEFAULT.error_budget),
            rich_help_panel=LIMITS,
        ),
    ] = None,
    deadline: Deadline = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Empty a network node: bring its DHCP networks and routers to other agents, and disable its own.

    Look first:   drover drain-network net01 --dry-run

    Then do it:   drover drain-network net01 --reason "kernel update"

    Give it back: drover undrain-network net01 --reason "kernel updated"

    Networks get a second agent first, and HA routers fail over; other routers stand still for some seconds each.
    """
    from cli.asking import deadline as moment
    from cli.run import parts_of
    from cli.sending import send

    if not dry_run:
        check_reason(reason, "kernel update")
    data = {
        "host": host, "reason": reason or "dry run", "dry_run": dry_run, "concurrency": concurrency,
        "max_attempts": max_attempts, "error_budget": error_budget,
        "deadline": moment(deadline, parts_of(context).clock.now()),
    }  # fmt: skip
    send(context, "io.drover.network-drain.requested", cloud, [data], url, _show_plan, no_wait=no_wait, as_json=as_json)


def undrain_network(
    context: typer.Context,
    host: Node,
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")],
    cloud: Cloud = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Give a network node back: enable its agents, and restore its OVN priorities, as far as a drain has changed them.

    What was moved to other agents stays there. Example: drover undrain-network net01 --reason "kernel updated"
    """
    from cli.sending import send

    data = {"reason": reason, "host": host}
    send(
        context, "io.drover.network-undrain.requested", cloud, [data], url, _show_plan, no_wait=no_wait, as_json=as_json
    )


def _show_plan(plan: dict[str, Any], as_json: bool) -> NoReturn:
    """A dry run's plan, and whether the agents would carry nothing after it."""
    from cli.tables import table
    from cli.text import clean, count, output

    if as_json:
        print_json(plan)
        raise typer.Exit(exits.DONE if plan["feasible"] else exits.FAILED)
    console = output()
    rows = [
        (item["sort"], item["name"] or item["id"], item["action"], item["to"] or "", item["reason"], item["way_out"])
        for item in plan["items"]
    ] + [
        (agent["kind"], agent["id"], agent["action"], "", agent["reason"], agent["way_out"]) for agent in plan["agents"]
    ]
    console.print(table(("WHAT", "NAME", "ACTION", "TARGET", "REASON", "WAY OUT"), rows, whole=("WHAT",)))
    host, carried = clean(plan["host"]), f"{count(len(plan['items']), 'item')}, {count(len(plan['agents']), 'agent')}"
    if plan["feasible"]:
        console.print(f"Feasible: {host} would be empty ({carried}). Nothing was changed.")
    else:
        console.print(f"Not feasible: {host} would not be empty ({carried}). Nothing was changed.")
    raise typer.Exit(exits.DONE if plan["feasible"] else exits.FAILED)
