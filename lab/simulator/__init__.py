"""A simulated cloud: Keystone, Nova, Placement, Neutron and Octavia as far as Drover uses them, at the HTTP level.

Two doors lead to the one cloud: `cloud.SimulatedCloud` answers a `requests` session without a socket (tests), and
`server.Door` serves the same answers over HTTP on the loopback address (`drover lab simulate`).
"""
