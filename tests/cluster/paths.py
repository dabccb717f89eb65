"""Where everything that the cluster needs lives: outside the repository, in one cache directory."""

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
REPOSITORY = SOURCE.parents[1]
PROGRAMS = SOURCE / "programs"
CONFIG = SOURCE / "config"
MANIFESTS = SOURCE / "manifests"


def _cache() -> Path:
    if chosen := os.environ.get("LONGTASK_CACHE"):
        return Path(chosen).absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home).absolute() / "longtask"


CACHE = _cache() / "cluster"
BIN = CACHE / "bin"
IMAGES = CACHE / "images"
BUILDAH = CACHE / "buildah"
LOGS = CACHE / "logs"  # outlives `down`, so that a failure can be read; emptied by `up`
RUN = CACHE / "run"  # everything of the running cluster; gone after `down`
KUBECONFIG = CACHE / "kubeconfig"
LOCK = CACHE / "lock"
AUDIT_LOG = LOGS / "audit.log"

# Folders that the daemons write to under fixed names, and where those are mounted for them alone.
MOUNTED = {
    RUN / "system": Path("/run"),
    RUN / "log": Path("/var/log"),
    RUN / "kubelet": Path("/var/lib/kubelet"),
    RUN / "cni": Path("/var/lib/cni"),
}
MOUNT_POINTS_TO_MAKE = (Path("/var/lib/kubelet"), Path("/var/lib/cni"))

CONTEXT = "longtask"  # the name of the context in KUBECONFIG
