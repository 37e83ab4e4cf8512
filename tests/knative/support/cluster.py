"""The cluster that KUBECONFIG names, by way of `kubectl`."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from cloudevents.conversion import to_binary

from shared.door import cloud_event
from shared.events import Event

BROKER = "drover"
POLL = 0.5
SECONDS = 120.0
"""How long one kubectl command may take."""
INGRESS = ("broker-ingress", "knative-eventing")
GATEWAY = ("kourier-internal", "kourier-system")
"""Where Knative Services answer that are reachable inside of the cluster alone."""

Found = TypeVar("Found")


class Cluster:
    """One cluster and one namespace in it."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._addresses: dict[tuple[str, str], str] = {}
        self._forwards: list[subprocess.Popen[str]] = []

    # -- kubectl --------------------------------------------------------------------------------------------------

    def kubectl(
        self, *arguments: str, input: str | None = None, namespace: str | None = None, check: bool = True
    ) -> str:
        """What a command prints; a command that fails is an error with its own words."""
        command = ["kubectl", "--namespace", namespace or self.namespace, *arguments]
        done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=SECONDS, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def get(self, *what: str, namespace: str | None = None) -> Any:
        """An object or a list of objects."""
        return json.loads(self.kubectl("get", *what, "-o", "json", namespace=namespace))

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Put objects in place."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.kubectl("apply", "-f", "-", input=text)

    def patch(self, what: str, body: Mapping[str, Any], namespace: str | None = None) -> None:
        """Change some fields of an object."""
        self.kubectl("patch", what, "--type=merge", "-p", json.dumps(body), namespace=namespace)

    def wait(self, what: str, done: Callable[[], Found], seconds: float = 60.0, poll: float = POLL) -> Found:
        """Until `done` answers something true, which is returned."""
        end = time.monotonic() + seconds
        while not (found := done()):
            assert time.monotonic() < end, f"not {what} after {seconds:.0f} s"
            time.sleep(poll)
        return found

    def ready(self, *what: str, seconds: float = 120.0) -> None:
        """Until objects are Ready."""
        self.kubectl("wait", "--for=condition=Ready", *what, f"--timeout={seconds:.0f}s")

    def pods(self, service: str) -> list[dict[str, Any]]:
        """The pods of a Knative Service that are not on their way out."""
        pods = self.get("pods", "-l", f"serving.knative.dev/service={service}")["items"]
        return [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]

    # -- HTTP -----------------------------------------------------------------------------------------------------

    def to_broker(self, event: Event, headers: Mapping[str, str] | None = None) -> requests.Response:
        """POST an event to the broker of this namespace."""
        path = f"/{self.namespace}/{BROKER}"
        return self._post(INGRESS, path, "broker-ingress.knative-eventing.svc.cluster.local", event, headers)

    def to_service(self, event: Event, service: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """POST an event straight to a Knative Service, as a person does."""
        return self._post(GATEWAY, "/", self.host(service), event, headers)

    def read(
        self, service: str, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> requests.Response:
        """GET from a Knative Service."""
        url = f"http://{self.address(*GATEWAY)}/"
        return requests.get(url, params=query, headers={"Host": self.host(service), **(headers or {})}, timeout=60)

    def host(self, service: str) -> str:
        """The name that the gateway knows a Knative Service by."""
        return str(urlsplit(self.get("ksvc", service)["status"]["url"]).hostname)

    def _post(
        self, where: tuple[str, str], path: str, host: str, event: Event, headers: Mapping[str, str] | None
    ) -> requests.Response:
        made, body = to_binary(cloud_event(event))
        sent = {**made, "Host": host, **(headers or {})}
        return requests.post(f"http://{self.address(*where)}{path}", data=body, headers=sent, timeout=90)

    def address(self, service: str, namespace: str) -> str:
        """Where this machine reaches a Service of the cluster: its own address, or else a forwarded port."""
        key = (service, namespace)
        if key not in self._addresses:
            ip = self.get("service", service, namespace=namespace)["spec"]["clusterIP"]
            self._addresses[key] = ip if _answers(ip, 80) else self._forward(service, namespace)
        return self._addresses[key]

    def machine(self) -> str:
        """The address at which pods reach this machine: that of the interface towards the node."""
        nodes = self.get("nodes")["items"]
        node = next(each["address"] for each in nodes[0]["status"]["addresses"] if each["type"] == "InternalIP")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((node, 9))
            return str(probe.getsockname()[0])

    def close(self) -> None:
        """End the forwarding."""
        for process in self._forwards:
            process.terminate()
            process.wait(10)

    def _forward(self, service: str, namespace: str) -> str:
        command = ["kubectl", "--namespace", namespace, "port-forward", f"service/{service}", ":80"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._forwards.append(process)
        assert process.stdout
        return "127.0.0.1:" + process.stdout.readline().split("127.0.0.1:")[1].split(" ")[0]


def programs_missing() -> str:
    """Why there is no cluster to test on; empty if there is one."""
    if not shutil.which("kubectl"):
        return "found no kubectl in PATH"
    done = subprocess.run(
        ["kubectl", "get", "brokers.eventing.knative.dev,services.serving.knative.dev", "-A", "--request-timeout=10s"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.stderr.strip() if done.returncode else ""


def _answers(ip: str, port: int) -> bool:
    try:
        with socket.create_connection((ip, port), timeout=2):
            return True
    except OSError:
        return False
