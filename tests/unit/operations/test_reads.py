"""What people read of operations: one whole, or many in pages."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from shared.errors import Rejected
from shared.operations import Work
from shared.operations.reads import list_operations, read_operation
from tests.support.bench import Bench
from tests.support.kinds import at_once, step


def ids(page: Mapping[str, list[Mapping[str, str]]]) -> list[str]:
    """The targets in a page."""
    return [operation["target"] for operation in page["operations"]]


def fill(bench: Bench, number: int, seconds: float = 1.0) -> None:
    """So many operations, one after the other."""
    for index in range(number):
        bench.begin(str(index), target=f"cmp{index}")
        bench.clock.advance(seconds)


def test_one_operation_whole(bench: Bench) -> None:
    """The document has the steps in their order and the kind's summary; times are ISO 8601 in UTC."""

    def script(work: Work) -> float | None:
        work.add([step("b"), step("a")])
        return at_once(work)

    bench.kind.script = script
    operation_id = bench.begin(reason="new kernel")
    bench.engine.work(0.1)
    document = read_operation(bench.database, bench.engine.kinds, operation_id)
    assert document is not None
    steps = document.pop("steps")
    assert document == {
        "id": operation_id,
        "kind": "walk",
        "state": "succeeded",
        "intent": "run",
        "cloud": "lab",
        "target": "cmp01",
        "reason": "new kernel",
        "requester": "tester",
        "note": "",
        "created_at": "2026-01-01T00:00:00+00:00",
        "started_at": "2026-01-01T00:00:00+00:00",
        "finished_at": "2026-01-01T00:00:00+00:00",
        "summary": {"steps": 2},
    }
    assert [row["subject"] for row in steps] == ["b", "a"]
    assert set(steps[0]) == {
        "subject", "name", "action", "to", "state", "attempts", "error", "started_at", "finished_at",
    }  # fmt: skip


@pytest.mark.parametrize("id", ["no", "", "\0", "\ud800"])
def test_an_operation_that_is_not_there(bench: Bench, id: str) -> None:
    """There is nothing to read, and nothing breaks."""
    assert read_operation(bench.database, bench.engine.kinds, id) is None


def test_operations_of_other_functions_are_not_shown(bench: Bench) -> None:
    """A function shows what it runs, on a store that it shares."""
    operation_id = bench.begin()
    assert read_operation(bench.database, {}, operation_id) is None
    assert list_operations(bench.database, {}, {}) == {"operations": [], "next": None}


@pytest.mark.parametrize("seconds", [1.0, 0.0], ids=["different times", "the same time"])
def test_pages_show_every_operation_once(bench: Bench, seconds: float) -> None:
    """Newest first, page by page, also when many were made in the same moment."""
    fill(bench, 7, seconds)
    pages: list[list[str]] = []
    before: str | None = None
    while True:
        page = list_operations(bench.database, bench.engine.kinds, {}, 3, before)
        pages.append(ids(page))
        before = page["next"]
        if before is None:
            break
    assert [len(page) for page in pages] == [3, 3, 1]
    shown = [target for page in pages for target in page]
    assert sorted(shown) == [f"cmp{number}" for number in range(7)]
    if seconds:
        assert shown[0] == "cmp6"


def test_a_page_that_holds_exactly_all_has_no_next(bench: Bench) -> None:
    """There is no empty last page."""
    fill(bench, 3)
    assert list_operations(bench.database, bench.engine.kinds, {}, 3)["next"] is None


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"target": "cmp1"}, ["cmp1"]),
        ({"state": "succeeded"}, ["cmp0"]),
        ({"state": "planned"}, ["cmp2", "cmp1"]),
        ({"kind": "walk", "cloud": "lab"}, ["cmp2", "cmp1", "cmp0"]),
        ({"kind": "drain"}, []),
        ({"cloud": "other"}, []),
        ({"state": "planned", "target": "cmp0"}, []),
    ],
)
def test_filters(bench: Bench, filters: dict[str, str], found: list[str]) -> None:
    """Each filter must match exactly; several of them all."""
    fill(bench, 3)
    bench.engine.work(0.0, bench.rows_by_target()["cmp0"])
    assert ids(list_operations(bench.database, bench.engine.kinds, filters)) == found


@pytest.mark.parametrize(
    ("filters", "limit", "before", "message"),
    [
        ({"colour": "red"}, 10, None, "unknown filter 'colour'; expected one of kind, state, cloud, target"),
        ({"state": "gone"}, 10, None, "state: found 'gone', expected one of planned, running"),
        ({"target": "\0"}, 10, None, "target: found a character"),
        ({}, 0, None, "limit: found 0, expected 1 to 1000"),
        ({}, 1001, None, "limit: found 1001"),
        ({}, 10, "nonsense", "before: there is no operation 'nonsense'"),
        ({}, 10, "\0", "before: there is no operation"),
    ],
)
def test_questions_that_make_no_sense(
    bench: Bench, filters: dict[str, str], limit: int, before: str | None, message: str
) -> None:
    """The message says what was found and what was expected."""
    with pytest.raises(Rejected, match=message):
        list_operations(bench.database, bench.engine.kinds, filters, limit, before)
