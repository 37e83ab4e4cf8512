"""The plain event, and the check against its model."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError, field_validator

from shared.errors import Rejected
from shared.events import Catalogue, Event, EventData, OperationPauseRequested, Tick, common

TEXT = st.text(min_size=1, max_size=20)
NAMES = st.from_regex(r"\Ax[a-z0-9]{1,9}\Z")


@given(
    st.builds(
        Event,
        id=TEXT,
        source=TEXT,
        type=TEXT,
        data=st.none() | st.dictionaries(TEXT, st.integers()),
        subject=st.none() | TEXT,
        time=st.none() | st.datetimes(timezones=st.just(UTC)),
        extensions=st.dictionaries(NAMES, TEXT, max_size=3),
    )
)
def test_an_event_comes_back_from_its_document(event: Event) -> None:
    """The store keeps the document; nothing is lost in it."""
    assert Event.from_document(event.document()) == event


def test_the_document_is_a_cloudevent() -> None:
    """It is the JSON format of CloudEvents 1.0, extensions beside the attributes."""
    time = datetime(2026, 1, 1, tzinfo=UTC)
    event = Event("1", "/drover/migrate", "io.drover.drain.started", {"a": 1}, "cmp01", time, {"droverhop": "2"})
    assert event.document() == {
        "specversion": "1.0",
        "id": "1",
        "source": "/drover/migrate",
        "type": "io.drover.drain.started",
        "subject": "cmp01",
        "time": "2026-01-01T00:00:00+00:00",
        "datacontenttype": "application/json",
        "data": {"a": 1},
        "droverhop": "2",
    }


def test_every_shared_type_has_a_name_and_words() -> None:
    """Types are io.drover.<…>; each model and each of its fields is described, for the catalogue."""
    models = [model for model in vars(common).values() if isinstance(model, type) and issubclass(model, EventData)]
    named = [model for model in models if "event_type" in vars(model)]
    assert len(named) >= 6
    for model in named:
        assert model.event_type.startswith("io.drover.")
        assert model.__doc__
        assert all(field.description for field in model.model_fields.values())


def test_a_tick_takes_any_data() -> None:
    """A PingSource may send what it likes."""
    assert Catalogue([Tick]).parse(Event("1", "/ping", Tick.event_type, {"msg": "hello"})) == Tick()


def test_parsed_data_cannot_be_changed() -> None:
    """A request stays as it was sent."""
    request = OperationPauseRequested(operation="1", reason="r")
    with pytest.raises(ValidationError):
        request.reason = "another"  # type: ignore[misc]


class Odd(EventData):
    """A model with a rule of its own."""

    event_type = "io.drover.odd.requested"
    number: int = 1

    @field_validator("number")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("Numbers must be odd")
        return value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"number": 2}, "number: numbers must be odd; found 2"),
        ({"number": [1] * 5}, "found a list of 5"),
        ({"number": {"a": 1}}, "found an object of 1"),
        ({"number": "x" * 1000}, "found 'xxx"),
        ({"x" * 1000: 1}, "x: extra inputs are not permitted; found 1"),
    ],
)
def test_problems_are_told_shortly(data: object, message: str) -> None:
    """The field, what was found and what was expected; never a whole large value."""
    with pytest.raises(Rejected) as caught:
        Catalogue([Odd]).parse(Event("1", "/x", Odd.event_type, data))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("field", ["password", "auth_token", "client-secret"])
def test_values_of_secret_fields_are_not_repeated(field: str) -> None:
    """A field that is not known may be a secret that was sent by mistake: its name is told, its value is not."""
    catalogue = Catalogue([Tick, OperationPauseRequested])
    data = {"operation": "1", "reason": "x", field: "hush"}
    with pytest.raises(Rejected, match=f"{field}: extra inputs are not permitted; found a value that is not") as caught:
        catalogue.parse(Event("1", "/x", "io.drover.operation.pause.requested", data))
    assert "hush" not in str(caught.value)


def test_secrets_within_a_value_are_not_repeated() -> None:
    """A password within an address that stands where something else belongs."""
    data = {"operation": "1", "reason": ["x"], "requester": 1, "undo": "rabbit://nova:hush@mq/"}
    with pytest.raises(Rejected, match=r"undo: .*found 'rabbit://\[redacted\]@mq/'") as caught:
        Catalogue([OperationPauseRequested]).parse(Event("1", "/x", "io.drover.operation.pause.requested", data))
    assert "hush" not in str(caught.value)
