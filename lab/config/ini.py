"""INI files as oslo.config reads them, and the sections that all OpenStack services share."""

from __future__ import annotations

from collections.abc import Mapping

from lab.layout import Lab

Value = str | int | float | bool
Sections = Mapping[str, Mapping[str, Value]]

POOL: Mapping[str, Value] = {"max_pool_size": 4, "max_overflow": 12, "connection_recycle_time": 3600}
"""Few connections each: twenty processes share one MariaDB."""


def render(sections: Sections) -> str:
    """The text of an INI file; true and false as oslo.config writes them."""
    blocks = []
    for section, options in sections.items():
        lines = [f"{name} = {_text(value)}" for name, value in options.items()]
        blocks.append("\n".join([f"[{section}]", *lines]))
    return "\n\n".join(blocks) + "\n"


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def database(lab: Lab, name: str) -> Mapping[str, Value]:
    """The connection to one of the lab's databases, and its pool."""
    address = f"127.0.0.1:{lab.port('mariadb')}"
    return {"connection": f"mysql+pymysql://lab:{lab.passwords['database']}@{address}/{name}?charset=utf8mb4", **POOL}


def transport(lab: Lab) -> str:
    """The address of RabbitMQ as oslo.messaging takes it."""
    return f"rabbit://lab:{lab.passwords['rabbitmq']}@127.0.0.1:{lab.port('rabbitmq')}/"


def memcached(lab: Lab) -> str:
    return f"127.0.0.1:{lab.port('memcached')}"


def service_user(lab: Lab, name: str) -> Mapping[str, Value]:
    """How a service logs in to keystone as itself."""
    return {
        "auth_type": "password",
        "auth_url": f"{lab.url('keystone')}/v3",
        "username": name,
        "password": lab.passwords["service"],
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": "lab",
    }


def token_check(lab: Lab, name: str, service_type: str) -> Mapping[str, Value]:
    """keystonemiddleware's section; expired user tokens are accepted together with a service's own."""
    return {
        **service_user(lab, name),
        "www_authenticate_uri": f"{lab.url('keystone')}/v3",
        "memcached_servers": memcached(lab),
        "service_type": service_type,
        "service_token_roles": "service",
        "service_token_roles_required": True,
    }


def logs(lab: Lab) -> Mapping[str, Value]:
    """Logs go to stderr, which is the process's log file."""
    return {
        "debug": False,
        "use_stderr": True,
        "logging_context_format_string": "%(asctime)s.%(msecs)03d %(levelname)s %(name)s [%(request_id)s"
        " %(global_request_id)s] %(instance)s%(message)s",
        "default_log_levels": "oslo.messaging=INFO,oslo_messaging=INFO,sqlalchemy=WARN,stevedore=WARN,"
        "keystonemiddleware=WARN,urllib3=WARN,amqp=WARN,amqplib=WARN,dogpile=INFO,oslo_policy=WARN",
    }
