"""How the lab is: every process, and what Nova and Neutron say of their services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lab import cloud, processes, services
from lab.faults import load as load_faults
from lab.layout import Lab
from lab.processes import Record

if TYPE_CHECKING:
    from openstack.connection import Connection

CONTROL = ("nova-conductor", "nova-scheduler")


@dataclass(frozen=True)
class ProcessStatus:
    """One process: `state` is running or ended."""

    name: str
    state: str
    pid: int
    port: int | None
    log: str


@dataclass(frozen=True)
class HostStatus:
    """One fake host as Nova and Neutron see it."""

    name: str
    service: str
    """Nova's state of nova-compute: up or down, or missing."""
    status: str
    """enabled or disabled, with forced_down added."""
    agent: str
    servers: int
    zone: str
    fault: str | None


@dataclass(frozen=True)
class LabStatus:
    """All of it; `state` is up, down or partial."""

    directory: str
    state: str
    clouds_yaml: str
    cap: int
    seconds: float
    processes: tuple[ProcessStatus, ...]
    hosts: tuple[HostStatus, ...]
    missing: tuple[str, ...]
    faults: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def status(lab: Lab) -> LabStatus:
    """Look at the processes, and ask the cloud if it runs."""
    expected = [service.name for service in services.all_services(lab)] + list(lab.options.hosts)
    records = {record.name: record for record in processes.records(lab.run)}
    rows = tuple(_process(records[name]) for name in expected if name in records)
    running = {row.name for row in rows if row.state == "running"}
    lost = [name for name in expected if name not in running]
    if not running:
        missing: list[str] = lost
        hosts: tuple[HostStatus, ...] = ()
    else:
        hosts, complaints = _ask(lab)
        missing = lost + [text for text in complaints if text.split()[0] not in lost]
    faults = load_faults(lab.faults_yaml)
    return LabStatus(
        directory=str(lab.directory),
        state="down" if not running else "partial" if missing else "up",
        clouds_yaml=str(lab.clouds_yaml),
        cap=lab.options.cap,
        seconds=lab.options.seconds,
        processes=rows,
        hosts=hosts,
        missing=tuple(missing),
        faults=tuple(faults.describe()),
    )


def _process(record: processes.Record) -> ProcessStatus:
    return ProcessStatus(record.name, "running" if record.alive else "ended", record.pid, record.port, record.log)


def _ask(lab: Lab) -> tuple[tuple[HostStatus, ...], list[str]]:
    try:
        conn = cloud.connect(lab)
        return hosts_of(lab, conn), missing(lab, conn)
    except Exception as error:  # whatever an API that is half up may answer with
        return (), [f"the cloud does not answer: {str(error).splitlines()[0]}"]


def hosts_of(lab: Lab, conn: Connection) -> tuple[HostStatus, ...]:
    """Every host of the lab as the cloud sees it."""
    computes = {service.host: service for service in conn.compute.services(binary="nova-compute")}
    agents = {agent.host: agent for agent in conn.network.agents()}
    hypervisors = {row.name: row for row in conn.compute.hypervisors(details=True, with_servers=True)}
    faults = load_faults(lab.faults_yaml).hosts
    rows = []
    for host in lab.options.hosts:
        service, agent, hypervisor = computes.get(host), agents.get(host), hypervisors.get(host)
        flag = " forced_down" if service and service.is_forced_down else ""
        rows.append(
            HostStatus(
                name=host,
                service=service.state if service else "missing",
                status=f"{service.status}{flag}" if service else "missing",
                agent=("alive" if agent.is_alive else "down") if agent else "missing",
                servers=len((hypervisor and hypervisor.servers) or ()),
                zone=service.availability_zone if service else "",
                fault=faults[host].state if host in faults else None,
            )
        )
    return tuple(rows)


def missing(lab: Lab, conn: Connection | None = None) -> list[str]:
    """What is not up yet: control services, hosts, hypervisors, agents.

    A sign of life counts only if it is younger than the process that is to give it: Nova calls a service up for
    a while after its end.
    """
    try:
        conn = conn or cloud.connect(lab)
        services_found = list(conn.compute.services())
        agents = {agent.host: agent for agent in conn.network.agents()}
        hypervisors = {hypervisor.name for hypervisor in conn.compute.hypervisors()}
    except Exception as error:
        return [f"answer of the cloud ({type(error).__name__})"]
    alive = {record.name: record for record in processes.records(lab.run) if record.alive}
    up = {_name(service) for service in services_found if _is_up(service, alive)}
    faulty = load_faults(lab.faults_yaml).hosts
    hosts = [host for host in lab.options.hosts if host not in faulty]
    lost = [name for name in (*CONTROL, *hosts) if name not in up or (name in hosts and name not in hypervisors)]
    return lost + [f"{host}'s agent" for host in hosts if not _reports(agents.get(host), alive.get("agents"))]


def _is_up(service: Any, alive: Mapping[str, Record]) -> bool:
    """One that is forced down was meant to be, and counts as down for Nova until that is lifted."""
    record = alive.get(_name(service))
    return (service.state == "up" or service.is_forced_down) and bool(record and record.gave_sign(service.updated_at))


def _name(service: Any) -> str:
    """The name of a service's process."""
    return str(service.host if service.binary == "nova-compute" else service.binary)


def _reports(agent: Any, record: Record | None) -> bool:
    return bool(agent and agent.is_alive and record and record.gave_sign(agent.last_heartbeat_at))
