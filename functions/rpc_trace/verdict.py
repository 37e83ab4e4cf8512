"""Why a call failed, timed out or was late, judged by what was seen of it and what was not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from functions.rpc_trace.call import Call, server_of
from functions.rpc_trace.message import name_of


class Cause(StrEnum):
    """What became of a call that did not go well."""

    NO_ROUTE = "no_route"
    """No server has a queue for it."""
    BACKLOG = "backlog"
    """It is in a server's queue, and nobody took it."""
    SERVER_STUCK = "server_stuck"
    """A server took it and did not answer."""
    CALLER_GONE = "caller_gone"
    """The reply finds no queue: the caller has ended."""
    CLIENT_STUCK = "client_stuck"
    """The reply is in the caller's queue, and nobody took it."""
    SLOW = "slow"
    """It was answered after its caller had given up."""
    SERVER_EXCEPTION = "server_exception"
    """The server answered with an exception."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A cause, with what it rests on."""

    call: Call
    cause: Cause
    evidence: str
    certain: bool
    """False if the capture ended before the caller's deadline, so that something may have come yet."""

    @property
    def is_timeout(self) -> bool:
        """Whether its caller was left without an answer in time."""
        return self.cause is not Cause.SERVER_EXCEPTION


REPEATED = 2
"""Publishings of one reply from which on it counts as repeated, which oslo.messaging does when its queue is gone."""


def judge(call: Call, until: float, *, ended: bool = True) -> Verdict | None:
    """Say what went wrong with a call; None if nothing did, or if it cannot be said yet.

    Args:
        until: the time up to which everything was seen, in seconds since 1970.
        ended: whether the capture's end is known. A file that was cut off may end with a call that nothing more is
            known of: that is told as uncertain, where else it would still have its time.
    """
    if call.published is None or call.deadline is None:
        return None  # it began before the capture did
    if call.replied is None:
        return _unanswered(call, call.deadline, until, ended)
    if call.replied > call.deadline:
        late = call.replied - call.deadline
        also = f", with {call.failure}" if call.failures else ""
        return Verdict(
            call, Cause.SLOW, f"answered{also} {_s(late)} after the deadline of {_wait(call)}; {_times(call)}", True
        )
    if call.answered is not None and call.answered > call.deadline:
        what = f"answered in time, but the reply was in {call.reply_q or 'its queue'} until after the deadline of"
        waited = _s(call.answered - call.replied)
        return Verdict(call, Cause.CLIENT_STUCK, f"{what} {_wait(call)}: its caller took it after {waited}", True)
    if call.answered is None and (lost := _reply_lost(call, until, ended)):
        return lost
    if call.failures:
        return Verdict(call, Cause.SERVER_EXCEPTION, f"{call.failure} from {_server(call)}; {_times(call)}", True)
    return None


def _unanswered(call: Call, deadline: float, until: float, ended: bool) -> Verdict | None:
    if call.routed == () and call.delivered is None:
        sent = f"no queue takes {name_of(call.key)!r} of exchange {name_of(call.exchange)!r}"
        return Verdict(call, Cause.NO_ROUTE, f"{sent}: no server of this topic, or not this one, is there", True)
    over = until >= deadline
    if not over and ended:
        return None
    rest = f"no reply until its deadline of {_wait(call)}" if over else "no reply until the capture's end"
    if call.delivered is None:
        queues = ", ".join(map(name_of, call.routed or ())) or "its queue"
        return Verdict(call, Cause.BACKLOG, f"routed to {queues}, never delivered: nobody takes from it; {rest}", over)
    again = f", {call.deliveries} times" if call.deliveries > 1 else ""
    beat = ""
    if call.heartbeats and call.heartbeat is not None:
        beat = f", {call.heartbeats} heartbeats, the last after {_s(call.heartbeat - call.delivered)}"
    what = f"delivered to {_server(call)}{again} after {_s(call.queue_wait or 0.0)}{beat}, {rest}"
    return Verdict(call, Cause.SERVER_STUCK, what, over)


def _reply_lost(call: Call, until: float, ended: bool) -> Verdict | None:
    """A reply in time that did not get to its caller."""
    assert call.replied is not None
    if call.reply_routed == () or call.replies >= REPEATED:
        what = (
            f"reply published {call.replies} times to {call.reply_q or 'its queue'}, never delivered: the queue is gone"
        )
        return Verdict(call, Cause.CALLER_GONE, what, True)
    waited = until - call.replied
    over = call.deadline is not None and until >= call.deadline
    if ended and not over:
        return None
    what = f"reply in {call.reply_q or 'its queue'} for {_s(waited)}, never delivered: its caller does not take it"
    return Verdict(call, Cause.CLIENT_STUCK, what, over)


def _server(call: Call) -> str:
    return name_of(call.queue or server_of(call.exchange, call.key) or call.topic)


def _wait(call: Call) -> str:
    return f"{_s(call.expiration)}" if call.expiration is not None else "60 s (assumed)"


def _times(call: Call) -> str:
    parts = (("in the queue", call.queue_wait), ("in the server", call.server_time))
    return ", ".join(f"{_s(seconds)} {where}" for where, seconds in parts if seconds is not None) or "no times seen"


def _s(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
