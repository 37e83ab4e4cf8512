"""Sending the requests of one command, and what comes after: the plan, or the operations to their ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import typer

from cli.asking import cloud_name, request
from cli.backend import Backend, ask, opened
from cli.engine import Parts
from cli.run import parts_of, stored, tell_if_known, watch
from cli.together import stored_together, watch_together
from shared.errors import Rejected
from shared.settings import load


def send(
    context: typer.Context,
    event_type: str,
    cloud: str | None,
    requests: Sequence[Mapping[str, Any]],
    url: str | None,
    show_plan: Callable[[dict[str, Any], bool], NoReturn],
    *,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Send the requests; then show the plan of a dry run, or follow the operations.

    Args:
        show_plan: prints a dry run's answer, as JSON or for people, and exits.
    """
    settings, parts = load(), parts_of(context)
    with opened(parts, settings, url) as backend:
        cloud = cloud_name(cloud, settings, backend.is_local)
        answers = _answers(backend, parts, event_type, [{**each, "cloud": cloud} for each in requests])
        answer, reason = answers[0], str(requests[0]["reason"])
        if requests[0].get("dry_run"):
            show_plan(answer, as_json)
        together = list((answer.get("together") or {}).values()) or [each["operation"] for each in answers]
        if len(together) > 1:
            _all(backend, parts, together, reason, no_wait=no_wait, as_json=as_json)
            return
        tell_if_known(answer, reason)
        if no_wait:
            stored(backend, answer["operation"], as_json=as_json)
        else:
            watch(backend, parts, answer["operation"], as_json=as_json)


def _answers(
    backend: Backend, parts: Parts, event_type: str, requests: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Ask for each; a refusal names what has been taken before it, which goes on."""
    answers: list[dict[str, Any]] = []
    for data in requests:
        subject = data.get("host") or data.get("aggregate") or ", ".join(data["hosts"])
        try:
            answers.append(ask(backend, request(event_type, dict(data), parts.clock.now(), subject)))
        except Rejected as refusal:
            if not answers:
                raise
            taken = ", ".join(f"drover ops watch {each['operation']}" for each in answers)
            raise Rejected(f"{refusal}. What was asked for before it is stored and goes on: {taken}") from refusal
    return answers


def _all(backend: Backend, parts: Parts, ids: Sequence[str], reason: str, *, no_wait: bool, as_json: bool) -> None:
    """Several operations that one command has asked for."""
    for one in ids:
        tell_if_known(backend.read(one), reason)
    if no_wait:
        stored_together(backend, ids, as_json=as_json)
    else:
        watch_together(backend, parts, ids, as_json=as_json)
