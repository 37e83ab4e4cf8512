"""What a capture would cost the broker, told before it begins."""

from __future__ import annotations

from functions.rpc_trace.events import Mode, TracePlanned, TraceRequested
from shared.rabbit import QUEUE, Broker, Firehose, Management

PRICES = {
    Mode.FULL: "the broker copies each message twice while the firehose is armed, once when it is published and once "
    "for each delivery: expect it to lose up to 30 % of its greatest throughput (bench/tracer.py measures it), and "
    "256 MiB of its memory at most",
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
        price=PRICES[request.mode],
        rate=management.rate(),
        nodes=[
            {"name": node.name, "running": node.running, "memory": round(node.memory_share, 3), "alarm": node.alarm}
            for node in management.nodes()
        ],
    )
