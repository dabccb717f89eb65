"""Debian packages that the local cluster needs, installed when a program of theirs is missing."""

import os
import shutil
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.steps import run, say, succeeds

# Debian keeps programs for root in directories that the PATH of a user may lack.
os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"

_PROGRAM_TO_PACKAGE = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "ethtool": "ethtool",
    "ip": "iproute2",
    "iptables": "iptables",
    "mount": "mount",
    "modprobe": "kmod",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "runc": "runc",
    "socat": "socat",
}
_CNI_PLUGINS = Path("/usr/lib/cni/bridge")
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def install() -> None:
    """Install what is missing with apt-get; nothing of it is left running as a service."""
    missing = [package for program, package in _PROGRAM_TO_PACKAGE.items() if shutil.which(program) is None]
    if not _CNI_PLUGINS.exists():
        missing.append("containernetworking-plugins")
    if not _CERTIFICATES.exists():
        missing.append("ca-certificates")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(f"apt-get is missing; install by hand: {' '.join(missing)}")
    say(f"installing Debian packages: {' '.join(missing)}")
    refresh_lists()
    _apt_get("install", "--no-install-recommends", *missing)
    if "containerd" in missing and Path("/run/systemd/system").exists():
        # The package starts a service; the cluster starts its own containerd.
        succeeds(["systemctl", "disable", "--now", "containerd.service"])
    say("Debian packages installed")


def refresh_lists() -> None:
    """Fetch apt's package lists if the machine has none."""
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        _apt_get("update")


def _apt_get(*arguments: str) -> None:
    command = ["apt-get", "-y", "-qq", "-o", "DPkg::Lock::Timeout=300", *arguments]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        run(command, env=quiet)
    except ClusterError:
        if "update" in arguments:
            raise
        # Lists that are too old name packages that the mirror no longer has.
        _apt_get("update")
        run(command, env=quiet)
