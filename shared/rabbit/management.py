"""The management API of RabbitMQ: the health of its nodes, a vhost's tracing, queues and connections."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from shared.errors import DroverError, Permanent, Retry
from shared.rabbit.broker import TIMEOUT, Broker
from shared.rabbit.failures import AGAIN_SECONDS, explained

CONNECT_TIMEOUT = 3.0
"""Seconds in which a node must take the connection, so that one that is gone holds nobody up."""
SILENT_SECONDS = 10.0
"""How long an address is left alone that has never answered, where others do."""
PAGE = 500
"""Rows that are asked for at once."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the cluster. Sizes are bytes."""

    name: str
    running: bool
    memory: int
    memory_limit: int
    """The watermark over which it blocks publishers."""
    disk_free: int
    disk_limit: int
    alarm: bool
    """Whether it blocks publishers already, for want of memory or disk."""

    @property
    def memory_share(self) -> float:
        """Used memory, of the watermark; 0 if it tells none."""
        return self.memory / self.memory_limit if self.memory_limit else 0.0


class Management:
    """The API of all nodes of a broker.

    Raises:
        Permanent: there is no address of it, or it refuses who we are.
        Retry: it does not answer.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        if not broker.management:
            raise Permanent(
                f"the management API of {broker.name}'s RabbitMQ is not known: set DROVER_RABBIT_MANAGEMENT, or "
                "`management` in brokers.yaml, to http(s)://HOST:15672 of each node"
            )
        self._session = _session(broker)
        self._answering = broker.management[0]
        self._nodes: dict[str, str] = {}
        self._not_before: dict[str, float] = {}

    def ask(self, method: str, path: str, document: Any = None, base: str | None = None) -> Any:
        """One request; None for what is not there (404). Without `base` the node is asked that answered last, then
        the others.
        """
        errors: list[DroverError] = []
        for address in [base] if base else sorted(self._broker.management, key=lambda one: one != self._answering):
            found = self._request(method, address, path, document)
            if isinstance(found, DroverError):
                errors.append(found)
                continue
            if base is None:
                self._answering = address
            try:
                return None if found.status_code == 404 or not found.content else found.json()
            except ValueError:  # somebody else is at this address
                errors.append(Retry(f"{_named(address)}: this is no JSON", after=AGAIN_SECONDS))
        raise next((error for error in errors if isinstance(error, Permanent)), errors[-1])

    def _request(self, method: str, address: str, path: str, document: Any) -> requests.Response | DroverError:
        """An answer that counts, or why there is none."""
        timeouts, url = (CONNECT_TIMEOUT, TIMEOUT), f"{address.rstrip('/')}/api{path}"
        try:
            # A redirection might lead to plain text, or to somebody else.
            answer = self._session.request(method, url, json=document, timeout=timeouts, allow_redirects=False)
        except OSError as error:  # the base of requests' own errors as well
            return explained(_named(address), error, tls=address.startswith("https:"))
        if answer.status_code in (401, 403):
            raise Permanent(
                f"RabbitMQ refuses {self._broker.user!r} ({answer.status_code}) at {path.partition('?')[0]}: "
                "it needs the tag administrator to arm the firehose, monitoring to look"
            )
        if answer.status_code == 404 or 200 <= answer.status_code < 300:
            return answer
        return Retry(f"{_named(address)}: {answer.status_code} {answer.reason}", after=AGAIN_SECONDS)

    def nodes(self) -> list[Node]:
        """All nodes of the cluster."""
        return [
            Node(
                name=row["name"],
                running=bool(row.get("running")),
                memory=int(row.get("mem_used") or 0),
                memory_limit=int(row.get("mem_limit") or 0),
                disk_free=_size(row.get("disk_free")),
                disk_limit=_size(row.get("disk_free_limit")),
                alarm=bool(row.get("mem_alarm") or row.get("disk_free_alarm")),
            )
            for row in self.ask("GET", "/nodes") or ()
        ]

    def addresses(self) -> dict[str, str]:
        """By each node that answers, or has answered, its own address."""
        error: DroverError | None = None
        for base in self._broker.management:
            if base not in self._nodes and not (self._nodes and time.monotonic() < self._not_before.get(base, 0.0)):
                try:
                    found = self.ask("GET", "/overview?columns=node", base=base) or {}
                except DroverError as why:
                    error, self._not_before[base] = why, time.monotonic() + SILENT_SECONDS
                    continue
                self._nodes[base] = str(found.get("node", base))
        if not self._nodes and error is not None:
            raise error
        return {node: base for base, node in self._nodes.items()}

    def tracing(self) -> dict[str, bool]:
        """Whether the firehose of the vhost is armed, by each node that answers at its own address."""
        found = {}
        for node, base in self.addresses().items():
            try:
                found[node] = bool((self._vhost(base) or {}).get("tracing"))
            except Retry:
                continue
        return found

    def set_tracing(self, on: bool, nodes: Collection[str] | None = None) -> set[str]:
        """Arm the vhost's firehose on every node, or disarm it.

        Args:
            nodes: only those.

        Returns:
            The nodes that have done it; those that do not answer are left out.

        Raises:
            Permanent: it is to be armed, and there is no such vhost, or we are refused.
        """
        done = set()
        for node, base in self.addresses().items():
            try:
                if nodes is None or node in nodes:
                    self._set_tracing(base, on)
                    done.add(node)
            except Permanent:
                if on:
                    raise
            except Retry:
                continue
        return done

    def _set_tracing(self, base: str, on: bool) -> None:
        known = self._vhost(base)
        if known is None:
            raise Permanent(f"RabbitMQ has no vhost {self._broker.vhost!r}")
        kept = {key: known[key] for key in ("description", "tags", "default_queue_type") if known.get(key)}
        if kept.get("default_queue_type") == "undefined":
            del kept["default_queue_type"]
        if isinstance(kept.get("tags"), list):
            kept["tags"] = ",".join(kept["tags"])
        self.ask("PUT", f"/vhosts/{self._broker.vhost_path}", kept | {"tracing": on}, base)

    def _vhost(self, base: str | None = None) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.ask("GET", f"/vhosts/{self._broker.vhost_path}", base=base)
        return found

    def rate(self) -> float | None:
        """Messages a second that are published in the vhost now; None if nothing is known yet."""
        found = self._vhost() or {}
        details = (found.get("message_stats") or {}).get("publish_details") or {}
        rate = details.get("rate")
        return float(rate) if isinstance(rate, (int, float)) else None

    def queue(self, name: str) -> dict[str, Any] | None:
        """A queue of the vhost; None if it is not there."""
        path = f"/queues/{self._broker.vhost_path}/{quote(name, safe='')}"
        found: dict[str, Any] | None = self.ask("GET", path)
        return found

    def queues(self) -> Iterator[dict[str, Any]]:
        """All queues of the vhost, with messages and consumers."""
        columns = "name,messages,messages_ready,messages_unacknowledged,consumers,message_stats"
        return self._pages(f"/queues/{self._broker.vhost_path}", columns)

    def sources(self, name: str) -> set[str]:
        """Exchanges that a queue is bound to, beside the default one; none if it is not there."""
        path = f"/queues/{self._broker.vhost_path}/{quote(name, safe='')}/bindings"
        return {row["source"] for row in self.ask("GET", path) or () if row["source"]}

    def connections(self) -> dict[str, str]:
        """Of each connection, by the name that the firehose has for it, what its client calls itself."""
        rows = self._pages(f"/vhosts/{self._broker.vhost_path}/connections", "name,client_properties.connection_name")
        return {
            row["name"]: text
            for row in rows
            if isinstance(text := (row.get("client_properties") or {}).get("connection_name"), str)
        }

    def exchanges(self) -> list[dict[str, Any]]:
        """All exchanges of the vhost, with name and type."""
        return list(self._pages(f"/exchanges/{self._broker.vhost_path}", "name,type"))

    def _pages(self, path: str, columns: str) -> Iterator[dict[str, Any]]:
        page, pages = 1, 1
        while page <= pages:
            found = self.ask("GET", f"{path}?page={page}&page_size={PAGE}&columns={columns}") or {}
            if isinstance(found, list):  # an API that does not page this list
                yield from found
                return
            rows: Sequence[dict[str, Any]] = found.get("items", ())
            yield from rows
            page, pages = page + 1, int(found.get("page_count") or 1)

    def parameter(self, name: str) -> Any:
        """The value of a global parameter; None if there is none."""
        return (self.ask("GET", f"/global-parameters/{quote(name, safe='')}") or {}).get("value")

    def set_parameter(self, name: str, value: Any) -> None:
        """Keep a value in the cluster; None removes it."""
        path = f"/global-parameters/{quote(name, safe='')}"
        if value is None:
            self.ask("DELETE", path)
        else:
            self.ask("PUT", path, {"name": name, "value": value})

    def delete_queue(self, name: str) -> None:
        """Delete a queue, if it is there."""
        self.ask("DELETE", f"/queues/{self._broker.vhost_path}/{quote(name, safe='')}")


def _size(value: Any) -> int:
    return (
        int(value) if isinstance(value, (int, float)) else 0
    )  # "disk_free_monitoring_disabled", or a node that is down


def _named(address: str) -> str:
    """A node's address, without the user that it may name."""
    scheme, mark, rest = address.rpartition("://")
    return f"RabbitMQ's management API at {scheme}{mark}{rest.rpartition('@')[2]}"


def _session(broker: Broker) -> requests.Session:
    found = requests.Session()
    found.auth = (broker.user, broker.password.get_secret_value())
    found.trust_env = False  # no proxy, no .netrc
    if any(address.startswith("https:") for address in broker.management):
        broker.tls_context()  # says what is wrong with the files
    found.verify = broker.authorities
    if broker.cert_file:
        found.cert = (str(broker.cert_file), str(broker.key_file)) if broker.key_file else str(broker.cert_file)
    return found
