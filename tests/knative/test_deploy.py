"""The manifests on a real API server."""

from __future__ import annotations

import json

from tests.knative.support.cluster import Cluster
from tests.knative.support.world import World

POD = """
import json, os, sys
answers = {"uid": os.getuid(), "writable": []}
for path in ("/app/x", "/etc/x", "/x"):
    try:
        open(path, "w").close()
        answers["writable"].append(path)
    except OSError:
        pass
print(json.dumps(answers))
"""


def test_twice_changes_nothing(world: World) -> None:
    """Applying the same manifests again leaves every object as it was."""
    said = world.apply().splitlines()
    assert len(said) > 20
    assert [line for line in said if not line.endswith("unchanged")] == []


def test_everything_is_accepted(world: World) -> None:
    """The API server has nothing to warn of: no unknown field, no deprecated version, nothing the namespace forbids."""
    rendered = world.cluster.kubectl("kustomize", str(world.overlay))
    done = world.cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=rendered)
    assert "Warning" not in done


def test_a_pod_may_do_little(world: World, cluster: Cluster) -> None:
    """A pod runs as nobody in particular, in a file system that it can't write to, without a token of the cluster."""
    world.cluster.wait("a pod", lambda: cluster.pods("keeper"), 60)
    [pod, *_] = cluster.pods("keeper")
    name = pod["metadata"]["name"]
    found = json.loads(cluster.kubectl("exec", name, "-c", "function", "--", "python3", "-c", POD))
    assert found["uid"] != 0
    assert found["writable"] == []
    listing = cluster.kubectl(
        "exec", name, "-c", "function", "--", "sh", "-c", "ls /var/run/secrets 2>/dev/null || true"
    )
    assert "kubernetes.io" not in listing
