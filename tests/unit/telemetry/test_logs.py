"""Lines of the log, for machines and for people."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
import structlog

from shared.telemetry.logs import QUIET, start_logs
from shared.telemetry.redaction import REDACTED


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The logging of the test run itself is put back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    quiet = {name: logging.getLogger(name).level for name in QUIET}
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in quiet.items():
        logging.getLogger(name).setLevel(old)


def _started(style: Literal["json", "console"], level: str = "INFO", function: str = "") -> io.StringIO:
    stream = io.StringIO()
    start_logs(style, level, stream, function)
    return stream


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines() -> None:
    """Each event is one JSON object with its time in UTC, level, logger and fields."""
    stream = _started("json")
    structlog.get_logger("drover.migrate").info("server moved", server="web-1", seconds=3.5, to="cmp02")
    (line,) = _lines(stream)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line.pop("timestamp"))
    assert line == {
        "event": "server moved",
        "level": "info",
        "logger": "drover.migrate",
        "server": "web-1",
        "seconds": 3.5,
        "to": "cmp02",
    }


def test_lines_of_libraries_look_alike() -> None:
    """What a library logs by the standard library becomes such a line, extra fields included."""
    stream = _started("json")
    logging.getLogger("somebody").warning("gave up after %d tries", 3, extra={"peer": "cmp01"})
    (line,) = _lines(stream)
    assert (line["event"], line["level"], line["logger"]) == ("gave up after 3 tries", "warning", "somebody")
    assert line["peer"] == "cmp01"


def test_levels() -> None:
    """Nothing below the level is written, and talkative libraries only from WARNING on."""
    stream = _started("json", "INFO")
    structlog.get_logger("drover").debug("detail")
    structlog.get_logger("drover").info("fact")
    logging.getLogger("urllib3.connectionpool").info("chatter")
    logging.getLogger("urllib3.connectionpool").warning("retrying")
    assert [line["event"] for line in _lines(stream)] == ["fact", "retrying"]


def test_quiet_libraries_are_no_louder_than_the_level() -> None:
    """With the level ERROR a library's warning is not written either."""
    stream = _started("json", "ERROR")
    logging.getLogger("openstack").warning("deprecated")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("style", ["json", "console"])
def test_no_secret_in_a_line(style: Literal["json", "console"]) -> None:
    """Neither fields nor messages nor tracebacks show a password, whoever logs them."""
    stream = _started(style)
    log = structlog.get_logger("drover")
    log.info("connecting", password="hush", url="postgresql://drover:hush@db/drover")
    logging.getLogger("library").error("can't reach rabbit://nova:hush@mq/")
    try:
        raise ValueError("the answer to password=hush was no")
    except ValueError:
        log.exception("failed", request={"auth": {"token": "hush"}})
    text = stream.getvalue()
    assert "hush" not in text
    assert text.count(REDACTED) >= 5
    assert "Traceback" in text
    assert "ValueError" in text


def test_console_lines() -> None:
    """For people a line has the message and `key=value`, without colours where there is no terminal."""
    stream = _started("console")
    structlog.get_logger("drover").info("server moved", server="web-1")
    text = stream.getvalue()
    assert "server moved" in text
    assert "server=web-1" in text
    assert "\x1b" not in text


def test_context_of_a_function_and_an_operation() -> None:
    """The function's name and whatever is bound for an operation are in each line until it is unbound."""
    stream = _started("json", function="migrate")
    log = structlog.get_logger("drover")
    with structlog.contextvars.bound_contextvars(operation="op-1"):
        log.info("inside")
        logging.getLogger("library").info("inside too")
    log.info("outside")
    inside, too, outside = _lines(stream)
    assert inside["operation"] == too["operation"] == "op-1"
    assert inside["function"] == too["function"] == outside["function"] == "migrate"
    assert "operation" not in outside


def test_starting_again_replaces(capsys: pytest.CaptureFixture[str]) -> None:
    """A second start writes each line once, to the new place, which is stderr unless given."""
    first = _started("json")
    start_logs("json")
    structlog.get_logger("drover").info("fact")
    assert first.getvalue() == ""
    captured = capsys.readouterr()
    assert captured.err.count("fact") == 1
    assert captured.out == ""


def test_values_that_json_does_not_have() -> None:
    """Any object can be logged: it is written as its text."""
    stream = _started("json")
    structlog.get_logger("drover").info("odd", value={1}, kind=ValueError, text="Düsseldorf")
    (line,) = _lines(stream)
    assert line["value"] == [1]
    assert "ValueError" in line["kind"]
    assert "Düsseldorf" in stream.getvalue()
