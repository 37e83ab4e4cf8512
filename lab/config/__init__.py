"""The configuration files of the lab's services, rendered from its options, ports and passwords."""

from __future__ import annotations

from lab.config import glance, keystone, mariadb, neutron, nova, placement, rabbitmq
from lab.layout import Lab, private_text


def write(lab: Lab) -> set[str]:
    """Write every configuration file that is not there as it should be.

    Returns:
        Names of the files written, relative to `etc`.
    """
    written = set()
    for module in (mariadb, rabbitmq, keystone, placement, glance, neutron, nova):
        for name, text in module.files(lab).items():
            path = lab.etc / name
            if path.exists() and path.read_text() == text:
                continue
            private_text(path, text)
            written.add(name)
    return written
