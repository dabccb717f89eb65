"""What a test gets to know of a cluster, and what every kind of cluster can do."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tests.cluster.steps import run

Kind = Literal["existing", "kind", "local"]


@dataclass(frozen=True)
class Cluster:
    """A cluster that answers."""

    kind: Kind
    kubeconfig: Path
    bin: Path  # holds kubectl and helm
    audit_log: Path | None  # JSON lines of the API server, where we start it
    host_address: str | None  # where pods reach this machine, if they can

    def exports(self) -> str:
        """Lines for a shell's `eval`."""
        return "\n".join(
            (
                f"export KUBECONFIG='{self.kubeconfig}'",
                f"export PATH='{self.bin}':\"$PATH\"",
                f"export LONGTASK_CLUSTER_KIND='{self.kind}'",
                f"export LONGTASK_AUDIT_LOG='{self.audit_log or ''}'",
                f"export LONGTASK_HOST_ADDRESS='{self.host_address or ''}'",
            )
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl against this cluster and return its stdout; ClusterError if it fails."""
        environment = {"KUBECONFIG": os.fspath(self.kubeconfig)}
        return run([self.bin / "kubectl", *arguments], env=environment, stdin=stdin)


class Provider(Protocol):
    """One of the three ways to have a cluster; each is a module with these functions."""

    def describe(self) -> Cluster:
        """Where the cluster is or would be."""

    def up(self) -> None:
        """Make the cluster answer; quick if it does already."""

    def down(self) -> None:
        """Remove what `up` made."""

    def answers(self) -> bool:
        """Whether the cluster works now."""

    def load_image(self, archive: Path) -> None:
        """Put the image in a docker-archive or oci-archive file where pods can use it."""
