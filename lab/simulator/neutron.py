"""The simulated Neutron: agents, their routers and networks, ports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from lab.simulator.network import KINDS, Agent, Network, Networking, Router
from lab.simulator.ports import agents_ports, port_of
from lab.simulator.protocol import Answer, HttpError, Request, Route, Service, limit_of
from lab.simulator.records import Json, Server, new_id

Row = dict[str, Any]
INTERNAL = "Request Failed: internal server error while processing your request."
DESCRIPTION = 255
"""Characters of an agent's description at most."""
KIND_NAMES = {400: "BadRequest", 404: "HTTPNotFound", 405: "HTTPMethodNotAllowed"}


class Neutron(Service):
    """The network API, v2.0."""

    name = "network"
    root = "/network"

    def __init__(self, network: Networking, page: int) -> None:
        self.network = network
        self.world = network.world
        self.page = page
        super().__init__()

    def table(self) -> Iterable[Route]:
        """Method, path and handler of every route."""
        agent, router = "/v2.0/agents/([^/]+)", "/v2.0/routers/([^/]+)"
        return [
            ("GET", "", self._versions),
            ("GET", "/v2.0", self._resources),
            ("GET", "/v2.0/agents", self._agents),
            ("GET", agent, self._agent),
            ("PUT", agent, self._update_agent),
            ("DELETE", agent, self._delete_agent),
            ("GET", agent + "/l3-routers", self._routers_of),
            ("POST", agent + "/l3-routers", self._add_router),
            ("DELETE", agent + "/l3-routers/([^/]+)", self._remove_router),
            ("GET", agent + "/dhcp-networks", self._networks_of),
            ("POST", agent + "/dhcp-networks", self._add_network),
            ("DELETE", agent + "/dhcp-networks/([^/]+)", self._remove_network),
            ("GET", "/v2.0/routers", self._routers),
            ("POST", "/v2.0/routers", self._create_router),
            ("GET", router, self._router),
            ("DELETE", router, self._delete_router),
            ("GET", router + "/l3-agents", self._agents_of_router),
            ("GET", "/v2.0/networks", self._networks),
            ("GET", "/v2.0/networks/([^/]+)", self._network),
            ("GET", "/v2.0/networks/([^/]+)/dhcp-agents", self._agents_of_network),
            ("GET", "/v2.0/ports", self._ports),
        ]

    def error(self, error: HttpError) -> Json:
        """As Neutron words it."""
        kind = error.kind or KIND_NAMES.get(error.status, "HTTPError")
        return {"NeutronError": {"type": kind, "message": error.message, "detail": ""}}

    def _versions(self, request: Request) -> Answer:
        link = [{"rel": "self", "href": f"{request.base}{self.root}/v2.0/"}]
        return Answer(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": link}]})

    def _resources(self, request: Request) -> Answer:
        return Answer(200, {"resources": []})

    # -- agents -----------------------------------------------------------------------------------------------

    def _agents(self, request: Request) -> Answer:
        rows = self.network.all_agents() if request.caller and request.caller.admin else []
        return self._list(request, "agents", rows, self._agent_view)

    def _agent(self, request: Request, id: str) -> Answer:
        return Answer(200, {"agent": self._agent_view(self._find_agent(request, id))})

    def _update_agent(self, request: Request, id: str) -> Answer:
        agent = self._find_agent(request, id)
        wish = request.body.get("agent", {})
        unknown = sorted(set(wish) - {"admin_state_up", "description"})
        if unknown:
            raise HttpError(400, f"Unrecognized attribute(s) '{', '.join(unknown)}'", "HTTPBadRequest")
        up = wish.get("admin_state_up", agent.admin_up)
        if not isinstance(up, bool):
            raise HttpError(400, f"Invalid input for operation: '{up}' cannot be converted to boolean.", "InvalidInput")
        if agent.kind.startswith("ovn") and not up:
            raise HttpError(400, "Bad agent request: OVN agent status cannot be updated.", "BadRequest")
        agent.description = _described(wish, agent)
        self.network.set_admin(agent, up)
        return Answer(200, {"agent": self._agent_view(agent)})

    def _delete_agent(self, request: Request, id: str) -> Answer:
        self.network.forget(self._find_agent(request, id))
        return Answer(204)

    def _find_agent(self, request: Request, id: str) -> Agent:
        agent = self.network.agent(id) if request.caller and request.caller.admin else None
        if agent is None:
            raise HttpError(404, f"Agent {id} could not be found.", "AgentNotFound")
        return agent

    def _agent_view(self, agent: Agent) -> Row:
        kind, binary = KINDS[agent.kind]
        time = self.world.time.strftime("%Y-%m-%d %H:%M:%S")
        return {
            "id": agent.id,
            "agent_type": kind,
            "binary": binary,
            "topic": "N/A",
            "host": agent.host,
            "admin_state_up": agent.admin_up,
            "created_at": agent.created.strftime("%Y-%m-%d %H:%M:%S"),
            "started_at": agent.created.strftime("%Y-%m-%d %H:%M:%S"),
            "heartbeat_timestamp": time,
            "description": agent.description,
            "resources_synced": None,
            "availability_zone": agent.zone,
            "alive": self.network.alive(agent),
            "configurations": self.network.configurations(agent),
        }

    # -- routers ----------------------------------------------------------------------------------------------

    def _l3_agent(self, request: Request, id: str) -> Agent:
        agent = self._find_agent(request, id)
        if agent.kind != "l3" or not agent.admin_up:
            raise HttpError(404, f"Agent {id} is not a L3 Agent or has been disabled", "InvalidL3Agent")
        return agent

    def _find_router(self, id: str) -> Router:
        router = self.network.routers.get(id)
        if router is None:
            raise HttpError(404, f"Router {id} could not be found", "RouterNotFound")
        return router

    def _routers_of(self, request: Request, id: str) -> Answer:
        agent = self._find_agent(request, id)
        rows = [router for router in self.network.routers.values() if agent.id in router.agents]
        return Answer(200, {"routers": [self._router_view(router) for router in rows]})

    def _add_router(self, request: Request, id: str) -> Answer:
        self._find_agent(request, id)
        router = self._find_router(request.body.get("router_id", ""))
        agent = self._l3_agent(request, id)
        if agent.id in router.agents:
            return Answer(201)
        if router.agents and not router.ha:
            message = f"The router {router.id} has been already hosted by the L3 Agent {router.agents[0]}."
            raise HttpError(409, message, "RouterHostedByL3Agent")
        self.network.bind_router(router, agent)
        if agent.mute:
            raise HttpError(500, INTERNAL, "HTTPInternalServerError")
        return Answer(201)

    def _remove_router(self, request: Request, id: str, router_id: str) -> Answer:
        agent = self._find_agent(request, id)
        router = self._find_router(router_id)
        if agent.id in router.agents:  # Neutron does not mind one that is not there
            self.network.unbind_router(router, agent)
        return Answer(204)

    def _routers(self, request: Request) -> Answer:
        return self._list(request, "routers", self.network.routers.values(), self._router_view)

    def _router(self, request: Request, id: str) -> Answer:
        return Answer(200, {"router": self._router_view(self._find_router(id))})

    def _create_router(self, request: Request) -> Answer:
        wish = request.body.get("router", {})
        project = request.caller.project if request.caller else ""
        router = Router(new_id(), wish.get("name", ""), project, bool(wish.get("ha", False)))
        self.network.routers[router.id] = router
        return Answer(201, {"router": self._router_view(router)})

    def _delete_router(self, request: Request, id: str) -> Answer:
        del self.network.routers[self._find_router(id).id]
        return Answer(204)

    def _router_view(self, router: Router) -> Row:
        return {
            "id": router.id,
            "name": router.name,
            "project_id": router.project,
            "tenant_id": router.project,
            "admin_state_up": router.admin_up,
            "status": "ACTIVE",
            "ha": router.ha,
            "distributed": router.distributed,
            "external_gateway_info": None,
            "availability_zone_hints": router.hints,
        }

    def _agents_of_router(self, request: Request, id: str) -> Answer:
        router = self._find_router(id)
        agents = [self.network.agents[agent] for agent in router.agents]
        rows = [self._agent_view(agent) | {"ha_state": self.network.ha_state(router, agent)} for agent in agents]
        return Answer(200, {"agents": rows})

    # -- networks ---------------------------------------------------------------------------------------------

    def _dhcp_agent(self, request: Request, id: str) -> Agent:
        agent = self._find_agent(request, id)
        if agent.kind != "dhcp" or not agent.admin_up:
            raise HttpError(404, f"Agent {id} is not a valid DHCP Agent or has been disabled.", "InvalidDHCPAgent")
        return agent

    def _find_network(self, id: str) -> Network:
        network = self.network.networks.get(id)
        if network is None:
            raise HttpError(404, f"Network {id} could not be found.", "NetworkNotFound")
        return network

    def _networks_of(self, request: Request, id: str) -> Answer:
        agent = self._find_agent(request, id)
        rows = [network for network in self.network.networks.values() if agent.id in network.agents]
        return Answer(200, {"networks": [self._network_view(network) for network in rows]})

    def _add_network(self, request: Request, id: str) -> Answer:
        network = self._find_network(request.body.get("network_id", ""))
        agent = self._dhcp_agent(request, id)
        if agent.id in network.agents:
            message = f"The network {network.id} has been already hosted by the DHCP Agent {agent.id}."
            raise HttpError(409, message, "NetworkHostedByDHCPAgent")
        self.network.bind_network(network, agent)
        return Answer(201)

    def _remove_network(self, request: Request, id: str, network_id: str) -> Answer:
        agent = self._find_agent(request, id)
        network = self.network.networks.get(network_id)
        if network is None or agent.id not in network.agents:
            message = f"The network {network_id} is not hosted by the DHCP Agent {agent.id}."
            raise HttpError(409, message, "NetworkNotHostedByDhcpAgent")
        self.network.unbind_network(network, agent)
        return Answer(204)

    def _networks(self, request: Request) -> Answer:
        return self._list(request, "networks", self.network.networks.values(), self._network_view)

    def _network(self, request: Request, id: str) -> Answer:
        return Answer(200, {"network": self._network_view(self._find_network(id))})

    def _network_view(self, network: Network) -> Row:
        return {
            "id": network.id, "name": network.name, "status": "ACTIVE", "admin_state_up": True, "subnets": [],
            "availability_zone_hints": network.hints,
        }  # fmt: skip

    def _agents_of_network(self, request: Request, id: str) -> Answer:
        network = self.network.networks.get(id)  # Neutron answers with none for a network that is not there
        agents = [self.network.agents[agent] for agent in network.agents] if network is not None else []
        return Answer(200, {"agents": [self._agent_view(agent) for agent in agents]})

    # -- ports ------------------------------------------------------------------------------------------------

    def _ports(self, request: Request) -> Answer:
        query, servers = request.query, self.world.servers
        rows: Iterable[Server]
        if "device_id" in query:
            found = servers.get(query["device_id"])
            rows = [found] if found is not None else []
        elif "binding:host_id" in query:
            rows = servers.on(query["binding:host_id"])
        elif query.get("device_owner", "").startswith("network:"):
            rows = []
        else:
            rows = servers.newest_first()
        views = chain((port_of(self.network, server) for server in rows), agents_ports(self.network))
        return self._list(request, "ports", views, lambda view: view)

    # -- lists ------------------------------------------------------------------------------------------------

    def _list(self, request: Request, key: str, rows: Iterable[Any], view: Callable[[Any], Row]) -> Answer:
        """A list with Neutron's filters (any field by its text), `fields`, and paging when `limit` asks for it."""
        views = (entry for entry in map(view, rows) if _fits(entry, request))
        limit = limit_of(request.query, self.page) if "limit" in request.query else None
        found: list[Row] = []
        marker = request.query.get("marker")
        for entry in views:
            if marker is not None:
                marker = None if entry["id"] == marker else marker
                continue
            found.append(entry)
            if limit is not None and len(found) == limit:
                break
        chosen = [{k: v for k, v in entry.items() if not request.fields or k in request.fields} for entry in found]
        document: dict[str, Any] = {key: chosen}
        if limit is not None and len(found) == limit and found:
            href = f"{request.base}{self.root}{request.path}?limit={limit}&marker={found[-1]['id']}"
            document[f"{key}_links"] = [{"rel": "next", "href": href}]
        return Answer(200, document)


def _described(wish: Row, agent: Agent) -> str | None:
    text: str | None = wish.get("description", agent.description)
    if text is not None and len(text) > DESCRIPTION:
        message = f"Invalid input for description. Reason: '{text}' exceeds maximum length of {DESCRIPTION}."
        raise HttpError(400, message, "HTTPBadRequest")
    return text


def _fits(entry: Row, request: Request) -> bool:
    return all(
        str(entry[name]).lower() == wanted.lower()
        for name, wanted in request.query.items()
        if name in entry and name not in ("fields", "limit", "marker")
    )
