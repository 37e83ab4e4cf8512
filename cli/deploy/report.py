"""What `drover deploy check` has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cli.text import clean


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that would break."""

    file: str
    """Where the object was read, as it was given on the command line."""
    object: str
    """`Trigger migrate-tick`; empty when it is about the whole."""
    field: str
    """Path of the field, with dots; empty when it is about the whole object."""
    found: str
    expected: str
    todo: str

    def __str__(self) -> str:
        place = ", ".join(part for part in (self.object, self.field) if part)
        head = f"{self.file}: {place}" if place else self.file
        return clean(f"{head}: found {self.found}, expected {self.expected}; {self.todo}")


@dataclass(frozen=True, slots=True)
class Report:
    """All of it."""

    objects: int
    """How many objects were looked at."""
    problems: tuple[Problem, ...]
    needs: tuple[str, ...]
    """What the cluster must have before, which manifests can't show."""
    unchecked: tuple[str, ...]
    """Objects of kinds without a schema here."""

    def document(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "objects": self.objects,
            "problems": [asdict(problem) for problem in self.problems],
            "needs": list(self.needs),
            "unchecked": list(self.unchecked),
        }
