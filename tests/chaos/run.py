"""One run: a scene, an accident at one of its touches, and what the observer says about it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from structlog.testing import capture_logs

from shared.events import Event
from shared.operations import engine
from tests.chaos.accidents import ACCIDENTS, Deliveries
from tests.chaos.keeping import KEEPING
from tests.chaos.scenes import SCENES, Scene, Wish
from tests.chaos.stage import REDELIVERY, TICK, Stage, Store
from tests.chaos.touches import Touch, Touches

BEATS = 200
"""Ticks after which a run that is not over hangs."""
SKEWS = (-170.0, 130.0)
"""Seconds by which the clocks of two processes are wrong: five minutes from each other."""

STORIES: dict[str, Scene] = {**SCENES, **KEEPING}


@dataclass(frozen=True, slots=True)
class Case:
    """Which run: `scene/accident/at`, as in the tests' messages and for `python -m tests.chaos`."""

    scene: str
    accident: str = "none"
    at: int = 0
    skewed: bool = False

    def __str__(self) -> str:
        return f"{self.scene}{'+skew' if self.skewed else ''}/{self.accident}/{self.at}"

    @classmethod
    def parse(cls, name: str) -> Case:
        """The case of a name."""
        scene, accident, at = name.split("/")
        return cls(scene.removesuffix("+skew"), accident, int(at), scene.endswith("+skew"))


@dataclass
class Verdict:
    """What became of a run."""

    case: Case
    wrong: list[str]
    touches: list[Touch] = field(default_factory=list)
    deliveries: int = 0
    story: list[str] = field(default_factory=list)
    """Each accepted change, in words."""

    def __str__(self) -> str:
        return f"{self.case}: " + "; ".join(self.wrong)


def play(case: Case, store: Store) -> Verdict:
    """Do one run, and judge it."""
    scene, accident = STORIES[case.scene], ACCIDENTS[case.accident]
    touches = Touches()
    with capture_logs() as logged, ExitStack() as patched:
        # Waits end when something is due, and not also each second in between, at which nothing is.
        patched.enter_context(patch.object(engine, "MAX_WAIT", TICK))
        for where, name, value in scene.patches:
            patched.enter_context(patch.object(where, name, value))
        stage = Stage(store, touches, SKEWS if case.skewed else (0.0,), scene.bounds, scene.keeper, **scene.cloud)
        try:
            deliveries = Deliveries(stage, case.at if accident.delivery else 0, accident.delivery)
            accident.arrange(stage, 0 if accident.delivery else case.at)
            touches.quiet = True
            scene.build(stage)
            touches.quiet = False
            stage.observer.remember()
            wrong = _to_the_end(stage, scene, deliveries, accident.patient) or _judge(stage, scene, accident.surplus)
        finally:
            stage.close()
    if touches.struck is None and not deliveries.struck and case.at:
        wrong.append("the accident did not come about: nobody knows what this run has shown")
    wrong += [f"logged: {entry}" for entry in logged if entry["log_level"] == "error"]
    return Verdict(case, wrong, touches.seen, deliveries.number, [str(seen) for seen in stage.observer.seen])


def _to_the_end(stage: Stage, scene: Scene, deliveries: Deliveries, patient: bool) -> list[str]:
    """People and ticks, until nothing happens any more."""
    left: list[Wish] = list(scene.wishes)
    asked = False  # what was sent once is sent until it is taken
    for _ in range(BEATS):
        while left and (not (patient and asked) or stage.rests) and (asked or left[0].when(stage)):
            asked, stage.observer.may_start = True, True
            if deliveries.deliver(_event(left[0], stage)):
                stage.observer.may_start = left.pop(0).name != "pause"
                asked = False
            else:
                stage.advance(REDELIVERY)
        deliveries.tick()
        stage.advance(TICK)
        if not left and stage.rests and deliveries.through:
            return _quiet(stage)
    return [f"not over after {BEATS} ticks: {stage.operations()}, still to be asked: {left}"]


def _quiet(stage: Stage) -> list[str]:
    """It stays as it is."""
    before = len(stage.observer.seen)
    for _ in range(3):
        stage.tick()
        stage.advance(60)
    return [] if len(stage.observer.seen) == before and stage.rests else ["it does not rest, though it had ended"]


def _event(wish: Wish, stage: Stage) -> Event:
    data: dict[str, Any] = dict(wish.data)
    if wish.of:
        data["operation"] = stage.answers[wish.of].data["operation"]
    return Event(wish.name, "/people", wish.type, data)


def _judge(stage: Stage, scene: Scene, surplus: int) -> list[str]:
    observer, operations = stage.observer, stage.operations()
    operations = [each for each in operations if each.id.startswith("id-")]  # not what the scene has put there
    observer.check_rest()
    observer.check_records(surplus)
    observer.check_hosts()
    wrong = list(dict.fromkeys(observer.wrong))
    states = tuple(operation.state for operation in operations)
    if states != scene.ends:
        wrong.append(f"ended as {states}, expected {scene.ends}: {[operation.note for operation in operations]}")
        return wrong
    wrong += [f"answered with {a.type}: {a.data}" for a in stage.answers.values() if a.type.endswith(".rejected")]
    for operation in operations:
        if operation.state in ("halted", "failed") and not operation.note:
            wrong.append(f"{operation.id} is {operation.state} without a reason")
        word = "completed" if operation.state == "succeeded" else operation.state
        for fact in {word, "started"} if operation.kind in ("drain", "network-drain") else {word}:
            told = _told(stage, f"io.drover.{operation.kind}.{fact}", operation.id)
            if len(told) != 1:  # the same one may come twice
                wrong.append(f"{fact}, of {operation.kind} of {operation.target}, was told as {len(told)} events")
    return wrong + scene.check(stage)


def _told(stage: Stage, type: str, operation: str) -> set[str]:
    """Ids of the facts of a type that the broker got about an operation."""
    return {each.id for each in stage.broker.got if each.type == type and each.data["operation"] == operation}
