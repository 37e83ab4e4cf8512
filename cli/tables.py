"""What people read of a finished operation, of a plan and of lists, on stdout."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.text import clean, count, duration

Document = Mapping[str, Any]

RESUME = ("halted", "paused")

GIVES_BACK = {"drain": "undrain", "network-drain": "undrain-network"}
"""By the kind of operation that empties a host, the command that gives it back."""
GIVEN_BACK = ("undrain", "network-undrain")


def show_plan(console: Console, plan: Document) -> None:
    """A dry run's plan, and whether the host would be empty after it, or which of several would not."""
    hosts: Sequence[Document] = plan.get("hosts") or ()
    rows = [
        (
            server["host"] if hosts else "", server["name"], server["action"], server["to"] or "",
            duration(server["seconds"]) if server["seconds"] else "", server["reason"], server["way_out"],
        )
        for server in plan["servers"]
    ]  # fmt: skip
    if rows:
        headers = ("HOST", "SERVER", "ACTION", "TARGET", "FORECAST", "REASON", "WAY OUT")
        console.print(table(headers, rows, whole=("HOST", "SERVER")))
    for note in plan.get("notes") or ():
        console.print(f"Note: {clean(note)}.")
    servers = count(len(rows), "server")
    took = f", in about {duration(plan['seconds'])}" if plan.get("seconds") else ""
    if plan["feasible"]:
        console.print(f"Feasible: {clean(plan['host'])} would be empty ({servers}{took}). Nothing was changed.")
        return
    full = [clean(each["host"]) for each in hosts if not each["feasible"]] or [clean(plan["host"])]
    of = f", {len(hosts) - len(full)} of {count(len(hosts), 'host')} would" if hosts else ""
    names = ", ".join(full)
    console.print(f"Not feasible: {names} would not be empty{of} ({servers}{took}). Nothing was changed.")
    if plan["shortfall"]:
        console.print(f"Shortfall: {clean(plan['shortfall']['text'])}")


def show_result(console: Console, document: Document) -> None:
    """An operation as it has ended or waits, and the next command."""
    summary = document["summary"]
    console.print(f"{_headline(document)}")
    facts = [
        ("operation", document["id"]),
        ("moved", _of_total(summary)),
        ("time", duration(summary["seconds"]) if summary.get("seconds") is not None else None),
        ("API requests", _requests(summary.get("api_requests"))),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        if value is not None:
            grid.add_row(f"  {name}", str(value))
    console.print(grid)
    left = summary.get("left") or []
    if left:
        unit = summary.get("unit") or "server"
        console.print(f"{count(len(left), unit)} left on {clean(document['target'])}:")
        rows = [(entry["name"] or entry["server"], entry["reason"], entry.get("way_out") or "") for entry in left]
        console.print(table((unit.upper(), "REASON", "WAY OUT"), rows))
    for line in _next(document):
        console.print(line, soft_wrap=True)


def show_operation(console: Console, document: Document) -> None:
    """An operation whole, with its steps."""
    grid = Table.grid(padding=(0, 2))
    for name in ("id", "kind", "state", "intent", "cloud", "target", "reason", "requester", "note", "created_at",
                 "started_at", "finished_at"):  # fmt: skip
        if document[name]:
            grid.add_row(
                name.replace("_", " "), clean(time(document[name]) if name.endswith("_at") else document[name])
            )
    console.print(grid)
    rows = [
        (step["name"] or step["subject"], step["action"], step["to"] or "", step["state"], str(step["attempts"]),
         step["error"] or "")
        for step in document["steps"]
    ]  # fmt: skip
    if rows:
        console.print(table(("STEP", "ACTION", "TO", "STATE", "TRIES", "ERROR"), rows))
    show_result(console, document)


def show_list(console: Console, page: Document) -> None:
    """Operations, newest first."""
    rows = [
        (operation["id"], operation["kind"], operation["state"], operation["cloud"], operation["target"],
         time(operation["created_at"]), operation["requester"], operation["reason"])
        for operation in page["operations"]
    ]  # fmt: skip
    if not rows:
        console.print("There are no operations that fit.")
        return
    headers = ("ID", "KIND", "STATE", "CLOUD", "TARGET", "CREATED", "REQUESTER", "REASON")
    console.print(table(headers, rows, whole=("ID", "STATE", "TARGET", "CREATED")))
    if page["next"]:
        console.print(f"There are more: drover ops list --before {page['next']}")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], whole: Sequence[str] = ("SERVER",)) -> Table:
    """A table without the columns that are empty in every row."""
    used = [number for number in range(len(headers)) if any(row[number] for row in rows)]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for number in used:
        table.add_column(headers[number], overflow="fold", no_wrap=headers[number] in whole)
    for row in rows:
        table.add_row(*(clean(row[number]) for number in used))
    return table


def _headline(document: Document) -> str:
    name, state, note = clean(document["target"]), document["state"], clean(document["note"])
    if document["kind"] in GIVES_BACK and state == "succeeded":
        return f"{name} is empty.{f' {note}' if note else ''}"
    if document["kind"] in GIVEN_BACK and state == "succeeded":
        return f"{name} is in service again.{f' {note}' if note else ''}"
    return f"{document['kind']} of {name}: {state}{f': {note}' if note else ''}"


def _next(document: Document) -> list[str]:
    """The command that comes next, if there is an obvious one."""
    state, operation = document["state"], document["id"]
    if document["kind"] in GIVES_BACK and state == "succeeded":
        cloud, host = shlex.quote(document["cloud"]), shlex.quote(document["target"])
        return [f'To give it back: drover {GIVES_BACK[document["kind"]]} {host} --cloud {cloud} --reason "..."']
    if state in RESUME:
        return [
            f"Go on:     drover ops resume {operation}",
            f"Or end it: drover ops cancel {operation} --undo",
        ]
    return []


def _of_total(summary: Document) -> str | None:
    moved = summary.get("moved")
    if moved is None:
        return None
    number = len(moved) if isinstance(moved, list) else int(moved)
    total, unit = summary.get("total"), summary.get("unit") or "server"
    return f"{number} of {count(int(total), unit)}" if total is not None else count(number, unit)


def _requests(value: Any) -> str | None:
    if isinstance(value, Mapping):
        parts = ", ".join(f"{number} {service}" for service, number in sorted(value.items()))
        return f"{sum(value.values())} ({parts})" if parts else "0"
    return None if value is None else str(value)


def time(text: str | None) -> str:
    from datetime import datetime

    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M:%S") if text else ""
