"""Parses Kubernetes quantities (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""

import re

_CORES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def cpu_cores(quantity: str) -> float | None:
    """Cores of a CPU quantity such as `250m`; None if it cannot be parsed."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([num]?)", quantity)
    return float(found[1]) * _CORES[found[2]] if found else None
