"""Figures of many measurements."""

import statistics
from collections.abc import Iterable, Mapping

from bench.processes import cpu_by_name

SERVERS = ("kube-apiserver", "etcd", "kube-controller", "kube-scheduler", "kwok")
"""As /proc has their names, which it cuts at 15 characters."""


def percentiles(values: Iterable[float], digits: int = 1) -> dict[str, float]:
    """p50, p99, the largest and the number of values; empty where that says nothing."""
    ordered = sorted(values)
    if len(ordered) < 2:
        return {}
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    figures = {"p50": cuts[49], "p99": cuts[98], "max": ordered[-1]}
    return {**{name: round(value, digits) for name, value in figures.items()}, "n": len(ordered)}


def servers_cpu_ms(before: Mapping[str, float], count: int) -> dict[str, float]:
    """Milliseconds of CPU for each of `count` by each of SERVERS since `before`, an answer of cpu_by_name."""
    now = cpu_by_name(SERVERS)
    return {name: round((now[name] - before[name]) / count * 1000, 2) for name in SERVERS}
