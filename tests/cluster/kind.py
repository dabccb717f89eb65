"""A cluster by kind (https://kind.sigs.k8s.io), where a Docker engine answers."""

import json
from pathlib import Path

from tests.cluster import programs
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.paths import BIN, CONTEXT, KUBECONFIG
from tests.cluster.steps import run, run_with_progress, say

_VERSION = "v0.30.0"
_NODE_IMAGE = "kindest/node:v1.34.0"
_KIND = BIN / "kind"
_NAME = ("--name", CONTEXT)


def describe() -> Cluster:
    return Cluster(kind="kind", kubeconfig=KUBECONFIG, bin=BIN, audit_log=None, host_address=_gateway())


def _gateway() -> str | None:
    """The address that this machine has in the network of the nodes, once there is one."""
    try:
        configs = json.loads(run(["docker", "network", "inspect", "kind", "--format", "{{json .IPAM.Config}}"]))
    except ClusterError:
        return None
    return next((each["Gateway"] for each in configs if "." in each.get("Gateway", "")), None)


def answers() -> bool:
    try:
        return describe().kubectl("get", "--raw", "/readyz", "--request-timeout=5s") == "ok"
    except ClusterError:
        return False


def up() -> None:
    programs.build(programs.CLIENTS)
    if answers():
        say("the cluster is up already")
        return
    if not _KIND.exists():
        say(f"building kind {_VERSION}")
        run(["go", "install", f"sigs.k8s.io/kind@{_VERSION}"], env={"GOBIN": str(BIN)})
    down()
    create = (_KIND, "create", "cluster", *_NAME, "--image", _NODE_IMAGE, "--wait", "120s")
    run_with_progress(
        (*create, "--kubeconfig", KUBECONFIG),
        lambda _: "kind creates the cluster",
    )
    describe().kubectl("config", "rename-context", f"kind-{CONTEXT}", CONTEXT)
    say("the cluster is up")


def down() -> None:
    if _KIND.exists():
        run([_KIND, "delete", "cluster", *_NAME])
    KUBECONFIG.unlink(missing_ok=True)


def load_image(archive: Path) -> None:
    run([_KIND, "load", "image-archive", archive, *_NAME])
    say(f"loaded {archive.name}")
