"""What a capture would cost the broker, told before it begins."""

from __future__ import annotations

from functions.rpc_trace.events import Mode, TracePlanned, TraceRequested
from shared.rabbit import QUEUE, Broker, Firehose, Management

COPY_SECONDS = 0.0001
"""Of a core, for one copy that the firehose makes: RabbitMQ routes, keeps and delivers it. Seen with RabbitMQ 3.10 by
bench/tracer.py."""
PRICES = {
    Mode.FULL: "the broker copies each message twice while the firehose is armed, once when it is published and once "
    "for each delivery, and needs 256 MiB of memory at most for that; one that has no processor time to spare carries "
    "up to half of its messages less",
    Mode.LIGHT: "the broker routes each request to one more queue: 256 MiB of its memory at most",
    Mode.METRICS: "some requests to the management API a minute; no message is copied",
}


def plan(broker: Broker, request: TraceRequested) -> TracePlanned:
    """Whether the capture could begin now, and its price.

    Raises:
        Permanent: the management API is not known, or refuses us.
        Retry: it does not answer.
    """
    management = Management(broker)
    rate = management.rate()
    price = PRICES[request.mode]
    if request.mode is Mode.FULL and rate is not None:
        price += f"; at its present {rate:.0f} messages a second the copies take some {_percent(rate)} % of one core"
    refusal = ""
    match request.mode:
        case Mode.FULL:
            refusal = Firehose(broker, management, "").refusal()
        case Mode.LIGHT if management.queue(QUEUE) is not None:
            refusal = f"another capture reads {QUEUE}: wait until it has ended"
    return TracePlanned(
        cloud=request.cloud,
        vhost=broker.vhost,
        mode=request.mode,
        seconds=request.seconds,
        feasible=not refusal,
        refusal=refusal,
        price=price,
        rate=rate,
        nodes=[
            {"name": node.name, "running": node.running, "memory": round(node.memory_share, 3), "alarm": node.alarm}
            for node in management.nodes()
        ],
    )


def _percent(rate: float) -> int:
    """Of one core: two copies of each message."""
    return max(1, round(2 * rate * COPY_SECONDS * 100))
