"""One run again, told step by step: `python -m tests.chaos drain/crash/17 …`; without a name, what there is."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.chaos.accidents import ACCIDENTS
from tests.chaos.pool import open_store
from tests.chaos.run import STORIES, Case, play

USAGE = "expected SCENE[+skew]/ACCIDENT/NUMBER, as in drain/crash/17"


def main(names: list[str]) -> int:
    """Play the named cases; 0 if none of them went wrong."""
    failed = 0
    with tempfile.TemporaryDirectory() as directory:
        store = open_store(Path(directory))
        for name in names:
            verdict = play(Case.parse(name), store)
            failed += bool(verdict.wrong)
            last = verdict.touches[-1]
            _say(f"{verdict.case}: {len(verdict.touches)} touches, the last: {last.phase}, {last.words}")
            _say(*(f"    {line}" for line in verdict.story), *(f"  wrong: {w}" for w in verdict.wrong or ["nothing"]))
        if not names:
            _say(USAGE, f"accidents: {', '.join(ACCIDENTS)}", "scenes, touches, and how many of them change something:")
            for scene in STORIES:
                touches = play(Case(scene), store).touches
                _say(f"  {scene:12} {len(touches):4} {sum(touch.matters for touch in touches):4}")
        store.base.close()
    return int(failed > 0)


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
