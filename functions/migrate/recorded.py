"""A step with the record that its kind keeps beside the columns."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel

from shared.store import Step

Record = TypeVar("Record", bound=BaseModel)


class RecordedStep(Generic[Record]):
    """One step. Changes are written when it is handed to `Work.save`.

    Attributes:
        model: the record's, set by each kind; it is kept as JSON in `Step.details`.
    """

    model: ClassVar[type[BaseModel]]

    def __init__(self, step: Step) -> None:
        self.step = step
        self.record: Record = self.model.model_validate(step.details)  # type: ignore[assignment]

    def put(self, state: str | None = None, **columns: Any) -> Self:
        """Change the step's columns."""
        if state is not None:
            self.step.state = state
        for name, value in columns.items():
            setattr(self.step, name, value)
        return self

    def stored(self) -> Step:
        """The step with the record in it, for `Work.save`."""
        self.step.details = self.record.model_dump(mode="json")
        return self.step
