"""`drover undrain` of several hosts."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Run

WHY = ("--reason", "the switch is in")


def test_several_hosts_are_given_back(run: Run) -> None:
    """Each has an operation of its own; the last line says how many are in service."""
    outcome = run("undrain", "cmp01", "full", "cmp01", *WHY)
    assert outcome.code == 0
    assert "cmp01 is in service again" in outcome.out
    assert "full is in service again" in outcome.out
    assert outcome.out.strip().endswith("2 of 2 hosts are in service.")


def test_as_json(run: Run) -> None:
    """One document with all of them."""
    outcome = run("undrain", "cmp01", "full", "--json", *WHY)
    operations = json.loads(outcome.out)["operations"]
    assert [(each["kind"], each["target"]) for each in operations] == [("undrain", "cmp01"), ("undrain", "full")]


def test_without_waiting(run: Run) -> None:
    """The ids, and what they are."""
    outcome = run("undrain", "cmp01", "full", "--no-wait", *WHY)
    assert len(outcome.out.split()) == 2
    assert "2 undrains are stored" in outcome.err


def test_a_refusal_names_what_goes_on(run: Run) -> None:
    """The hosts before it were taken already: their operations are named."""
    outcome = run("undrain", "cmp01", "nowhere", *WHY)
    assert outcome.code != 0
    assert "found no compute host named 'nowhere'" in outcome.err
    assert "drover ops watch" in outcome.err
    outcome = run("undrain", "nowhere", "cmp01", *WHY)
    assert "drover ops watch" not in outcome.err


def test_notes_of_a_plan_are_shown() -> None:
    """One line each; an amphora's failover has a forecast though it has no target."""
    from io import StringIO

    from rich.console import Console

    from cli.tables import show_plan

    line = {"host": "cmp01", "id": "1", "name": "amphora-1", "action": "fail-over", "to": None, "reason": "MASTER",
            "way_out": "", "seconds": 95.0}  # fmt: skip
    plan = {"host": "cmp01", "feasible": True, "servers": [line], "shortfall": None, "seconds": 95.0,
            "notes": ["the L3 agent on cmp01 stays as it is"]}  # fmt: skip
    file = StringIO()
    show_plan(Console(file=file, width=200), plan)
    text = file.getvalue()
    assert "Note: the L3 agent on cmp01 stays as it is." in text
    assert "1 min 35 s" in text or "95" in text or "1m" in text
