"""`drover trace`: what the RPC traffic of a cloud is doing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import Cloud, Json, NoWait, Url, print_json
from functions.rpc_trace.events import Mode

app = typer.Typer(
    no_args_is_help=True,
    help="What the RPC traffic of OpenStack on RabbitMQ is doing: statistics, the calls beneath one request, and a "
    "verdict on each that was lost, late or failed.",
)

RequestId = Annotated[
    str | None,
    typer.Option(
        "--request-id",
        help="Show the tree of RPCs beneath this request: its own id or its global one (X-Openstack-Request-Id).",
        show_default=False,
    ),
]


Html = Annotated[Path | None, typer.Option(help="Write the tree of --request-id as a web page.", show_default=False)]
Otlp = Annotated[
    str | None,
    typer.Option(help="Send the tree of --request-id as spans to this collector.", metavar="URL", show_default=False),
]
Prometheus = Annotated[
    Path | None,
    typer.Option(help="Write the statistics as Prometheus metrics, for a textfile collector.", show_default=False),
]
Seconds = Annotated[float, typer.Option(help="How long, up to 300.", min=1, max=300)]


@app.command()
def start(
    context: typer.Context,
    mode: Annotated[
        Mode,
        typer.Option(
            help="full: every message, by the firehose. light: requests only. metrics: the queues' counters.",
        ),
    ] = Mode.LIGHT,
    seconds: Seconds = 60.0,
    method: Annotated[
        str | None, typer.Option(help="Report only this method; * stands for anything.", show_default=False)
    ] = None,
    request_id: RequestId = None,
    cloud: Cloud = None,
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "a look at the RPC traffic",
    html: Html = None,
    otlp: Otlp = None,
    prometheus: Prometheus = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell the price, and capture nothing.")] = False,
    no_wait: NoWait = False,
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Capture the RPC traffic of a cloud for a while, and say what it was.

    The price first: drover trace start --mode full --dry-run

    All of it:       drover trace start --mode full --seconds 30

    One request:     drover trace start --mode full --request-id req-c5ba1d21-6f7a-43fc-84cf-32779c1ac02e

    Ctrl-C ends it early, with what was seen until then; the firehose is disarmed in every case.
    """
    from cli.traces.deliver import check
    from cli.traces.start import start as begin

    check(request_id, html, otlp, prometheus)
    data = {"mode": mode.value, "seconds": seconds, "method": method, "request_id": request_id, "dry_run": dry_run,
            "reason": reason}  # fmt: skip
    begin(context, cloud, data, url, html, otlp, prometheus, no_wait=no_wait, as_json=as_json)


@app.command()
def watch(
    context: typer.Context,
    cloud: Cloud = None,
    every: Annotated[float, typer.Option(help="Seconds from one round to the next.", min=10, max=3600)] = 60.0,
    seconds: Annotated[float, typer.Option(help="Of the light capture in each round.", min=1, max=60)] = 10.0,
    full_seconds: Annotated[
        float, typer.Option(help="Of the full capture where timeouts are seen; 0: never.", min=0, max=300)
    ] = 30.0,
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")] = "continuous watch of RPC",
    as_json: Json = False,
    url: Url = None,
) -> None:
    """Watch the RPC traffic: each minute a short light capture, and a full one where calls time out.

    Example: drover trace watch --every 30

    Deployed, a schedule asks for it, and it goes on by itself: drover trace watch --url ADDRESS shows its last rounds.
    Here it goes on until Ctrl-C; the firehose is disarmed in every case.
    """
    from cli.traces.watch import watch as begin

    data = {"every": every, "seconds": seconds, "full_seconds": full_seconds, "reason": reason}
    begin(context, cloud, data, url, as_json=as_json)


@app.command()
def record(
    file: Annotated[Path, typer.Argument(help="Where to; gzipped if it ends in .gz. It must not exist.")],
    seconds: Seconds = 60.0,
    cloud: Cloud = None,
    as_json: Json = False,
) -> None:
    """Record a full capture into a file, for `drover trace replay`; nothing secret goes into it.

    Example: drover trace record capture.jsonl.gz --seconds 30
    """
    from cli.traces.record import record as capture

    document = capture(file, seconds, cloud)
    if as_json:
        print_json(document)
    else:
        typer.echo(f"{document['events']} events in {file}: drover trace replay {file}")


@app.command()
def replay(
    file: Annotated[Path, typer.Argument(help="A capture, as `drover trace record` writes it; may be gzipped.")],
    request_id: RequestId = None,
    html: Html = None,
    otlp: Otlp = None,
    prometheus: Prometheus = None,
    as_json: Json = False,
) -> None:
    """Analyse a recorded capture, offline: statistics and verdicts, or the tree of one request.

    Example: drover trace replay capture.jsonl.gz --request-id req-c5ba1d21-6f7a-43fc-84cf-32779c1ac02e
    """
    from cli.text import output
    from cli.traces.deliver import check, deliver, write_metrics
    from cli.traces.read import read
    from cli.traces.show import show_report, show_tree
    from functions.rpc_trace.tree import tree_document

    check(request_id, html, otlp, prometheus)
    analysis, document = read(file, request_id)
    write_metrics(document, "", prometheus)
    if analysis.trace is not None:
        document["request"] = tree_document(analysis.trace)
        deliver(document["request"], html, otlp)
    if as_json:
        print_json(document)
    elif request_id is None:
        show_report(output(), document)
    else:
        show_tree(output(), document["request"])


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(help="The earlier capture.")],
    after: Annotated[Path, typer.Argument(help="The later one.")],
    as_json: Json = False,
) -> None:
    """Compare two recorded captures: which methods got slower, or fail where they did not.

    Example: drover trace compare monday.jsonl.gz tuesday.jsonl.gz
    """
    from cli.text import output
    from cli.traces.read import read
    from cli.traces.show import show_comparison
    from functions.rpc_trace.compare import compare as compared

    document = compared(read(before)[1], read(after)[1])
    if as_json:
        print_json(document)
    else:
        show_comparison(output(), document)
