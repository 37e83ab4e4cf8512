"""The mark in an agent's description."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functions.migrate.network.marks import MAX_DESCRIPTION, before, is_ours, marked
from functions.migrate.network.neutron import Agent, Kind

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=215)


def agent(description: str | None, *, up: bool = False) -> Agent:
    """An agent with this description."""
    return Agent("a", Kind.L3, "net01", alive=True, admin_up=up, description=description)


@given(reason=st.text(min_size=1, max_size=200), old=st.none() | texts)
def test_what_was_there_comes_back(reason: str, old: str | None) -> None:
    """Whatever the reason is, the old description is kept whole, and the text fits into Neutron's column."""
    text = marked("894d445b-625c-4501", reason, old)
    assert len(text) <= MAX_DESCRIPTION
    assert is_ours(agent(text))
    assert before(agent(text)) == old


def test_a_very_long_description_loses_its_end() -> None:
    """The mark counts for more: without it nobody could tell who has disabled the agent."""
    text = marked("894d445b", "why", "x" * 255)
    assert len(text) == MAX_DESCRIPTION
    assert is_ours(agent(text))
    assert set(before(agent(text)) or "") == {"x"}


def test_an_enabled_agent_is_nobodys() -> None:
    """Somebody may have enabled it and left the mark in its description."""
    assert not is_ours(agent(marked("894d445b", "why", None), up=True))
    assert not is_ours(agent(None))
    assert not is_ours(agent("broken"))
