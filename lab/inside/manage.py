"""Run several commands of one OpenStack program: `python -m drover_lab.manage MODULE < COMMANDS`.

Each is run in a fork of a process that has imported the program once, which takes longer than most of the commands
themselves. COMMANDS is a JSON list of argument lists, the program's name first.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from types import ModuleType


def main() -> int:
    """Until all are done or one fails, whose exit code is returned."""
    module = importlib.import_module(sys.argv[1])
    for command in json.load(sys.stdin):
        sys.stderr.write(f"+ {' '.join(command[:4])} ...\n")
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _run(module, command)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            sys.stderr.write(f"exit code {code}\n")
            return code
    return 0


def _run(module: ModuleType, command: list[str]) -> None:
    """Be the program with these arguments, and never return."""
    sys.argv = command
    code = 1
    try:
        code = module.main() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
