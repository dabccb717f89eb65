"""The local cluster: a real one-node Kubernetes in namespaces of its own, without Docker."""

import os
import shutil
import sys
from pathlib import Path
from string import Template

from tests.cluster import (
    addresses,
    api_server,
    base_image,
    buildah,
    cgroups,
    containerd,
    network,
    packages,
    pki,
    programs,
    system_images,
    traces,
)
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.paths import (
    AUDIT_LOG,
    BIN,
    CACHE,
    CONFIG,
    KUBECONFIG,
    LOGS,
    MANIFESTS,
    MOUNT_POINTS_TO_MAKE,
    MOUNTED,
    REPOSITORY,
    RUN,
)
from tests.cluster.steps import say, spawn, wait_until

_COMPLETE = RUN / "complete"  # written by the last step of `up`


def describe() -> Cluster:
    return Cluster(kind="local", kubeconfig=KUBECONFIG, bin=BIN, audit_log=AUDIT_LOG, host_address=addresses.HOST_IP)


def answers() -> bool:
    return _COMPLETE.exists() and traces.first_process() is not None and api_server.ready()


def up() -> None:
    if os.geteuid() != 0:
        raise ClusterError("the local cluster needs root: it makes namespaces, mounts and cgroups")
    if answers():
        say("the cluster is up already")
        return
    _refuse_foreign()
    if any(traces.found().values()):
        say("an earlier run left a part of a cluster")
        down()
    packages.install()
    programs.build(programs.CLUSTER)
    system_images.ensure()
    base_image.ensure()
    _prepare()
    try:
        _start()
    except ClusterError as error:
        raise ClusterError(f"{error}\nThe logs are in {LOGS}; `down` cleans up.") from error
    _COMPLETE.touch()
    say("the cluster is up")


def down() -> None:
    _refuse_foreign()
    traces.kill_processes()
    buildah.end()
    network.disconnect()
    cgroups.remove()
    traces.restore_sysctls()
    shutil.rmtree(RUN, ignore_errors=True)
    KUBECONFIG.unlink(missing_ok=True)
    for place in MOUNT_POINTS_TO_MAKE:
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()
    left = traces.found()
    say("left behind: " + ", ".join(f"{len(things)} {kind}" for kind, things in left.items()))
    if any(left.values()):
        raise ClusterError(f"could not remove everything: { {k: v for k, v in left.items() if v} }")


def load_image(archive: Path) -> None:
    if not answers():
        raise ClusterError(f"cannot load {archive.name}: the cluster is down, bring it `up` first")
    containerd.load(archive)


def _refuse_foreign() -> None:
    if other := traces.foreign():
        raise ClusterError(
            f"another local cluster is up, from {other}, and a machine has room for one: "
            f"take it down with LONGTASK_CACHE={other.parents[1]}"
        )


def _prepare() -> None:
    """Write all that the daemons read, and make what they expect to find."""
    shutil.rmtree(LOGS, ignore_errors=True)
    for folder in (LOGS, *MOUNTED, RUN / "config" / "cni"):
        folder.mkdir(parents=True)
    for place in MOUNT_POINTS_TO_MAKE:
        place.mkdir(exist_ok=True)
    traces.save_sysctls()
    network.load_kernel_modules()
    cgroups.create()
    values = {**addresses.SUBSTITUTIONS, "RUN": str(RUN), "SNAPSHOTTER": containerd.snapshotter()}
    for source in CONFIG.rglob("*"):
        if source.is_file() and source.suffix != ".cnf":
            text = Template(source.read_text()).substitute(values)
            (RUN / "config" / source.relative_to(CONFIG)).write_text(text)
    pki.write(RUN / "pki")
    say("keys, certificates and configuration are written")


def _start() -> None:
    namespaces = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
    init = (sys.executable, "-m", "tests.cluster.init", RUN)
    spawn((*namespaces, *init), log=LOGS / "init.log", cwd=REPOSITORY, env=_environment())
    wait_until("process 1 of the cluster", lambda: traces.first_process() is not None, timeout=10)
    network.connect(traces.first_process() or 0)
    say("namespaces and network are there")
    containerd.wait()
    containerd.load_all()
    wait_until("the API server (kube-apiserver.log)", api_server.ready, timeout=120)
    say("the API server is ready")
    kubectl = describe().kubectl
    manifest = Template((MANIFESTS / "coredns.yaml").read_text())
    kubectl("apply", "-f", "-", stdin=manifest.substitute(addresses.SUBSTITUTIONS))
    node = f"node/{addresses.NODE_NAME}"
    kubectl("wait", "--for=create", node, "--timeout=60s")
    kubectl("wait", "--for=condition=Ready", node, "--timeout=60s")
    say("the node is ready")
    kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=60s")
    kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")


def _environment() -> dict[str, str]:
    """A small environment: daemons must not heed this machine's proxies."""
    return {
        "GOGC": "300",  # two cores are scarcer here than memory
        "HOME": str(Path.home()),
        "LANG": "C.UTF-8",
        "LONGTASK_CACHE": str(CACHE.parent),
        "PATH": os.environ["PATH"],
    }
