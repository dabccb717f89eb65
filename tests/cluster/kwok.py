"""Ten fake nodes by kwok (https://kwok.sigs.k8s.io), for load that no real node here could bear.

Pods for them tolerate the taint and select `type: kwok`. What becomes of a pod there, the stages
in manifests/kwok-pods.yaml say.
"""

import os
import signal
from pathlib import Path

from tests.cluster import programs
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.paths import BIN, LOGS, MANIFESTS
from tests.cluster.steps import say, spawn, wait_until

_NODES = 10
_PROGRAM = BIN / "kwok"


def start(cluster: Cluster) -> None:
    """Build kwok if need be, add the nodes and wait until they are Ready."""
    programs.build_kwok()
    nodes = (MANIFESTS / "kwok-node.yaml").read_text()
    documents = [nodes.replace("${NUMBER}", str(number)) for number in range(_NODES)]
    cluster.kubectl("apply", "-f", "-", stdin="---\n".join(documents))
    if not _processes():
        _run(cluster)
    cluster.kubectl("wait", "--for=condition=Ready", "node", "-l", "type=kwok", "--timeout=60s")
    say(f"{_NODES} fake nodes are ready")


def stop(cluster: Cluster) -> None:
    """Remove the nodes and end kwok, if it runs."""
    if not _processes():
        return
    try:
        cluster.kubectl("delete", "node", "-l", "type=kwok", "--request-timeout=10s")
    except ClusterError as error:
        say(f"could not delete the fake nodes: {error}")
    for pid in _processes():
        os.kill(pid, signal.SIGKILL)
    wait_until("kwok to end", lambda: not _processes(), timeout=10)


def _run(cluster: Cluster) -> None:
    configs = [
        MANIFESTS / "kwok-options.yaml",
        MANIFESTS / "kwok-pods.yaml",
        *sorted(programs.KWOK_STAGES.glob("*.yaml")),
    ]
    LOGS.mkdir(parents=True, exist_ok=True)
    command = [
        str(_PROGRAM),
        f"--kubeconfig={cluster.kubeconfig}",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--node-lease-duration-seconds=40",
        "--cidr=10.250.0.1/16",
        "--node-ip=127.0.0.1",
        *(f"--config={config}" for config in configs),
    ]
    spawn(command, log=LOGS / "kwok.log")


def _processes() -> list[int]:
    found = []
    for link in Path("/proc").glob("[0-9]*/exe"):
        try:
            program = str(link.readlink())
        except OSError:
            continue  # a kernel thread, or ended
        if program.removesuffix(" (deleted)") == str(_PROGRAM):
            found.append(int(link.parent.name))
    return found
