"""The management API of RabbitMQ: the health of its nodes, a vhost's tracing, queues and connections."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from shared.errors import Permanent, Retry
from shared.rabbit.broker import TIMEOUT, Broker

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
        self._session = requests.Session()
        self._session.auth = (broker.user, broker.password.get_secret_value())
        self._session.trust_env = False  # no proxy, no .netrc
        if broker.ca_file:
            self._session.verify = str(broker.ca_file)
        if broker.cert_file and broker.key_file:
            self._session.cert = (str(broker.cert_file), str(broker.key_file))

    def ask(self, method: str, path: str, document: Any = None, base: str | None = None) -> Any:
        """One request; None for what is not there (404). Without `base` the first node that answers is asked."""
        for address in [base] if base else self._broker.management:
            try:
                answer = self._session.request(
                    method, f"{address.rstrip('/')}/api{path}", json=document, timeout=TIMEOUT
                )
            except requests.RequestException as error:
                failed = f"{_without_user(address)}: {type(error).__name__}"
                continue
            if answer.status_code == 404:
                return None
            if answer.status_code in (401, 403):
                raise Permanent(
                    f"RabbitMQ refuses {self._broker.user!r} ({answer.status_code}) at {path.partition('?')[0]}: "
                    "it needs the tag administrator to arm the firehose, monitoring to look"
                )
            failed = f"{_without_user(address)}: {answer.status_code} {answer.reason}"
            if answer.status_code < 400:
                try:
                    return answer.json() if answer.content else None
                except ValueError:  # somebody else is at this address
                    failed += ", which is no JSON"
        raise Retry(f"RabbitMQ's management API does not answer: {failed}", after=5.0)

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

    def is_traced(self) -> list[bool]:
        """Whether the firehose of the vhost is armed, by each node that has an address."""
        return [bool((self._vhost(base) or {}).get("tracing")) for base in self._broker.management]

    def set_tracing(self, on: bool) -> None:
        """Arm the vhost's firehose on every node, or disarm it. A node that restarts has forgotten it."""
        for base in self._broker.management:
            known = self._vhost(base)
            if known is None:
                raise Permanent(f"RabbitMQ has no vhost {self._broker.vhost!r}")
            kept = {key: known[key] for key in ("description", "tags", "default_queue_type") if known.get(key)}
            if kept.get("default_queue_type") == "undefined":
                del kept["default_queue_type"]
            if isinstance(kept.get("tags"), list):
                kept["tags"] = ",".join(kept["tags"])
            self.ask("PUT", f"/vhosts/{self._broker.vhost_path}", kept | {"tracing": on}, base)

    def _vhost(self, base: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.ask("GET", f"/vhosts/{self._broker.vhost_path}", base=base)
        return found

    def rate(self) -> float | None:
        """Messages a second that are published in the vhost now; None if nothing is known yet."""
        found = self._vhost(self._broker.management[0]) or {}
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


def _without_user(address: str) -> str:
    return address.rpartition("@")[2] if "@" in address else address
