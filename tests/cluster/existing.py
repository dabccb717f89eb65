"""A cluster that somebody else runs, named by KUBECONFIG. Nothing of it is made or removed."""

import os
from pathlib import Path

from tests.cluster import programs
from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.paths import BIN
from tests.cluster.steps import say


def describe() -> Cluster:
    if not (kubeconfig := os.environ.get("KUBECONFIG")):
        raise ClusterError("CLUSTER=existing needs KUBECONFIG: the file that says where it is")
    path = Path(kubeconfig).absolute()
    return Cluster(
        kind="existing", kubeconfig=path, bin=BIN, audit_log=None, host_address=os.environ.get("LONGTASK_HOST_ADDRESS")
    )


def answers() -> bool:
    try:
        return describe().kubectl("get", "--raw", "/readyz", "--request-timeout=10s") == "ok"
    except ClusterError:
        return False


def up() -> None:
    cluster = describe()
    programs.build(programs.CLIENTS)
    cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=10s")
    say(f"the cluster of {cluster.kubeconfig} answers")


def down() -> None:
    say("CLUSTER=existing: it is not ours to remove")


def load_image(archive: Path) -> None:
    raise ClusterError(
        f"cannot load {archive.name} into an existing cluster: push the image to a registry that "
        "the cluster pulls from, and set IMAGE to its name there"
    )
