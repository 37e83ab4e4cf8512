"""The image's one entry point. `FUNCTION` names the function to serve; unset, one process serves them all."""

import importlib
import os

import functions
from shared.door import Door
from shared.server import limit_server


def serve(name: str | None) -> Door:
    """The door of one function, or one that has all of them behind it."""
    names = functions.names()
    if name and name not in names:
        raise SystemExit(f"FUNCTION is {name!r}, expected one of: {', '.join(names)}; unset it to serve all of them")
    doors: list[Door] = [importlib.import_module(f"functions.{each}.func").door for each in ([name] if name else names)]
    if len(doors) == 1:
        return doors[0]
    return Door("all", lambda: [kind for door in doors for kind in door.kinds()])


limit_server()
door = serve(os.environ.get("FUNCTION"))
main = door.main
