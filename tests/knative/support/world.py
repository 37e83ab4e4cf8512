"""Drover as its manifests deploy it, on the cluster, with a PostgreSQL and an OpenStack on this machine behind it."""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
import yaml
from sqlmodel import SQLModel, select

from lab.layout import Lab
from shared.access.signature import Signer
from shared.clock import SystemClock
from shared.events import Event
from shared.store import Database
from tests.knative.support.cluster import Cluster
from tests.knative.support.receiver import Receiver
from tests.knative.support.relay import Relay
from tests.support.postgres import Postgres

ROOT = Path(__file__).parents[3]
NAMESPACE = "drover"
SECRETS = {
    "secret": "a-door-secret-of-the-tests-0123456789",
    "tick": "a-tick-key-of-the-tests-0123456789",
    "metrics": "a-metrics-token-of-the-tests-0123456789",
}
BROKERS = "drover-brokers"
"""The Secret that the manifests mount if there is one."""
SERVICES = {"compute": ("nova", "/v2.1"), "placement": ("placement", ""), "network": ("neutron", "")}
"""What Drover uses of a cloud, with the lab's name for it and the path of its endpoint."""
KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../overlays/postgres, secrets.json]
components: [{components}]
namespace: drover
images:
  - {{name: drover, newName: {name}, newTag: "{tag}"}}
configMapGenerator:
  - name: drover-settings
    behavior: merge
    envs: [more.env]
patches:
  - target: {{kind: Namespace}}
    patch: |-
      - op: add
        path: /metadata/labels/drover.io~1tests
        value: "true"
  - target: {{group: serving.knative.dev, kind: Service, name: migrate}}
    patch: |-
      - op: add
        path: /spec/template/metadata/annotations/autoscaling.knative.dev~1window
        value: 6s
