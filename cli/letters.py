"""What people read of dead letters, on stdout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from cli.tables import table, time
from cli.text import clean, count

Document = Mapping[str, Any]

SHOWN = 60
"""Characters of an answer in a list."""
FIELDS = (
    "id", "type", "source", "event_id", "subject", "first_at", "last_at", "times", "code", "destination", "answer",
    "hindrance", "replayed_at", "replayed_by",
)  # fmt: skip
HEADERS = ("WHEN", "TYPE", "ID", "SUBJECT", "FROM", "CODE", "ANSWER", "TRIES", "REPLAYED")


def show_letters(console: Console, page: Document) -> None:
    """Letters, newest first."""
    rows = [
        (time(letter["last_at"]), letter["type"], letter["id"], letter["subject"] or "", letter["source"],
         str(letter["code"] or ""), _short(letter["answer"]), str(letter["times"]), _replayed(letter))
        for letter in page["letters"]
    ]  # fmt: skip
    if not rows:
        console.print("There are no dead letters that fit.")
        return
    console.print(table(HEADERS, rows, whole=("WHEN", "ID", "REPLAYED")))
    if any(letter["hindrance"] for letter in page["letters"]):
        console.print("Why one can't be sent again: drover events show ID")
    if page["next"]:
        console.print(f"There are more: drover events dead --before {page['next']}")


def show_letter(console: Console, letter: Document) -> None:
    """One letter with its event, and the command that sends it again."""
    grid = Table.grid(padding=(0, 2))
    for name in FIELDS:
        if letter[name]:
            grid.add_row(name.replace("_", " "), clean(time(letter[name]) if name.endswith("_at") else letter[name]))
    console.print(grid)
    if letter["event"] is not None:
        console.print(json.dumps(letter["event"], indent=2), soft_wrap=True)
    if not letter["hindrance"]:
        console.print(f'To send it again: drover events replay {letter["id"]} --reason "..."', soft_wrap=True)


def show_plan(console: Console, plan: Document) -> None:
    """A dry run: what would be sent again, and what can't be."""
    rows = [
        (letter["id"], letter["type"], letter["subject"] or "", letter["source"], str(letter["code"] or ""),
         letter["hindrance"])
        for letter in plan["letters"]
    ]  # fmt: skip
    if rows:
        console.print(table(("ID", "TYPE", "SUBJECT", "FROM", "CODE", "HINDRANCE"), rows, whole=("ID",)))
    if plan["total"] > len(rows):
        console.print(f"and {plan['total'] - len(rows)} more")
    can = count(plan["sendable"], "event")
    console.print(f"{can} of {plan['total']} would be sent again. Nothing was sent.")


def _replayed(letter: Document) -> str:
    """When it was sent again, or that it can't be."""
    return time(letter["replayed_at"]) or ("can't be" if letter["hindrance"] else "")


def _short(text: str) -> str:
    """An answer in a few words: what Drover says is in the field `error` of a JSON object."""
    try:
        line = clean(json.loads(text)["error"])
    except (ValueError, TypeError, KeyError):
        line = clean(text)
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
