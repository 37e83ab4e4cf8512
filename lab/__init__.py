"""A real OpenStack control plane with fake hypervisors on one machine, for the demo, the tests and the benchmarks.

Keystone, Placement, Glance, Neutron and Nova run as plain processes on the loopback address, with a MariaDB and a
RabbitMQ of their own. Only two things are not real: the virt driver of nova-compute and the Open vSwitch agents.
Everything lives in one directory, see `lab.layout.Lab`.
"""
