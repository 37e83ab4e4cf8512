"""Logs on stderr: a JSON object a line in a container, lines for people on a terminal; without secrets."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from structlog.typing import Processor

QUIET = ("urllib3", "keystoneauth", "openstack", "stevedore", "waitress", "kubernetes", "alembic")
"""Libraries whose messages below WARNING are for their own developers."""


def start_logs(
    style: Literal["json", "console"], level: str = "INFO", stream: TextIO | None = None, function: str = ""
) -> None:
    """Send the logs of this process, those of libraries included, to `stream` (stderr by default).

    Calling it again replaces what was set before. `function` is a field of every line, if given.
    """
    import structlog  # 0.1 s: a process that only answers /health/readiness has no need of it

    common = _common()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *common,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    if function:
        structlog.contextvars.bind_contextvars(function=function)
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*common, structlog.stdlib.ExtraAdder()],
            processors=_last(style, colors=target.isatty()),
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _common() -> list[Processor]:
    """What every line has, whoever logged it."""
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _last(style: Literal["json", "console"], colors: bool) -> list[Processor]:
    """From fields to a line; the redaction comes behind the traceback, whose text may hold a secret."""
    import structlog

    from shared.telemetry.redaction import redact

    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if style == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=colors)
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        redact,
        renderer,
    ]
