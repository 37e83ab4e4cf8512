"""The fleet: one frozen picture of a cloud's hosts, servers and groups, which every decision is made on."""

from shared.fleet.snapshot import Fleet, Group, Host, Migration, Requirements, Resources, Server

__all__ = ["Fleet", "Group", "Host", "Migration", "Requirements", "Resources", "Server"]
