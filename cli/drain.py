"""`drover drain` and `drover undrain`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from cli import exits
from cli.options import LIMITS, Cloud, Deadline, Json, NoWait, Url, check_reason, print_json
from functions.migrate.model import DrainPolicy, OnStall
from shared.errors import Rejected

CONSENT = "What it may do"

_DEFAULT = DrainPolicy()


def drain(
    context: typer.Context,
    hosts: Annotated[
        list[str] | None,
        typer.Argument(help="The host, as `openstack compute service list` shows it; or several.", metavar="HOST..."),
    ] = None,
    aggregate: Annotated[
        str | None, typer.Option(help="Instead: all hosts of this host aggregate.", show_default=False)
    ] = None,
    rack: Annotated[
        Path | None,
        typer.Option(help="Instead: the hosts in this file, one a line, or as YAML or JSON.", show_default=False),
    ] = None,
    cloud: Cloud = None,
    reason: Annotated[
        str | None, typer.Option(help="Why; it goes on record and into Nova. Needed for all but a dry run.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and change nothing.")] = False,
    allow_downtime: Annotated[
        bool,
        typer.Option(
            "--allow-downtime",
            help="Cold-migrate running servers that cannot be live-migrated.",
            rich_help_panel=CONSENT,
        ),
    ] = False,
    evacuate: Annotated[
        bool,
        typer.Option(
            "--evacuate", help="The host is dead: build its servers again elsewhere.", rich_help_panel=CONSENT
        ),
    ] = False,
    fenced: Annotated[
        str | None,
        typer.Option(
            help='Who made sure that the dead host is off, and how: "Ann, PDU outlet 7 off".', rich_help_panel=CONSENT
        ),
    ] = None,
    on_stall: Annotated[
        OnStall | None,
        typer.Option(
            help="What to do with a live migration whose memory does not become less.",
            show_default=_DEFAULT.on_stall.value,
            rich_help_panel=CONSENT,
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            help="Moves submitted at once from the host: Nova's max_concurrent_live_migrations + 1.",
            show_default=str(_DEFAULT.per_source),
            rich_help_panel=LIMITS,
        ),
    ] = None,
    inbound: Annotated[
        int | None,
        typer.Option(
            help="Moves at once into one host.", show_default=str(_DEFAULT.per_target), rich_help_panel=LIMITS
        ),
    ] = None,
    cloud_limit: Annotated[
        int | None,
        typer.Option(
            help="Migrations at once in the whole cloud, whoever started them.",
            show_default=str(_DEFAULT.per_cloud),
            rich_help_panel=LIMITS,
        ),
    ] = None,
    max_attempts: Annotated[
        int | None,
        typer.Option(
            help="Tries of one server, each on another target, before it is set aside.",
            show_default=str(_DEFAULT.max_attempts),
            rich_help_panel=LIMITS,
        ),
    ] = None,
    error_budget: Annotated[
        int | None,
        typer.Option(
            help="Servers set aside before the drain halts.",
            show_default=str(_DEFAULT.error_budget),
            rich_help_panel=LIMITS,
        ),
    ] = None,
    deadline: Deadline = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Empty a hypervisor, or several: disable it, move every server away, and prove that it is empty.

    Look first:   drover drain cmp07 --dry-run

    Then do it:   drover drain cmp07 --reason "new memory, ticket 4711"

    Give it back: drover undrain cmp07 --reason "memory is in"

    Several at once, none of them another's target: drover drain cmp07 cmp08 cmp09 --reason "new switch"

    Ctrl-C leaves it safe at any moment, and says how to go on; the same drain again goes on as well.
    """
    from cli.asking import deadline as moment
    from cli.run import parts_of
    from cli.sending import send

    meant = _means(hosts or [], aggregate, rack)
    if not dry_run:
        check_reason(reason, "new memory, ticket 4711")
    data = meant | {
        "reason": reason or "dry run", "dry_run": dry_run, "allow_downtime": allow_downtime, "evacuate": evacuate,
        "fenced": fenced, "on_stall": on_stall and on_stall.value, "concurrency": concurrency, "inbound": inbound,
        "cloud_limit": cloud_limit, "max_attempts": max_attempts, "error_budget": error_budget,
        "deadline": moment(deadline, parts_of(context).clock.now()),
    }  # fmt: skip
    send(context, "io.drover.drain.requested", cloud, [data], url, _show_plan, no_wait=no_wait, as_json=as_json)


def _means(hosts: Sequence[str], aggregate: str | None, rack: Path | None) -> dict[str, Any]:
    """The hosts in the request's own terms.

    Raises:
        Rejected: they are named in none or several of the three ways, or the file can't be used.
    """
    from cli.rack import hosts_in

    if sum((bool(hosts), aggregate is not None, rack is not None)) != 1:
        raise Rejected("name the hosts to drain in one way: found none or several of HOST..., --aggregate and --rack")
    if aggregate is not None:
        return {"aggregate": aggregate}
    names = list(dict.fromkeys(hosts_in(rack) if rack else hosts))
    return {"host": names[0]} if len(names) == 1 else {"hosts": names}


def undrain(
    context: typer.Context,
    hosts: Annotated[
        list[str],
        typer.Argument(help="The host, as `openstack compute service list` shows it; or several.", metavar="HOST..."),
    ],
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")],
    cloud: Cloud = None,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Give a drained host back, or several: enable its service, if it is still disabled for a drain's reason.

    Example: drover undrain cmp07 --reason "memory is in"
    """
    from cli.sending import send

    requests = [{"reason": reason, "host": host} for host in dict.fromkeys(hosts)]
    send(context, "io.drover.undrain.requested", cloud, requests, url, _show_plan, no_wait=no_wait, as_json=as_json)


def _show_plan(plan: dict[str, Any], as_json: bool) -> NoReturn:
    from cli.tables import show_plan
    from cli.text import output

    if as_json:
        print_json(plan)
    else:
        show_plan(output(), plan)
    raise typer.Exit(exits.DONE if plan["feasible"] else exits.FAILED)
