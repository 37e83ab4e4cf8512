"""Which hosts the metadata of aggregates forbids to a server; no I/O."""

from __future__ import annotations

from collections.abc import Iterable

from shared.fleet.parse import Json, Specs

_COMPARISONS = frozenset({"=", "<in>", "<all-in>", "==", "!=", ">=", "<=", "s==", "s!=", "s<", "s<=", "s>", "s>="})
"""Operators of Nova's extra_specs_ops other than <or>."""


class Fences:
    """Which hosts the metadata of aggregates forbids to a server.

    Two rules that only have a meaning for the scheduler's filters, so that whoever writes them means them:
    `filter_tenant_id…` lets only the named projects in (AggregateMultiTenancyIsolation), and a flavor's
    `aggregate_instance_extra_specs:KEY=VALUE` wants an aggregate with it (AggregateInstanceExtraSpecsFilter).
    """

    PREFIX = "aggregate_instance_extra_specs:"

    def __init__(self, aggregates: Iterable[Json], hosts: Iterable[str]) -> None:
        self._aggregates = list(aggregates)
        self._hosts = frozenset(hosts)
        self._known: dict[tuple[str, Specs], frozenset[str]] = {}
        self._tenants = self._isolated()

    def names(self) -> dict[str, frozenset[str]]:
        """The names of every host's aggregates."""
        found: dict[str, set[str]] = {}
        for aggregate in self._aggregates:
            for name in aggregate["hosts"]:
                found.setdefault(name, set()).add(aggregate["name"])
        return {name: frozenset(aggregates) for name, aggregates in found.items()}

    def shunned(self, entry: Json) -> frozenset[str]:
        """The forbidden hosts of an entry of servers/detail."""
        extra = entry["flavor"].get("extra_specs") or {}
        wishes = tuple(
            sorted((key.removeprefix(self.PREFIX), str(v)) for key, v in extra.items() if key.startswith(self.PREFIX))
        )
        key = (entry.get("tenant_id", ""), wishes)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def _find(self, project: str, wishes: Specs) -> frozenset[str]:
        forbidden = {name for name, projects in self._tenants.items() if project not in projects}
        for key, value in wishes:
            forbidden |= self._hosts - self._with(key, value)
        return frozenset(forbidden)

    def _with(self, key: str, value: str) -> set[str]:
        """Hosts with this metadata; `value` may be "<or> a <or> b". Comparisons exclude nothing."""
        if value.split(maxsplit=1)[:1] and value.split(maxsplit=1)[0] in _COMPARISONS:
            return set(self._hosts)
        choices = {part.strip() for part in value.split("<or>") if part.strip()}
        return {
            name
            for aggregate in self._aggregates
            if choices & {part.strip() for part in str(aggregate["metadata"].get(key, "")).split(",")}
            for name in aggregate["hosts"]
        }

    def _isolated(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for aggregate in self._aggregates:
            projects = {
                project.strip()
                for key, value in aggregate["metadata"].items()
                if key.startswith("filter_tenant_id")
                for project in str(value).split(",")
            }
            for name in aggregate["hosts"] if projects else ():
                found.setdefault(name, set()).update(projects)
        return found
