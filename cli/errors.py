"""Errors as a person at a terminal needs them: one paragraph and an exit code, no traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from cli import exits
from shared.errors import DroverError, Rejected


class Explaining(TyperGroup):
    """The group of all commands; it turns what they raise into a message on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException):
            raise
        except DroverError as error:
            say(f"drover: {error}")
            raise typer.Exit(exits.WRONG if _is_input(error) else exits.FAILED) from None
        except KeyboardInterrupt:
            say("drover: interrupted; `drover ops list` shows whether an operation was stored")
            raise typer.Exit(exits.INTERRUPTED) from None
        except Exception as error:
            _keep(error)
            say(
                f"drover: unexpected {type(error).__name__}: {_first_line(error)}\nThis is a bug of Drover, or "
                f"something on this machine is broken; {_log_file()} has the whole story. What is stored is safe."
            )
            raise typer.Exit(exits.FAILED) from None


def say(text: str) -> None:
    """One message on stderr."""
    typer.echo(text, err=True)


def _is_input(error: DroverError) -> bool:
    from shared.settings import SettingsError  # pydantic: only when something went wrong

    return isinstance(error, Rejected | SettingsError)


def _first_line(error: Exception) -> str:
    from shared.telemetry.redaction import clean_text

    return clean_text((str(error).splitlines() or [""])[0])


def _log_file() -> str:
    from cli.engine import state_directory

    return str(state_directory() / "drover.log")


def _keep(error: Exception) -> None:
    import logging

    log = logging.getLogger("cli")
    if not logging.getLogger().handlers:
        from cli.engine import log_to_file

        log_to_file("INFO")
    log.error("unexpected error in a command", exc_info=error)
