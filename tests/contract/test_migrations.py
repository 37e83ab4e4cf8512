"""The list of migrations: its filters, its pages, its fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.contract.stage import Stage

NOBODY = "00000000-0000-0000-0000-000000000000"


def listed(stage: Stage, version: str = "2.100", **query: object) -> list[int]:
    """Numbers of the rows, in the order in which Nova lists them."""
    found = stage.ok(stage.nova("GET", "/os-migrations", version=version, **query))["migrations"]
    return [row["id"] for row in found]


def test_filters_and_pages(stage: Stage) -> None:
    """Newest first; `host` is either end; status, type, server and source narrow it down."""
    vm, other = stage.boot("first"), stage.boot("second", "cmp03")
    stage.live_migrate(vm, "cmp02")
    there = stage.ended(vm, "completed")["id"]
    stage.live_migrate(vm, "cmp01")
    back = stage.ended(vm, "completed", after=there)["id"]
    stage.live_migrate(other, "cmp03")
    refused = stage.ended(other, "error")["id"]
    assert there < back < refused
    for host in ("cmp01", "cmp02"):
        assert [row for row in listed(stage, host=host) if row in (there, back, refused)] == [back, there]
    assert listed(stage, instance_uuid=vm) == [back, there]
    assert listed(stage, instance_uuid=vm, source_compute="cmp02") == [back]
    assert refused in listed(stage, status="error")
    assert refused not in listed(stage, status="completed")
    assert listed(stage, instance_uuid=vm, migration_type="evacuation") == []
    page = stage.ok(stage.nova("GET", "/os-migrations", instance_uuid=vm, limit=1))
    (row,) = page["migrations"]
    (link,) = page["migrations_links"]
    assert f"marker={row['uuid']}" in link["href"]
    assert listed(stage, instance_uuid=vm, limit=1, marker=row["uuid"]) == [there]


def test_changes_since(stage: Stage) -> None:
    """By the time of the last change, both ends included."""
    vm = stage.boot("since")
    stage.live_migrate(vm, "cmp02")
    row = stage.ended(vm, "completed")
    updated = datetime.fromisoformat(row["updated_at"]).replace(tzinfo=UTC)

    def text(seconds: int) -> str:
        return (updated + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

    assert row["id"] in listed(stage, **{"changes-since": text(-1)})
    assert row["id"] not in listed(stage, **{"changes-since": text(5)})
    assert listed(stage, instance_uuid=vm, **{"changes-before": text(-3600), "changes-since": text(-7200)}) == []


def test_fields_by_microversion(stage: Stage) -> None:
    """The type from 2.23, uuid from 2.59 (and pages), user and project from 2.80."""
    vm = stage.boot("fields")
    stage.live_migrate(vm, "cmp01")
    stage.ended(vm, "error")
    found = {version: stage.rows(vm, version)[0] for version in ("2.22", "2.23", "2.58", "2.59", "2.79", "2.80")}
    assert "migration_type" not in found["2.22"]
    assert found["2.23"]["migration_type"] == "live-migration"
    assert "uuid" not in found["2.58"]
    assert len(found["2.59"]["uuid"]) == 36
    assert "project_id" not in found["2.79"]
    assert found["2.80"]["project_id"] == stage.server(vm)["tenant_id"]


def test_queries_that_are_refused(stage: Stage) -> None:
    """400 for an unknown marker and for a time that is none."""
    marker = stage.refusal(stage.nova("GET", "/os-migrations", marker=NOBODY))
    assert marker == (400, f"Marker {NOBODY} could not be found.")
    status, message = stage.refusal(stage.nova("GET", "/os-migrations", **{"changes-since": "nonsense"}))
    assert (status, "'nonsense' is not a 'date-time'" in message) == (400, True)
