"""Process 1 of the cluster's own namespaces: `unshare … python -m tests.cluster.init`.

Every daemon and pod descends from it, so that killing it ends them all, and their mounts,
interfaces and packet filter rules vanish with the namespaces.
"""

import os
import time
from pathlib import Path

from tests.cluster import addresses, api_server
from tests.cluster.daemons import FIRST, THEN
from tests.cluster.paths import LOGS, MOUNTED
from tests.cluster.steps import run, spawn


def main() -> None:
    _mount()
    _network()
    running = {_start(name): name for name in FIRST}
    while not api_server.ready():
        while _reap(running, os.WNOHANG):
            pass
        time.sleep(0.05)
    running |= {_start(name): name for name in THEN}
    while True:
        _reap(running, 0)


def _mount() -> None:
    run(["mount", "--make-rshared", "/"])
    for folder, place in MOUNTED.items():
        run(["mount", "--bind", folder, place])
    for path in ("/run/containerd", "/run/netns", "/var/log/pods", "/var/log/containers"):
        Path(path).mkdir(parents=True, exist_ok=True)


def _network() -> None:
    run(["ip", "link", "set", "lo", "up"])
    while not Path("/proc/sys/net/ipv4/conf", addresses.NODE_LINK).exists():
        time.sleep(0.02)  # the machine's side puts it here
    link = addresses.NODE_LINK
    run(["ip", "address", "add", f"{addresses.NODE_IP}/{addresses.LINK_BITS}", "dev", link])
    run(["ip", "link", "set", link, "up"])
    # connect() wants some route to a ClusterIP before kube-proxy's rules rewrite the address.
    run(["ip", "route", "add", addresses.SERVICE_CIDR, "dev", link])
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")


def _start(name: str) -> int:
    return spawn({**FIRST, **THEN}[name], log=LOGS / f"{name}.log")


def _reap(running: dict[int, str], options: int) -> bool:
    """Take note of one ended process; a daemon starts again. False if none has ended."""
    pid, status = os.waitpid(-1, options)
    if name := running.pop(pid, None):
        code = os.waitstatus_to_exitcode(status)
        print(f"{name} ended with {code}, starting it again", flush=True)
        time.sleep(1)
        running[_start(name)] = name
    return pid != 0


if __name__ == "__main__":
    main()
