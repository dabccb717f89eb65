"""What the section `reports` says, for people."""

from collections.abc import Mapping
from typing import Any


def reports_table(figures: Mapping[str, Any]) -> str:
    """The figures that say most, as a table in Markdown."""
    writes, floor, naive = figures["writes"], figures["floor"], figures["naive"]
    rows = {
        "tasks, each reporting once a second": f"{figures['tasks']}, for {figures['seconds']} s",
        "answers": f"{_shares(figures['answers'])}; {figures['left_out']} reports left out by pods that still waited",
        "a report, as the pod sees it": spread(figures["call_ms"], "ms"),
        "the first report of a pod, whose token is reviewed": spread(figures["first_call_ms"], "ms"),
        "the last report, stored before the answer; all in one second": spread(figures["last_call_ms"], "ms"),
        "last reports in status at the end": f"{figures['last_stored']} of {figures['tasks']}",
        "age of a report when it or a newer one is in status": spread(figures["stale_s"], "s"),
        "status writes a task": f"{writes['per_task']}: the last report, and at most {writes['held_per_task_max']}"
        f" others (the interval allows {writes['held_per_task_allowed']})",
        "status writes a second, before the last reports": f"{writes['held_per_s']},"
        f" in the busiest {writes['window_s']:g} s {writes['held_per_s_busiest']} (limit {writes['limit_per_s']:g})",
        "reports for one status write": f"{figures['reports_per_write']}",
        "the operator": f"{figures['server_cpu_s']} s of CPU, {figures['server_cpu_ms_per_call']} ms a report;"
        f" {figures['operator_rss_peak_mb']} MB at its peak",
        "the API server": f"{figures['cluster_cpu_ms_per_call']['kube-apiserver']} ms of CPU a report",
        "the pods (one process plays them all)": f"{figures['client_cpu_ms_per_call']} ms of CPU a report",
        "floor: the same pods and a server that only answers 202": f"{spread(floor['call_ms'], 'ms')};"
        f" {floor['server_cpu_ms_per_call']} ms of CPU of the server, {floor['client_cpu_ms_per_call']} ms of the pods",
        "floor: a status write for every report": f"{naive['writes_per_s']} a second is all that the machine bears,"
        f" without an operator; {naive['cluster_cpu_ms_per_write']['kube-apiserver']} ms of CPU of the API server each,"
        f" {naive['ratio']} times as much a report",
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def spread(figures: Mapping[str, float], unit: str) -> str:
    """What bench.figures.percentiles gave, in words."""
    if not figures:
        return "too few to say"
    return f"p50 {figures['p50']} {unit}, p99 {figures['p99']} {unit}, at most {figures['max']} {unit}"


def _shares(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{count / total:.2%} {status}" for status, count in sorted(counts.items()))
