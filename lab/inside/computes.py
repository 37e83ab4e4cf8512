"""Run a nova-compute for each fake host, forked after Nova was imported once: `python -m drover_lab.computes`.

It reads `etc/computes.json` (hosts, files, addresses to wait for) again on SIGHUP, and follows the `hosts` part of the
faults file: a dead host's process is killed, a frozen one's is stopped, and both come back when the fault is lifted. A
compute that ends by itself stays down until SIGHUP, so that nobody overlooks it.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from types import FrameType
from typing import Any

from drover_lab.faults import Faults

POLL = 0.25
"""Seconds between two looks at the faults file."""


class Supervisor:
    """Keeps each host's process in the state that the faults file asks for."""

    def __init__(self, lab: str) -> None:
        self.lab = lab
        self.faults = Faults(os.path.join(lab, "faults.yaml"), os.path.join(lab, "data", "faults"))
        self.settings = self._read()
        self.seen: set[str] = set()
        """Hosts that were started, and are not started again by themselves."""
        self.hangup = False
        signal.signal(signal.SIGHUP, self._on_hangup)  # as early as can be: a SIGHUP without it would end us

    def _read(self) -> dict[str, Any]:
        with open(os.path.join(self.lab, "etc", "computes.json")) as file:
            settings: dict[str, Any] = json.load(file)
        return settings

    def run(self) -> None:
        """Until SIGTERM."""
        self._wait_for_services()
        while True:
            if self.hangup:
                self.hangup = False
                self.settings = self._read()
                self.seen.clear()
            self._reap()
            for host in self.settings["hosts"]:
                self._set(host, self.faults.host_state(host))
            time.sleep(POLL)

    def _on_hangup(self, _number: int, _frame: FrameType | None) -> None:
        self.hangup = True

    def _wait_for_services(self) -> None:
        """Computes end if keystone or Placement does not answer as they start."""
        for url in self.settings["wait_for"]:
            while True:
                try:
                    urllib.request.urlopen(url, timeout=5).close()
                    break
                except urllib.error.HTTPError:
                    break  # it answers
                except OSError:
                    time.sleep(POLL)

    def _reap(self) -> None:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass

    def _set(self, host: str, wanted: str | None) -> None:
        pid, state = self._process(host)
        if wanted == "dead":
            self.seen.discard(host)
            if pid:
                os.kill(pid, signal.SIGKILL)
        elif wanted == "frozen":
            if pid and state != "T":
                os.kill(pid, signal.SIGSTOP)
        elif pid is None:
            if host not in self.seen:
                self._start(host)
        elif state == "T":
            os.kill(pid, signal.SIGCONT)
        if pid:
            self.seen.add(host)
            if wanted == "dead":
                self.seen.discard(host)

    def _process(self, host: str) -> tuple[int | None, str]:
        """Pid and state of the host's process, None if it does not run."""
        try:
            with open(os.path.join(self.settings["run"], f"{host}.json")) as file:
                record = json.load(file)
            state, started = stat_of(record["pid"])
        except (OSError, ValueError, KeyError):
            return None, ""
        if started != record["started"] or state == "Z":
            return None, ""
        return record["pid"], state

    def _start(self, host: str) -> None:
        log = os.path.join(self.settings["log"], f"{host}.log")
        pid = os.fork()
        if pid == 0:
            self._become(host, log)
        _state, started = stat_of(pid)
        path = os.path.join(self.settings["run"], f"{host}.json")
        with open(f"{path}.draft", "w") as file:
            json.dump({"name": host, "pid": pid, "started": started, "log": log, "port": None}, file)
        os.replace(f"{path}.draft", path)
        self.seen.add(host)

    def _become(self, host: str, log: str) -> None:
        """Be nova-compute of this host, and never return."""
        code = 1
        try:
            os.setsid()
            for number in (signal.SIGHUP, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(output, 1)
            os.dup2(output, 2)
            files = (self.settings["config"], os.path.join(os.path.dirname(self.settings["config"]), f"{host}.conf"))
            sys.argv = ["nova-compute", *(f"--config-file={file}" for file in files)]
            from nova.cmd import compute

            compute.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)


def stat_of(pid: int) -> tuple[str, int]:
    """State and start time of a process (proc(5)); OSError if there is none."""
    with open(f"/proc/{pid}/stat") as file:
        text = file.read()
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def main() -> None:
    """Import Nova, then supervise."""
    supervisor = Supervisor(os.environ["DROVER_LAB_DIR"])
    sys.argv = ["nova-compute", f"--config-file={supervisor.settings['config']}"]
    import nova.cmd.compute  # what is imported here is shared by all computes
    import nova.compute.manager
    import nova.virt.drover_lab  # noqa: F401

    gc.collect()
    gc.freeze()
    supervisor.run()


if __name__ == "__main__":
    main()
