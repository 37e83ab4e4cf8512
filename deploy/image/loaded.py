"""List the source files that the functions load when they work, so that those alone get bytecode in the image.

    PYTHONPATH=/app python loaded.py /app

Bytecode of everything would add some 50 MB, none at all would compile the same files at every cold start, since the
root file system is read-only. What is loaded is found by doing it: all modules of the application are imported, and all
that is imported anywhere in them, inside functions too. An import that fails is an error: the image would lack it.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

BEHIND = (
    "parliament.__main__",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "psycopg",
    "keystoneauth1.identity.v3",
    "keystoneauth1.loading._plugins.identity.generic",
    "keystoneauth1.loading._plugins.identity.v3",
    "openstack.connection",
    "encodings.idna",
)
"""What libraries load by name at run time: the runtime, the drivers of the store, the kinds of authentication."""


def imports(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(module, names taken from it) of every absolute import that runs, wherever it stands."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, tuple(alias.name for alias in node.names)
        yield from imports(node)


def load(module: str, names: tuple[str, ...] = ()) -> None:
    """Import a module, and those of the names that are modules themselves."""
    loaded = importlib.import_module(module)
    for name in names:
        if not hasattr(loaded, name):
            importlib.import_module(f"{module}.{name}")


def application(root: Path) -> list[Path]:
    """The application's own source files."""
    return sorted(root.rglob("*.py"))


def files(root: Path) -> list[str]:
    """Absolute paths of the application's files and of all that they make Python load, sorted."""
    own = application(root)
    if not own:
        raise SystemExit(f"{root}: found no *.py, expected the application")
    for path in own:
        for module, names in imports(ast.parse(path.read_text(encoding="utf-8"))):
            load(module, names)
    for module in BEHIND:
        load(module)
    sources = {str(getattr(module, "__file__", None)) for module in list(sys.modules.values())}
    here = str(Path(__file__).resolve())
    return sorted({str(path) for path in own} | {name for name in sources if name.endswith(".py")} - {here})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(f"found {sys.argv[1:]}, expected the application's directory, such as /app")
    sys.stdout.write("\n".join(files(Path(sys.argv[1]).resolve())) + "\n")
