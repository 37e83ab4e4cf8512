"""The hosts of a rack, from a file that somebody keeps or makes out of an inventory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import Rejected

if TYPE_CHECKING:
    import yaml

STRUCTURED = (".yaml", ".yml", ".json")
EXPECTED = "expected the hosts' names: a list, or a list under `hosts`; or, in any other file, one name a line"


def hosts_in(path: Path) -> list[str]:
    """The names in a file: of YAML or JSON, by its suffix, else one a line; `#` begins a comment.

    Raises:
        Rejected: it can't be read, or holds something else; the message names the file and the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Rejected(f"--rack: {path} can't be read: {error}") from None
    names = list(_structured(path, text) if path.suffix.lower() in STRUCTURED else _lines(path, text))
    if not names:
        raise Rejected(f"--rack: there is no host in {path}; {EXPECTED}")
    return names


def _lines(path: Path, text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        name = line.partition("#")[0].strip()
        if len(name.split()) > 1:
            raise _wrong(path, number, repr(name))
        if name:
            yield name


def _structured(path: Path, text: str) -> Iterator[str]:
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Rejected(f"--rack: {path}, line {line}: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise Rejected(f"--rack: {path}: {' '.join(str(error).split())}") from None
    if isinstance(root, yaml.MappingNode):
        root = next((value for key, value in root.value if key.value == "hosts"), None) or root
    if not isinstance(root, yaml.SequenceNode):
        raise _wrong(path, root.start_mark.line + 1 if root else 1, _found(root))
    for entry in root.value:
        if not isinstance(entry, yaml.ScalarNode) or not str(entry.value).strip():
            raise _wrong(path, entry.start_mark.line + 1, _found(entry))
        yield str(entry.value).strip()


def _found(node: yaml.Node | None) -> str:
    if node is None:
        return "nothing"
    kind = str(node.tag).rpartition(":")[2]
    return {"map": "a mapping", "seq": "a list"}.get(kind, repr(node.value))


def _wrong(path: Path, line: int, found: str) -> Rejected:
    return Rejected(f"--rack: {path}, line {line}: found {found}; {EXPECTED}")