"""


class World:
    """The deployed Drover, and the ways to ask it, to watch it and to break it."""

    def __init__(self, directory: Path, cluster: Cluster, lab: Lab, postgres: Postgres) -> None:
        self.cluster, self.postgres = cluster, postgres
        self.deploy = directory / "deploy"
        self.overlay = self.deploy / "tests"
        self.machine = cluster.machine()
        self.relay = Relay(self.machine)
        for port in (postgres.port, *(lab.port(name) for name in ("keystone", "nova", "placement", "neutron"))):
            self.relay.open(port)
        self.witness = Receiver(self.machine)
        self.database = Database(postgres.url)
        self._signer = Signer([SECRETS["secret"]], SystemClock())
        shutil.copytree(ROOT / "deploy", self.deploy)
        self.overlay.mkdir()
        self._write_secrets(lab)

    # -- deploying ------------------------------------------------------------------------------------------------

    def configure(self, *components: str, **settings: str) -> None:
        """Write what `apply` puts in place: the overlay `postgres` with these components and settings."""
        keys = "".join(f"{name}={value}\n" for name, value in SECRETS.items())
        (self.deploy / "components/shared-secret/door.env").write_text(keys)
        more = {"DROVER_CLOUD": "lab", "DROVER_SLICE_SECONDS": "10", "DROVER_LEASE_SECONDS": "15", **settings}
        (self.overlay / "more.env").write_text("".join(f"{name}={value}\n" for name, value in more.items()))
        name, _, tag = image(self.cluster).rpartition(":")
        text = KUSTOMIZATION.format(
            components=", ".join(f"../components/{each}" for each in components),
            name=name,
            tag=tag,
        )
        (self.overlay / "kustomization.yaml").write_text(text)

    def clear(self) -> None:
        """Delete what an earlier run has left; but never a Drover that is not the tests'."""
        names = self.cluster.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name")
        ours = self.cluster.kubectl("get", "namespace", "-l", "drover.io/tests=true", "-o", "name")
        assert names.strip() in ours.split() or not names.strip(), (
            f"this cluster has a namespace {NAMESPACE} that these tests have not made: run them on another one"
        )
        self.cluster.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=180s")

    def apply(self) -> str:
        """Apply the manifests and wait until all of it works; what kubectl said."""
        said = self.cluster.kubectl("apply", "-k", str(self.overlay))
        self.cluster.ready("ksvc", "--all", seconds=180)
        self.cluster.ready("trigger", "--all")
        return said

    def watch(self) -> None:
        """Have every event of the broker delivered to the witness too."""
        self.cluster.apply(
            {
                "apiVersion": "eventing.knative.dev/v1",
                "kind": "Trigger",
                "metadata": {"name": "witness", "namespace": NAMESPACE},
                "spec": {"broker": "drover", "subscriber": {"uri": self.witness.url}},
            }
        )
        self.cluster.ready("trigger/witness")

    def know_brokers(self, brokers: str, lab: Lab) -> None:
        """Give the functions a brokers.yaml with the lab's RabbitMQ."""
        for name in ("rabbitmq", "rabbitmq-management"):
            self.relay.open(lab.port(name))
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": BROKERS}}
        self.cluster.apply(secret | {"stringData": {"brokers.yaml": self._outside(brokers)}})
        self._restart()

    def forget_brokers(self) -> None:
        """Take it from them again."""
        self.cluster.kubectl("delete", "secret", BROKERS)
        self._restart()

    def _restart(self) -> None:
        """Have new pods of those that mount it: one that runs gets another Secret only after a minute or two."""
        self.cluster.kubectl("delete", "pods", "-l", "serving.knative.dev/service in (keeper, rpc-trace)")

    def _write_secrets(self, lab: Lab) -> None:
        """What the manifests only refer to. kustomize's generator wraps long values, and the API server does not."""
        secrets = {
            "drover-database": {"url": self._outside(self.postgres.url)},
            "drover-clouds": {"clouds.yaml": self._clouds(lab)},
        }
        items = [
            {
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
                "data": {key: base64.b64encode(text.encode()).decode() for key, text in content.items()},
            }
            for name, content in secrets.items()
        ]  # fmt: skip
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
        (self.overlay / "secrets.json").write_text(text)

    def _clouds(self, lab: Lab) -> str:
        """The lab's clouds.yaml with addresses that pods can reach; the catalogue knows only this machine's own."""
        clouds = yaml.safe_load(lab.clouds_yaml.read_text())
        for cloud in clouds["clouds"].values():
            cloud["auth"]["auth_url"] = self._outside(cloud["auth"]["auth_url"])
            for name, (service, path) in SERVICES.items():
                cloud[f"{name}_endpoint_override"] = self._outside(lab.url(service)) + path
        return str(yaml.safe_dump(clouds))

    def _outside(self, url: str) -> str:
        return url.replace("127.0.0.1", self.machine)

    # -- asking ---------------------------------------------------------------------------------------------------

    def sign(self, event: Event) -> Event:
        """The event as somebody sends it who has the door's secret."""
        return self._signer.sign(replace(event, time=event.time or datetime.now(UTC)))

    def send(self, event: Event, headers: Mapping[str, str] | None = None) -> requests.Response:
        """A signed event for the broker."""
        answer = self.cluster.to_broker(self.sign(event), headers)
        assert answer.status_code == 202, answer.text
        return answer

    # -- watching -------------------------------------------------------------------------------------------------

    def rows(self, table: type[SQLModel], **equal: Any) -> list[Any]:
        """Rows of a table in which some columns have some values."""
        with self.database.reading() as session:
            query = select(table)
            for name, value in equal.items():
                query = query.where(getattr(table, name) == value)
            return list(session.exec(query))

    def close(self) -> None:
        """Stop what runs on this machine."""
        self.witness.close()
        self.relay.close()
        self.database.close()


def image(cluster: Cluster) -> str:
    """The image to deploy: DROVER_IMAGE, or the one that the nodes have already."""
    named = os.environ.get("DROVER_IMAGE")
    if named:
        return named
    nodes = cluster.get("nodes", namespace="default")["items"]
    names = [name for node in nodes for each in node["status"]["images"] for name in each["names"]]
    found = sorted(name for name in names if "/drover:" in name)
    assert found, "no node has an image drover: set DROVER_IMAGE to its name (docs/deploy.md says how to make one)"
    return found[-1]
