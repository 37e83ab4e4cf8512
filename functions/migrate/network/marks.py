"""Disabling agents and giving them back: only what Drover disabled does Drover enable.

An agent has no field for the reason, only a description, which may hold something of value: the reason is put before
it, and taken away again.
"""

from __future__ import annotations

from functions.migrate.network.neutron import Agent, Neutron
from shared.operations import Act, Work

MARK = "drover network-drain "
"""What every description begins with that a network drain has written."""

WAS = " | was: "
"""What stands between the reason and the description that was there."""

MAX_DESCRIPTION = 255
"""Characters that Neutron keeps (`DESCRIPTION_FIELD_SIZE`)."""


def marked(operation_id: str, reason: str, old: str | None) -> str:
    """The description of an agent that a drain disables: who, why, and whatever it was before.

    The reason gives way to the old description; of one that is too long all the same, the end is cut off (the audit
    trail has it whole).
    """
    head = f"{MARK}{operation_id[:8]}"
    tail = "" if old is None else f"{WAS}{old}"
    room = MAX_DESCRIPTION - len(head) - len(tail) - 2
    why = " ".join(reason.replace("|", "/").split())[: max(0, room)]
    return f"{head}{f': {why}' if why else ''}{tail}"[:MAX_DESCRIPTION]


def is_ours(agent: Agent) -> bool:
    """Whether the agent is disabled, and a drain did it."""
    return not agent.admin_up and (agent.description or "").startswith(MARK)


def before(agent: Agent) -> str | None:
    """The description that a marked agent had before."""
    _, found, old = (agent.description or "").partition(WAS)
    return old if found else None


def disable(work: Work, neutron: Neutron, agent: Agent) -> bool:
    """Disable an agent, unless it is disabled already: somebody else's doing is left as it is.

    Returns:
        Whether a drain did it, now or before.
    """
    if not agent.admin_up:
        work.save(acts=[Act("found agent disabled", agent.id, _facts(agent), _facts(agent))])
        return is_ours(agent)
    description = marked(work.operation.id, work.operation.reason, agent.description)
    after = {"host": agent.host, "admin_state_up": False, "description": description}
    work.save(acts=[Act("disable agent", agent.id, _facts(agent), after)])
    neutron.set_agent(agent.id, up=False, description=description)
    return True


def enable(work: Work, neutron: Neutron, agent: Agent) -> None:
    """Enable an agent that a drain has disabled, with the description that it had."""
    old = before(agent)
    after = {"host": agent.host, "admin_state_up": True, "description": old}
    work.save(acts=[Act("enable agent", agent.id, _facts(agent), after)])
    neutron.set_agent(agent.id, up=True, description=old)


def give_back(work: Work, neutron: Neutron, own: list[Agent]) -> tuple[list[str], list[str]]:
    """Enable those of a host's agents that a drain has disabled.

    Returns:
        The agents that are enabled now for it, and those that stay disabled since somebody else did it.
    """
    given, others = [], []
    for agent in own:
        if is_ours(agent):
            enable(work, neutron, agent)
            given.append(str(agent.kind))
        elif not agent.admin_up:
            others.append(f"{agent.kind} {agent.id}")
    return given, others


def _facts(agent: Agent) -> dict[str, object]:
    return {"host": agent.host, "admin_state_up": agent.admin_up, "description": agent.description}
