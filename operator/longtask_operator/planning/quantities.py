"""Kubernetes quantities (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/)."""

import re

_CORES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def cpu_cores(quantity: str) -> float | None:
    """The cores that a CPU quantity such as `250m` stands for; None where it is not one."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([num]?)", quantity)
    return float(found[1]) * _CORES[found[2]] if found else None
