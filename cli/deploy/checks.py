"""All checks of a deployment, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import functions
from cli.deploy import doors, references, routes, schemas, services
from cli.deploy.environment import Function, collect, in_the_open, judge
from cli.deploy.manifests import SERVING, Manifest, Manifests
from cli.deploy.report import Problem, Report


def examine(manifests: Manifests, external: Iterable[str] = ()) -> Report:
    """What would break if these objects were applied.

    Args:
        external: Secrets that are made elsewhere, besides those that the manifests say so of.

    Raises:
        Unusable: the schemas, or the packages that read them, are not installed.
    """
    found: list[Problem] = []
    unchecked: list[str] = []
    for manifest in manifests.all:
        misfits = schemas.problems(manifest)
        if misfits is None:
            unchecked.append(manifest.label)
        else:
            found += misfits
    if found:  # what does not fit its schema can't be read by the checks below
        return Report(len(manifests.all), tuple(found), (), tuple(unchecked))
    elsewhere = frozenset(external) | references.external_secrets(manifests)
    by_service: dict[str, Function] = {}
    for service in manifests.of(SERVING, "Service"):
        function, problems = _function(service, manifests, elsewhere)
        found += problems
        if function is not None:
            by_service[service.name] = function
    found += _rules(manifests, by_service, elsewhere)
    return Report(
        len(manifests.all), tuple(dict.fromkeys(found)), tuple(_needs(manifests, elsewhere)), tuple(unchecked)
    )


def _rules(manifests: Manifests, by_service: dict[str, Function], elsewhere: frozenset[str]) -> Iterator[Problem]:
    for function in by_service.values():
        yield from services.check(function)
    for manifest in manifests.all:
        yield from in_the_open(manifest)
    yield from references.check(manifests, elsewhere)
    yield from routes.check(manifests, by_service)
    yield from doors.check(manifests, by_service)


def _needs(manifests: Manifests, elsewhere: frozenset[str]) -> Iterator[str]:
    yield from references.needs(manifests, elsewhere)
    yield from services.needs(manifests)
    yield from doors.needs(manifests)


def _function(
    service: Manifest, manifests: Manifests, elsewhere: frozenset[str]
) -> tuple[Function | None, list[Problem]]:  # fmt: skip
    """The Service as one that runs Drover; None when FUNCTION names nothing that there is."""
    variables, seen = collect(service, manifests, elsewhere)
    name = variables.get("FUNCTION")
    known = tuple(functions.names())
    if name and name not in known:
        wanted = f"one of {', '.join(known)}, or none at all, which serves all of them"
        return None, [service.problem("env FUNCTION", repr(name), wanted, "mend it: the pod would not start")]
    settings, problems = judge(service, variables)
    return Function(service, (name,) if name else known, variables, seen, settings), problems
