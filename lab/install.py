"""Install what a lab runs: Debian packages without starting them, and OpenStack into a venv of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from lab import processes
from lab.errors import LabError
from lab.layout import Lab
from lab.progress import Progress

OPENSTACK = (
    "keystone==30.0.0",
    "openstack-placement==16.0.0",
    "glance==33.0.0",
    "neutron==29.0.0",
    "nova==34.0.0",
    "pymysql",
    "cheroot",
    "pymemcache",
    "python-memcached",
)
"""Versions that were seen to work together; without a constraints file."""

PROGRAMS = {
    "rabbitmq-server": "rabbitmq-server",
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "memcached": "memcached",
    "epmd": "erlang-base",
}
"""Programs that a lab starts, and the Debian or Ubuntu packages they come in."""

SEARCH = ("/usr/sbin", "/sbin", "/usr/local/sbin")
POLICY = Path("/usr/sbin/policy-rc.d")
"""Asked by Debian's packages before they start a daemon (invoke-rc.d(8)); 101 forbids it."""
COMPUTE_CODE = {"driver", "faults", "computes"}
"""Modules of lab.inside that a running compute would have to be restarted for."""
APT_SECONDS = 600
PIP_SECONDS = 600
DRIVER_MODULE = 'from drover_lab.driver import LabDriver\n\n__all__ = ["LabDriver"]\n'


def find_program(name: str) -> str | None:
    """Path of a system program, the sbin directories included."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *SEARCH]))


def rabbitmq_server() -> str:
    """The server's start script itself: the one in the path is a wrapper that changes the user."""
    for pattern in ("bin/rabbitmq-server", "lib/rabbitmq_server-*/sbin/rabbitmq-server"):
        for path in sorted(Path("/usr/lib/rabbitmq").glob(pattern)):
            return str(path)
    raise LabError("no rabbitmq-server below /usr/lib/rabbitmq: install the package rabbitmq-server")


def install(lab: Lab, progress: Progress) -> bool:
    """Install whatever is missing. Returns whether the code that computes run is new.

    Raises:
        LabError: a package can't be installed; says what to install by hand.
    """
    missing = sorted({package for program, package in PROGRAMS.items() if find_program(program) is None})
    if missing:
        prefix = _root_prefix(missing)
        with progress.step(f"installing {', '.join(missing)}"):
            _apt(prefix, missing)
    if _installed(lab) != _wanted():
        if any(record.alive for record in processes.records(lab.run)):
            raise LabError(
                "the lab runs with other versions of OpenStack: `drover lab down`, then `drover lab up` again"
            )
        with progress.step("installing OpenStack into the lab's venv"):
            _venv(lab)
    return _inside(lab)


def _apt(prefix: list[str], packages: list[str]) -> None:
    blocked = _forbid_daemons(prefix)
    base = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    install_command = [*base, "install", "--no-install-recommends", *packages]
    try:
        try:
            _run(install_command, APT_SECONDS)
        except LabError:  # the list of packages may be old
            _run([*base, "update"], APT_SECONDS)
            _run(install_command, APT_SECONDS)
    finally:
        if blocked:
            subprocess.run([*prefix, "rm", "-f", str(POLICY)], check=False)


def _root_prefix(packages: list[str]) -> list[str]:
    """What to put before a command that needs root; on a terminal sudo may ask for the password, once."""
    if find_program("apt-get") is None:
        raise LabError(f"this system has no apt-get: install {' '.join(packages)} by its own means")
    if os.geteuid() == 0:
        return []
    sudo = shutil.which("sudo")
    if sudo:
        ask = [] if sys.stdin.isatty() else ["-n"]
        if subprocess.run([sudo, *ask, "-v"], check=False).returncode == 0:
            return [sudo, "-n"]
    raise LabError(f"packages are missing; as root: apt-get install --no-install-recommends {' '.join(packages)}")


def _forbid_daemons(prefix: list[str]) -> bool:
    """Keep the packages from starting the system's own RabbitMQ and so on; False if a policy is there already."""
    if POLICY.exists():
        return False
    script = "#!/bin/sh\nexit 101\n"
    subprocess.run([*prefix, "tee", str(POLICY)], input=script, text=True, stdout=subprocess.DEVNULL, check=True)
    subprocess.run([*prefix, "chmod", "755", str(POLICY)], check=True)
    return True


def _wanted() -> str:
    return "\n".join(OPENSTACK)


def _installed(lab: Lab) -> str | None:
    """What the venv holds; None if it is not whole, or its Python has gone."""
    if not Path(lab.program("python")).exists():
        return None
    try:
        return (lab.venv / "drover-lab.txt").read_text()
    except OSError:
        return None


def _venv(lab: Lab) -> None:
    try:
        import uv
    except ModuleNotFoundError as error:
        raise LabError("the package uv is missing, which makes the lab's venv: pip install 'drover[lab]'") from error
    tool = uv.find_uv_bin()
    if lab.venv.exists():
        shutil.rmtree(lab.venv)
    _run([tool, "venv", "-q", "--python", sys.executable, str(lab.venv)], PIP_SECONDS)
    _run([tool, "pip", "install", "-q", "--python", lab.program("python"), *OPENSTACK], PIP_SECONDS)
    (lab.venv / "drover-lab.txt").write_text(_wanted())


def _inside(lab: Lab) -> bool:
    """Put the code of lab.inside into the venv, and its driver where Nova looks for one.

    Returns:
        Whether any of it that computes run is new.
    """
    found = list(lab.venv.glob("lib/python*/site-packages"))
    if not found:
        raise LabError(f"{lab.venv} is no complete venv: `drover lab destroy` and make the lab again")
    wanted = {f"drover_lab/{path.name}": path.read_text() for path in Path(__file__).with_name("inside").glob("*.py")}
    wanted["nova/virt/drover_lab.py"] = DRIVER_MODULE
    changed = set()
    for name, text in wanted.items():
        target = found[0] / name
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(exist_ok=True)
            target.write_text(text)
            changed.add(Path(name).stem)
    return bool(changed & COMPUTE_CODE)


def _run(command: list[str], seconds: float) -> None:
    """Run a command quietly; its last lines are in the error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{' '.join(command)}` took more than {seconds:.0f} s") from error
    if done.returncode:
        last = "\n".join(f"  | {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-8:])
        raise LabError(f"`{' '.join(command)}` failed with exit code {done.returncode}\n{last}")
