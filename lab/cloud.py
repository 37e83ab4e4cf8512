"""Connections to the lab's cloud, and what a user finds in it: users, flavors, an image, a network, zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from lab.config.neutron import PHYSICAL_NETWORK
from lab.layout import Lab, private_text

if TYPE_CHECKING:
    from openstack.connection import Connection

REGION = "lab"
CATALOGUE = {
    "placement": ("placement", ""),
    "glance": ("image", ""),
    "neutron": ("network", ""),
    "nova": ("compute", "/v2.1"),
}
"""Service users, the type of their service, and the path of its endpoint."""
FLAVORS = {
    "small": {"vcpus": 1, "ram": 512, "disk": 1},
    "medium": {"vcpus": 2, "ram": 4096, "disk": 10},
    "large": {"vcpus": 8, "ram": 32768, "disk": 80},
}
IMAGE = "tiny"
NETWORK = "lab"
PROJECT = "demo"
USER = "demo"
ZONE_KEY = "drover_lab"
"""Metadata key of the aggregates that the lab made, so that `reset` tells them from others."""


def write_clouds_yaml(lab: Lab) -> None:
    """clouds.yaml with the clouds `lab` (admin) and `lab-user` (a plain member of project demo)."""

    def cloud(user: str, password: str, project: str) -> dict[str, Any]:
        return {
            "auth": {
                "auth_url": f"{lab.url('keystone')}/v3",
                "username": user,
                "password": password,
                "project_name": project,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": REGION,
            "identity_api_version": "3",
        }

    clouds = {
        "lab": cloud("admin", lab.passwords["admin"], "admin"),
        "lab-user": cloud(USER, lab.passwords["user"], PROJECT),
    }
    text = yaml.safe_dump({"clouds": clouds}, sort_keys=False)
    if not lab.clouds_yaml.exists() or lab.clouds_yaml.read_text() != text:
        private_text(lab.clouds_yaml, text)


def write_brokers_yaml(lab: Lab) -> None:
    """brokers.yaml beside it, where `drover trace` finds the lab's RabbitMQ under the cloud's name."""
    password = lab.passwords["rabbitmq"]
    entry = {
        "url": f"amqp://lab:{password}@127.0.0.1:{lab.port('rabbitmq')}/%2F",
        "management": [f"http://127.0.0.1:{lab.port('rabbitmq-management')}"],
    }
    text = yaml.safe_dump({"brokers": {"lab": entry}}, sort_keys=False)
    path = lab.clouds_yaml.with_name("brokers.yaml")
    if not path.exists() or path.read_text() != text:
        private_text(path, text)


def connect(lab: Lab, name: str = "lab") -> Connection:
    """A connection as one of the clouds in the lab's clouds.yaml, whatever the environment says."""
    from openstack.config import OpenStackConfig
    from openstack.connection import Connection

    config = OpenStackConfig(config_files=[str(lab.clouds_yaml)], load_envvars=False)
    return Connection(config=config.get_one(cloud=name), compute_api_version="2.1")


def fill_catalogue(lab: Lab, conn: Connection) -> None:
    """Service users and endpoints, the plain user and its project."""
    identity: Any = conn.identity  # its type is a union with the API of 2012
    projects = {project.name: project for project in identity.projects()}
    users = {user.name: user for user in identity.users()}
    roles = {role.name: role for role in identity.roles()}
    services = {service.name: service for service in identity.services()}
    endpoints = {endpoint.service_id for endpoint in identity.endpoints()}
    for name in ("service", PROJECT):
        projects[name] = projects.get(name) or identity.create_project(name=name, domain_id="default")
    for name in ("admin", "service", "member"):
        roles[name] = roles.get(name) or identity.create_role(name=name)
    for name, (kind, path) in CATALOGUE.items():
        user = users.get(name) or _create_user(identity, name, lab.passwords["service"])
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(projects["service"], user, roles[role])
        service = services.get(name) or identity.create_service(name=name, type=kind)
        if service.id not in endpoints:
            address = f"{lab.url(name)}{path}"
            identity.create_endpoint(service_id=service.id, interface="public", region_id=REGION, url=address)
    plain = users.get(USER) or _create_user(identity, USER, lab.passwords["user"])
    identity.assign_project_role_to_user(projects[PROJECT], plain, roles["member"])
    identity.assign_project_role_to_user(projects[PROJECT], users["admin"], roles["admin"])


def _create_user(identity: Any, name: str, password: str) -> Any:
    return identity.create_user(name=name, password=password, domain_id="default")


def fill_contents(conn: Connection) -> None:
    """Flavors, an image and a network that every project may use."""
    present = {flavor.name for flavor in conn.compute.flavors()}
    for name, size in FLAVORS.items():
        if name not in present:
            conn.compute.create_flavor(name=name, **size)
    if conn.image.find_image(IMAGE) is None:
        conn.image.create_image(
            name=IMAGE,
            data=b"\0" * 1024,
            disk_format="raw",
            container_format="bare",
            visibility="public",
            allow_duplicates=True,
        )
    network = conn.network.find_network(NETWORK)
    if network is None:
        network = conn.network.create_network(
            name=NETWORK,
            is_shared=True,
            provider_network_type="vlan",
            provider_physical_network=PHYSICAL_NETWORK,
            provider_segmentation_id=100,
        )
    if not network.subnet_ids:
        conn.network.create_subnet(
            name=NETWORK, network_id=network.id, ip_version=4, cidr="10.200.0.0/16", is_dhcp_enabled=False
        )


def set_aggregates(lab: Lab, conn: Connection) -> None:
    """One aggregate for each zone, and those the operator named; hosts are dealt as the options say."""
    options = lab.options
    wanted: dict[str, tuple[str | None, set[str]]] = {
        zone: (zone, {host for host in options.hosts if options.zone_of(host) == zone}) for zone in options.zones
    }
    wanted |= {name: (None, set(hosts)) for name, hosts in options.aggregates.items()}
    present = {aggregate.name: aggregate for aggregate in conn.compute.aggregates()}
    for name, (zone, members) in wanted.items():
        aggregate = present.get(name)
        if aggregate is None:
            values = {"availability_zone": zone} if zone else {}
            aggregate = conn.compute.create_aggregate(name=name, **values)
            conn.compute.set_aggregate_metadata(aggregate, {ZONE_KEY: "yes"})
        found = set(aggregate.hosts or ())
        for host in sorted(found - members):
            conn.compute.remove_host_from_aggregate(aggregate, host)
        for host in sorted(members - found):
            conn.compute.add_host_to_aggregate(aggregate, host)
