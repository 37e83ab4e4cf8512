"""RabbitMQ with its management API, every listener on the loopback address."""

from __future__ import annotations

from lab.layout import Lab


def files(lab: Lab) -> dict[str, str]:
    settings = {
        "listeners.tcp.default": f"127.0.0.1:{lab.port('rabbitmq')}",
        "loopback_users": "none",
        "default_user": "lab",
        "default_pass": lab.passwords["rabbitmq"],
        "default_user_tags.administrator": "true",
        "vm_memory_high_watermark.absolute": "512MB",
        "disk_free_limit.absolute": "100MB",
        "management.tcp.ip": "127.0.0.1",
        "management.tcp.port": lab.port("rabbitmq-management"),
        "log.console": "true",
        "log.console.level": "info",
        "log.file": "false",
    }
    return {
        "rabbitmq.conf": "".join(f"{name} = {value}\n" for name, value in settings.items()),
        "rabbitmq-env.conf": "",
        "rabbitmq-plugins": "[rabbitmq_management].\n",
    }


def environment(lab: Lab) -> dict[str, str]:
    """What the server's start script reads, so that nothing of the system's own RabbitMQ is used."""
    data = lab.data / "rabbitmq"
    return {
        "HOME": str(data),
        "RABBITMQ_NODENAME": f"lab{lab.port_base}@localhost",
        "RABBITMQ_CONF_ENV_FILE": str(lab.etc / "rabbitmq-env.conf"),
        "RABBITMQ_CONFIG_FILE": str(lab.etc / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(lab.etc / "rabbitmq-plugins"),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_LOG_BASE": str(lab.log),
        "RABBITMQ_PID_FILE": str(data / "pid"),
        "RABBITMQ_DIST_PORT": str(lab.port("rabbitmq-distribution")),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_IO_THREAD_POOL_SIZE": "16",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(lab.port("epmd")),
    }
