"""The machine's side of the network between it and the local cluster."""

import shutil
import subprocess
from pathlib import Path

from tests.cluster import addresses
from tests.cluster.errors import ClusterError
from tests.cluster.steps import run, succeeds

_CIDRS = (addresses.SERVICE_CIDR, addresses.POD_CIDR)


def connect(pid: int) -> None:
    """Join the network namespace of process `pid`, and route ClusterIPs and pod IPs into it."""
    for cidr in _CIDRS:
        if route := run(["ip", "route", "show", "exact", cidr]):
            raise ClusterError(f"this machine already uses {cidr}: {route.strip()}")
    ends = ["ip", "link", "add", addresses.HOST_LINK, "type", "veth"]
    run([*ends, "peer", "name", addresses.NODE_LINK, "netns", str(pid)])
    host = f"{addresses.HOST_IP}/{addresses.LINK_BITS}"
    run(["ip", "address", "add", host, "dev", addresses.HOST_LINK])
    run(["ip", "link", "set", addresses.HOST_LINK, "up"])
    for cidr in _CIDRS:
        run(["ip", "route", "add", cidr, "via", addresses.NODE_IP])


def disconnect() -> None:
    """Remove the link if it is there; the routes go with it."""
    if interfaces():
        succeeds(["ip", "link", "delete", addresses.HOST_LINK])


def load_kernel_modules() -> None:
    """Load what the cluster's network needs where the kernel does not have it built in."""
    if not Path("/proc/sys/net/bridge").exists():
        succeeds(["modprobe", "br_netfilter"])
    if not Path("/proc/sys/net/bridge").exists():
        raise ClusterError("the kernel has no br_netfilter: Services would not work between pods")


def interfaces() -> list[str]:
    """The machine's end of the link, if it exists."""
    return [name for name in (addresses.HOST_LINK, addresses.NODE_LINK) if Path("/sys/class/net", name).exists()]


def routes() -> list[str]:
    """The machine's routes into the cluster."""
    if shutil.which("ip") is None:
        return []
    return [line for line in run(["ip", "route"]).splitlines() if addresses.NODE_IP in line]


def packet_filter_rules() -> list[str]:
    """Rules of kube-proxy or of the kubelet on the machine itself, where none belong."""
    if shutil.which("iptables-save") is None:
        return []
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False)
    return [line for line in saved.stdout.splitlines() if "KUBE-" in line]
