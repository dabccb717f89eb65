"""Which of the three kinds of cluster this machine gets. The only place that decides it."""

import os

from tests.cluster import existing, kind, local
from tests.cluster.cluster import Provider
from tests.cluster.errors import ClusterError
from tests.cluster.steps import succeeds

_PROVIDERS: dict[str, Provider] = {"existing": existing, "kind": kind, "local": local}


def choose() -> Provider:
    """What the variable CLUSTER says; without it kind if Docker answers, else local."""
    if wanted := os.environ.get("CLUSTER"):
        if wanted not in _PROVIDERS:
            raise ClusterError(f"CLUSTER={wanted}: choose one of {', '.join(_PROVIDERS)}")
        return _PROVIDERS[wanted]
    return kind if docker_answers() else local


def docker_answers() -> bool:
    """Whether a Docker engine can be used from here."""
    return succeeds(["docker", "info"], timeout=10)
