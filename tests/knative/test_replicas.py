"""Two pods on one PostgreSQL share the work."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from shared.store import Operation, OperationState
from tests.knative.conftest import Sent
from tests.knative.support.cluster import Cluster
from tests.knative.support.world import SECRETS, World
from tests.support.openstack import LabUnderTest

HOSTS = ("cmp01", "cmp02", "cmp03", "cmp04")
SCRAPE = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:9464/metrics", headers={"Authorization": "Bearer " + sys.argv[1]})
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


@pytest.fixture
def pods(world: World, cluster: Cluster) -> Iterator[list[str]]:
    """Two pods that stay; afterwards it is as before."""
    scale = {"autoscaling.knative.dev/min-scale": "2", "autoscaling.knative.dev/max-scale": "2"}
    body = {"spec": {"template": {"metadata": {"annotations": scale}}}}
    cluster.patch("ksvc/migrate", body)
    cluster.ready("ksvc/migrate")
    newest = cluster.get("ksvc", "migrate")["status"]["latestReadyRevisionName"]

    def names() -> list[str]:
        mine = [pod for pod in cluster.pods("migrate") if pod["metadata"]["name"].startswith(newest)]
        return [pod["metadata"]["name"] for pod in mine if ready(pod)]

    cluster.wait("two pods", lambda: len(names()) == 2, 120)
    yield names()
    world.apply()


def ready(pod: dict[str, object]) -> bool:
    """Whether a pod takes requests."""
    conditions = pod["status"].get("conditions", [])  # type: ignore[attr-defined]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def slices(cluster: Cluster, pod: str) -> int:
    """Slices of drains that a pod has done, by its own metrics."""
    text = cluster.kubectl("exec", pod, "-c", "function", "--", "python3", "-c", SCRAPE, SECRETS["metrics"])
    found = re.search(r'^drover_slice_seconds_count\{kind="drain"\} (\S+)$', text, re.MULTILINE)
    return int(float(found.group(1))) if found else 0


def test_two_replicas(world: World, cluster: Cluster, lab: LabUnderTest, made: Sent, pods: list[str]) -> None:
    """Four drains at once are done by both pods, and no server is moved twice."""
    servers = [server.id for server in lab.fill(",".join(HOSTS), 3)]
    for host in HOSTS:
        world.send(made("io.drover.drain.requested", {"cloud": "lab", "host": host, "reason": "replicas"}))

    def finished() -> list[Operation]:
        found = world.rows(Operation, reason="replicas")
        return found if len(found) == len(HOSTS) and all(each.finished_at for each in found) else []

    operations = cluster.wait("four drains done", finished, 300)
    assert {operation.state for operation in operations} == {OperationState.SUCCEEDED}
    assert min(slices(cluster, pod) for pod in pods) > 0
    rows = lab.conn.compute.get("/os-migrations", microversion="2.80").json()["migrations"]
    left = Counter((row["instance_uuid"], row["source_compute"]) for row in rows)
    assert {server for server, _ in left} == set(servers)
    assert set(left.values()) == {1}, "a server that came to a host before its drain leaves once more, but once"
