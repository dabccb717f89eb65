"""A Kubernetes cluster for tests, demos and benchmarks. See README.md.

>>> from tests.cluster import ensure, load_image
>>> cluster = ensure()
"""

from pathlib import Path

from tests.cluster.cluster import Cluster
from tests.cluster.errors import ClusterError
from tests.cluster.lock import exclusively
from tests.cluster.provider import choose

__all__ = ["Cluster", "ClusterError", "ensure", "load_image"]


def ensure() -> Cluster:
    """The cluster of this machine, brought up if it is not; seconds if its programs are built."""
    provider = choose()
    with exclusively():
        provider.up()
    return provider.describe()


def load_image(archive: Path) -> None:
    """Make the image in a docker-archive or oci-archive file usable by pods of the cluster."""
    with exclusively():
        choose().load_image(archive)
