"""Kubeconfigs that tests write."""

import json
from collections.abc import Mapping
from pathlib import Path


def write(path: Path, cluster: Mapping[str, str], user: Mapping[str, str] | None = None) -> Path:
    """One of a single cluster and user; the path. `cluster` and `user` are as in a kubeconfig."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": dict(cluster)}],
        "users": [{"name": "tests", "user": dict(user or {})}],
        "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        "current-context": "tests",
    }
    path.write_text(json.dumps(document))
    return path
