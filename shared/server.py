"""The web server that parliament starts: how much it takes from strangers, and how many requests at once.

parliament makes the application and starts the server itself, with their defaults: a gigabyte is taken from anybody and
put into a temporary file, and four threads answer everybody. These defaults are the only place to change that.
"""

from __future__ import annotations

MAX_EVENT = 1024 * 1024
"""Bytes of a request's body; the largest request that means something has a few kilobytes."""
MAX_TAKEN = 8 * MAX_EVENT
"""Bytes of a body that the server takes at all; what is too large for an event but below it gets an explanation."""
MAX_HEADERS = 64 * 1024
THREADS = 8
"""More than a pod gets requests at once (`containerConcurrency`): Knative gives a request's place to the next one when
its caller has given up, though its work goes on; and who can't answer probes meanwhile is killed, though only busy."""


def limit_server() -> None:
    """Set the limits for all applications and servers that this process makes from now on."""
    from flask import Flask
    from waitress.adjustments import Adjustments  # type: ignore[import-untyped]

    Flask.default_config = type(Flask.default_config)({**Flask.default_config, "MAX_CONTENT_LENGTH": MAX_EVENT})
    Adjustments.max_request_body_size = MAX_TAKEN
    Adjustments.max_request_header_size = MAX_HEADERS
    Adjustments.threads = THREADS
