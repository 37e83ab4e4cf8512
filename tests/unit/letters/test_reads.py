"""What people read of dead letters: one whole, or many in pages."""

from __future__ import annotations

import pytest

from shared.errors import Rejected
from shared.letters.reads import list_letters, read_letter
from shared.reading import answer
from shared.store import Database
from tests.support.letters import DRAIN, Keeper, dead


@pytest.fixture
def keeper(database: Database) -> Keeper:
    """A keeper with three letters, of which the second was sent again."""
    keeper = Keeper(database)
    for id, type in (("1", DRAIN), ("2", DRAIN), ("3", "io.drover.undrain.requested")):
        keeper.engine.handle(dead(id, type))
        keeper.clock.advance(1)
    keeper.replay(letters=[keeper.letter("2").id])
    keeper.tick()
    return keeper


def ids(keeper: Keeper, query: dict[str, str]) -> list[str]:
    """The events in a page."""
    page = answer(keeper.engine, {"letters": "", **query})
    assert page is not None
    return [letter["event_id"] for letter in page["letters"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["3", "2", "1"]),
        ({"type": DRAIN}, ["2", "1"]),
        ({"replayed": "true"}, ["2"]),
        ({"replayed": "false"}, ["3", "1"]),
        ({"replayed": "false", "type": DRAIN}, ["1"]),
        ({"limit": "1"}, ["3"]),
    ],
)
def test_letters_are_filtered_newest_first(keeper: Keeper, query: dict[str, str], expected: list[str]) -> None:
    """By their type, and by whether they were sent again."""
    assert ids(keeper, query) == expected


def test_pages_follow_each_other(keeper: Keeper) -> None:
    """Each page names the next one, the last one none."""
    seen, before = [], None
    for _ in range(3):
        page = list_letters(keeper.database, {}, keeper.clock.now(), 1, before)
        seen += [letter["event_id"] for letter in page["letters"]]
        before = page["next"]
    assert (seen, before) == (["3", "2", "1"], None)


def test_one_letter_whole(keeper: Keeper) -> None:
    """With the event itself, and who sent it again when."""
    sent = keeper.letter("2")
    document = answer(keeper.engine, {"letter": sent.id})
    assert document is not None
    assert document["event"]["data"]["host"] == "cmp2"
    assert (document["replayed_by"], document["times"]) == (sent.replayed_by, 1)
    assert document["replayed_at"] == "2026-01-01T00:00:03+00:00"


@pytest.mark.parametrize("id", ["no", "\0", ""])
def test_no_such_letter(keeper: Keeper, id: str) -> None:
    """There is no document, whatever the id is."""
    assert read_letter(keeper.database, id, keeper.clock.now()) is None


def test_an_old_letter_says_that_it_is_too_old(keeper: Keeper) -> None:
    """Its hindrance comes with time."""
    keeper.clock.advance(7 * 86400)
    page = list_letters(keeper.database, {}, keeper.clock.now())
    assert all("more than 7 days old" in letter["hindrance"] for letter in page["letters"])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"colour": "red"}, "unknown filter 'colour'"),
        ({"replayed": "perhaps"}, "replayed: found 'perhaps', expected true or false"),
        ({"type": "\0"}, "type: found a character"),
        ({"limit": "0"}, "limit: found 0"),
        ({"limit": "many"}, "limit: found 'many'"),
        ({"before": "no"}, "there is no dead letter 'no'"),
    ],
)
def test_a_query_that_makes_no_sense(keeper: Keeper, query: dict[str, str], message: str) -> None:
    """It is rejected, with what to change."""
    with pytest.raises(Rejected, match=message):
        ids(keeper, query)
