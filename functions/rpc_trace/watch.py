"""The watch: a short light capture each minute, and a full one where timeouts are seen.

One operation for each vhost, which goes on until somebody ends it. A round is a light capture; what it counts is added
up in the operation's memo, from where the keeper's metrics have it. Where a round finds signs of timeouts, all is
captured once, at most once in `full_again` seconds, and what that found is told as `io.drover.trace-watch.found`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from functions.rpc_trace.capture import Capture
from functions.rpc_trace.capturing import KEYS, Captured, Captures, Source
from functions.rpc_trace.events import Mode, TraceRequested, TraceWatchFound, TraceWatchIdle, TraceWatchRequested
from functions.rpc_trace.light import LightCapture
from functions.rpc_trace.measures import of_queues, of_report, of_totals
from functions.rpc_trace.own import WATCH_QUEUE
from functions.rpc_trace.signs import TIMEOUT, signs
from shared.clock import Clock, SystemClock
from shared.errors import Permanent, Rejected, Retry
from shared.events import EventData
from shared.operations import Act, News, Prepared, Work
from shared.operations.measure import MEASURES
from shared.rabbit import Broker, Management, all_brokers, find_broker
from shared.store import Operation, OperationState, Step

KEPT_ROUNDS = 60
"""Rounds of which the operation remembers the numbers."""
MOST_METHODS = 1_000
TOLD_VERDICTS = 20
AGAIN_SECONDS = 60.0
"""After which a broker is asked again that did not let us watch it."""

Find = Callable[[str | None], Broker]
All = Callable[[], Sequence[Broker]]


class TraceWatch:
    """The kind of operation behind `io.drover.trace-watch.requested`. Its target is the vhost."""

    name = "trace-watch"
    requests: Sequence[type[EventData]] = (TraceWatchRequested,)

    def __init__(self, find: Find = find_broker, every: All = all_brokers, clock: Clock | None = None) -> None:
        self._find, self._all = find, every
        self._clock = clock or SystemClock()
        self._captures = Captures(self._source, self._clock)

    def prepare(self, request: EventData) -> Prepared:
        """Look which brokers there are; nothing is asked of them yet."""
        assert isinstance(request, TraceWatchRequested)
        brokers = [self._find(request.cloud)] if request.cloud else list(self._all())
        if not brokers:
            text = "no broker is configured: set DROVER_RABBIT_URL, or write brokers.yaml, and the next request begins"
            return Prepared("", "", request.reason, request.requester, answer=TraceWatchIdle(text=text))
        silent = [broker.name for broker in brokers if not broker.management]
        if silent:
            raise Rejected(
                f"the management API of {', '.join(silent)} is not known, without which nothing can be watched: set "
                "DROVER_RABBIT_MANAGEMENT, or `management` in brokers.yaml"
            )
        first, *others = [self._prepared(broker, request) for broker in brokers]
        return Prepared(first.cloud, first.target, first.reason, first.requester, first.parameters, together=others)

    @staticmethod
    def _prepared(broker: Broker, request: TraceWatchRequested) -> Prepared:
        parameters = request.model_dump(mode="json") | {"cloud": broker.name}
        # Vhosts of several brokers have one name: the broker's tells their operations apart where they stand together.
        return Prepared(broker.name, f"{broker.name}{_path(broker)}", request.reason, request.requester, parameters)

    def advance(self, work: Work) -> float | None:
        """One slice of a round, or the wait for the next."""
        wanted = TraceWatchRequested.model_validate(work.operation.parameters)
        if not self._captures.is_under_way(work):
            if work.cancelled:
                work.end(OperationState.CANCELLED, "")
            if not work.may_start:
                self._captures.forget(work)
                return None
            if "full" not in work.memo:
                if (wait := self._until_next(work, wanted)) > 0:
                    return wait
                work.memo["round_at"], work.memo["timeouts"] = self._clock.now().isoformat(), 0
        return self._full(work, wanted) if "full" in work.memo else self._light(work, wanted)

    def summary(self, operation: Operation, steps: Sequence[Step]) -> dict[str, Any]:
        """The rounds of the last hour or so, what was counted since the beginning, and what full captures found."""
        memo = operation.memo
        kept = ("rounds", "found", "full_at")
        return {"totals": memo.get("totals", {}), **{name: memo[name] for name in kept if name in memo}}

    def _source(self, work: Work, request: TraceRequested) -> Source:
        broker = self._find(request.cloud)
        return Capture(broker, work.operation.id) if request.mode is Mode.FULL else LightCapture(broker, WATCH_QUEUE)

    def _until_next(self, work: Work, wanted: TraceWatchRequested) -> float:
        last = work.memo.get("round_at")
        return 0.0 if last is None else wanted.every - self._since(last)

    def _next(self, work: Work, wanted: TraceWatchRequested) -> float:
        """Seconds to the next slice, now that a capture is over."""
        return 0.0 if work.cancelled else max(0.0, self._until_next(work, wanted))

    def _since(self, text: str) -> float:
        return (self._clock.now() - datetime.fromisoformat(text)).total_seconds()

    # -- a round ------------------------------------------------------------------------------------------------

    def _light(self, work: Work, wanted: TraceWatchRequested) -> float | None:
        def look(_at: float, _key: str, _headers: Any, body: bytes) -> None:
            work.memo["timeouts"] = work.memo.get("timeouts", 0) + (TIMEOUT in body)

        request = _request(wanted, Mode.LIGHT, wanted.seconds)
        try:
            captured = self._captures.advance(work, request, told=False, also=look)
        except (Permanent, Rejected) as error:  # a watch outlives a password that was wrong for an hour
            self._give_up(work)
            raise Retry(str(error), after=AGAIN_SECONDS) from error
        if captured is None:
            return 0.0
        timeouts = work.memo.pop("timeouts", 0)
        seen = signs(captured.analysis.statistics, Management(self._find(wanted.cloud)).queues(), timeouts)
        self._count(work, captured, max(0.0, wanted.seconds - captured.analysis.gap), timeouts, seen)
        acts = []
        if seen and self._may_arm(work, wanted):
            work.memo["full"], work.memo["full_at"] = seen, self._clock.now().isoformat()
            acts = [Act("arm firehose", work.operation.target, after={"signs": seen, "seconds": wanted.full_seconds})]
        work.save(acts=acts)
        return 0.0 if "full" in work.memo else self._next(work, wanted)

    def _may_arm(self, work: Work, wanted: TraceWatchRequested) -> bool:
        if not wanted.full_seconds or not work.may_start:
            return False
        last = work.memo.get("full_at")
        return last is None or self._since(last) >= wanted.full_again

    def _count(self, work: Work, captured: Captured, watched: float, timeouts: int, seen: Sequence[str]) -> None:
        """Add a round, which watched for so many seconds, to the totals."""
        memo, report = work.memo, captured.report
        totals = memo.setdefault("totals", {"methods": {}, "causes": {}})
        for name, number in (("rounds", 1), ("watched", watched), ("timeouts", timeouts), ("signs", len(seen))):
            totals[name] = round(totals.get(name, 0) + number, 3)
        methods = totals["methods"]
        for row in report["methods"]:
            name = "|".join(row[part].replace("|", "/") for part in ("service", "topic", "method"))
            if name in methods or len(methods) < MOST_METHODS:
                calls, casts = methods.get(name, (0, 0))
                methods[name] = [calls + row["calls"], casts + row["casts"]]
        rounds = {"at": memo.get("round_at"), "seconds": watched, "calls": report["calls"], "casts": report["casts"],
                  "signs": list(seen)}  # fmt: skip
        memo["rounds"] = [*memo.get("rounds", []), rounds][-KEPT_ROUNDS:]
        memo["queues"] = report["queues"]
        self._measure(work)

    # -- everything ---------------------------------------------------------------------------------------------

    def _full(self, work: Work, wanted: TraceWatchRequested) -> float | None:
        memo, request = work.memo, _request(wanted, Mode.FULL, wanted.full_seconds)
        try:
            captured = self._captures.advance(work, request, told=False)
        except (Permanent, Rejected) as error:
            # Somebody else captures, or the broker is short of memory: the watch goes on all the same.
            work.operation.note = str(error)
            self._give_up(work, Act("firehose not armed", work.operation.target, after={"note": str(error)}))
            return self._next(work, wanted)
        if captured is None:
            return 0.0
        seen = memo.pop("full")
        totals, report = memo["totals"], captured.report
        totals["full"] = totals.get("full", 0) + 1
        for cause, number in report["causes"].items():
            totals["causes"][cause] = totals["causes"].get(cause, 0) + number
        found = TraceWatchFound(
            operation=work.operation.id, cloud=work.operation.cloud, vhost=self._find(wanted.cloud).vhost, signs=seen,
            coverage=report["coverage"], calls=report["calls"], causes=report["causes"],
            verdicts=report["verdicts"][:TOLD_VERDICTS], silent_servers=report["silent_servers"][:TOLD_VERDICTS],
        )  # fmt: skip
        memo["found"] = found.model_dump(mode="json") | {"at": memo["full_at"], "note": captured.note}
        self._measure(work, full=[family.dump() for family in of_report(report, work.operation.cloud)])
        act = Act("end capture", work.operation.target, after={"events": report["events"], "note": captured.note})
        work.save(acts=[act], news=[News(found, work.operation.target)])
        return self._next(work, wanted)

    def _give_up(self, work: Work, *acts: Act) -> None:
        """Forget a capture that could not begin."""
        self._captures.forget(work)
        for key in (*KEYS, "full"):
            work.memo.pop(key, None)
        work.save(acts=acts)

    def _measure(self, work: Work, **more: list[Any]) -> None:
        memo, cloud = work.memo, work.operation.cloud
        families = [*of_totals(memo["totals"], cloud), *of_queues(memo, cloud)]
        memo[MEASURES] = {**memo.get(MEASURES, {}), "rounds": [family.dump() for family in families], **more}


def _request(wanted: TraceWatchRequested, mode: Mode, seconds: float) -> TraceRequested:
    assert wanted.cloud is not None
    return TraceRequested(cloud=wanted.cloud, reason=wanted.reason, mode=mode, seconds=max(1.0, seconds))


def _path(broker: Broker) -> str:
    return broker.vhost if broker.vhost.startswith("/") else f"/{broker.vhost}"
