"""A cloud that answers well, but for one answer that something is wrong with."""

from __future__ import annotations

import copy
import json
from typing import Any

import requests
from hypothesis import strategies as st
from requests.adapters import BaseAdapter

from lab.simulator.cloud import SimulatedCloud
from tests.fuzz.malformed import places
from tests.fuzz.values import bodies, dumps, odd

MOST = 400
"""Requests that one reading may take; without a limit one that goes round in circles would never end."""


class Spoiling(BaseAdapter):
    """Between keystoneauth and the simulated cloud.

    `spoilt` says what is answered instead to a method and a path with its query; `seen` keeps the JSON documents.
    """

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self._inner = inner
        self.seen: dict[str, Any] = {}
        self.spoilt: dict[str, bytes] = {}
        self.asked = 0

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Answer; the cloud has done what it was asked for all the same."""
        self.asked += 1
        assert self.asked < MOST, "the reading does not end"
        response = self._inner.send(request, *args, **kwargs)
        key = f"{request.method} {request.path_url}"
        if response.content and response.status_code < 300:
            self.seen.setdefault(key, response.json())
        if key in self.spoilt:
            response._content = self.spoilt[key]
        return response

    def close(self) -> None:
        """Nothing is open."""


def cloud_with_everything(cloud: SimulatedCloud) -> None:
    """Four hosts, and on the first one servers with all that is read of them; a migration in flight."""
    for number in range(1, 5):
        cloud.add_host(f"cmp{number:02}", traits=("HW_X",))
    cloud.add_aggregate("fast", ["cmp01", "cmp02"], {"fast": "true", "filter_tenant_id": "admin"})
    group = cloud.add_group("anti-affinity", max_per_host=1)
    cloud.add_server("cmp01", name="db-1", memory_mb=4096, group=group, metadata={"drover:priority": "1"})
    cloud.add_server("cmp02", name="db-2", memory_mb=4096, group=group)
    specs = {"trait:HW_X": "required", "hw:cpu_policy": "dedicated", "aggregate_instance_extra_specs:fast": "true"}
    cloud.add_server("cmp01", name="web-1", extra_specs=specs)
    moving = cloud.add_server("cmp01", name="web-2")
    body = {"os-migrateLive": {"host": "cmp03", "block_migration": "auto"}}
    cloud.cloud().compute.post(f"/servers/{moving}/action", json=body)


@st.composite
def spoilt_answers(draw: st.DrawFn, seen: dict[str, Any]) -> tuple[str, bytes]:
    """One of the requests, and what is answered to it: a field gone, another value in its place, or no such JSON."""
    key = draw(st.sampled_from(sorted(seen)))
    document = copy.deepcopy(seen[key])
    if draw(st.integers(0, 7)) == 7:
        return key, draw(bodies)
    path = draw(st.sampled_from(list(places(document)) or [()]))
    place = document
    for step in path[:-1]:
        place = place[step]
    if not path:
        document = draw(odd)
    elif draw(st.booleans()):
        del place[path[-1]]
    else:
        place[path[-1]] = draw(odd)
    return key, dumps(document)


def wrong(key: str, body: bytes) -> str:
    """For a message: what was answered to what."""
    return f"{key} was answered with {json.dumps(body.decode(errors='replace'))[:2000]}"
