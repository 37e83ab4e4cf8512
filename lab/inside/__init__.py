"""Code that runs in the lab's OpenStack venv, beside Nova and Neutron; copied there as the package `drover_lab`.

It imports nothing of Drover.
"""
