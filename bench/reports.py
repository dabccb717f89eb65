"""The cost of reporting: pods that report every second, beside a server that does nothing and writes nobody holds."""

import asyncio
import bisect
import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from kubernetes.config import new_client_from_config

from bench import reporters
from bench.audit import AuditLog, Request
from bench.cluster_api import ClusterApi, connect
from bench.figures import SERVERS, percentiles, servers_cpu_ms
from bench.floors import bare_server, naive_writes
from bench.processes import cpu_by_name, cpu_seconds, rss_peak_megabytes
from bench.reporters import Call
from bench.table import spread
from bench.workload import BENCH_AGENT, ENDLESS, make_templates, namespace_of, run_tasks, say, tasks_path
from longtask_api import constants
from longtask_operator.settings import Settings
from longtask_operator.task_namespace import REPORT_MANAGER
from tests.kube import Kube
from tests.operator.process import OperatorProcess
from tests.operator.reporting import pod_token

INTERVAL: float = Settings.model_fields["report_interval_seconds"].default
WRITES_PER_SECOND: float = Settings.model_fields["report_writes_per_second"].default
FLOOR_SECONDS = 20
SPARE_TOKEN_SECONDS = 900
"""Between the making of a token and the first report with it."""
SEEN_SECONDS = 15.0
"""How long the watch may lag at the end."""

Sightings = dict[str, list[tuple[int, float]]]
"""By task: sequences of its stored progress, and when (time.monotonic) each was first seen."""


async def measure(pods: int, seconds: int) -> dict[str, Any]:
    """So many running tasks whose pods report once a second for so many seconds; the last report is final."""
    async with connect(BENCH_AGENT) as api, namespace_of(api) as namespace:
        log = Path(tempfile.mkdtemp()) / "operator.log"
        operator = await asyncio.to_thread(OperatorProcess(namespace, log).start)
        try:
            tokens = await _running(api, namespace, pods, seconds)
            async with bare_server() as (port, pid):
                _, floor = await _load(tokens, port, min(seconds, FLOOR_SECONDS), pid)
            say(f"floor: {spread(floor['call_ms'], 'ms')}")
            reports = await _reports(api, namespace, operator, tokens, seconds)
        finally:
            await asyncio.to_thread(operator.kill)
        naive = await naive_writes(api, namespace)
    server = "kube-apiserver"
    ratio = naive["cluster_cpu_ms_per_write"][server] / reports["cluster_cpu_ms_per_call"][server]
    naive["ratio"] = round(ratio, 1)
    return {"tasks": pods, "seconds": seconds, **reports, "floor": floor, "naive": naive}


async def _running(api: ClusterApi, namespace: str, pods: int, seconds: int) -> dict[str, str]:
    """Tasks whose pods run and are known to the operator as attempts: the token of its pod, by the task's name."""
    audit = AuditLog(namespace)
    await make_templates(api, namespace)
    await run_tasks(api, namespace, ENDLESS, [f"reporting-{number}" for number in range(pods)], "Running")
    await audit.settled()
    say(f"{pods} LongTasks run")
    found = (await api.request("GET", f"/api/v1/namespaces/{namespace}/pods"))["items"]
    kube = Kube(new_client_from_config(), namespace)

    def tokens() -> dict[str, str]:
        spare = seconds + SPARE_TOKEN_SECONDS
        return {pod["metadata"]["labels"][constants.LABEL_TASK]: pod_token(kube, pod, seconds=spare) for pod in found}

    return await asyncio.to_thread(tokens)


async def _reports(
    api: ClusterApi, namespace: str, operator: OperatorProcess, tokens: Mapping[str, str], seconds: int
) -> dict[str, Any]:
    """The calls of the task API, and what became of them."""
    assert operator.process is not None
    path, pid = tasks_path(namespace), operator.process.pid
    seen: Sightings = {task: [] for task in tokens}
    watch = asyncio.create_task(_watch(api, path, await api.version(path), seen, seconds))
    audit, before = AuditLog(namespace), cpu_by_name(SERVERS)
    zero = datetime.now(UTC) - timedelta(seconds=time.monotonic())
    calls, figures = await _load(tokens, operator.task_api_port, seconds, pid)
    cluster = servers_cpu_ms(before, len(calls))
    peak = rss_peak_megabytes(pid)
    say(f"reports: {spread(figures['call_ms'], 'ms')}")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(watch, SEEN_SECONDS)
    tasks = (await api.request("GET", path))["items"]
    last_due = min(call.due for call in calls if call.sequence == seconds)
    writes = _writes(await audit.settled(), zero + timedelta(seconds=last_due), seconds)
    taken = [call for call in calls if call.taken]
    stale = list(_staleness(taken, seen))
    return {
        **figures,
        "operator_rss_peak_mb": round(peak),
        "cluster_cpu_ms_per_call": cluster,
        "stale_s": percentiles(stale),
        "never_seen": len(taken) - len(stale),
        "last_stored": sum(task["status"].get("progress", {}).get("sequence") == seconds for task in tasks),
        "writes": writes,
        "reports_per_write": round(len(taken) / max(1, writes["total"]), 1),
    }


async def _load(tokens: Mapping[str, str], port: int, seconds: int, server: int) -> tuple[list[Call], dict[str, Any]]:
    """The calls, and what clients and server (a process id) spent on them; the watch, if any, is among the clients."""
    client, before = time.process_time(), cpu_seconds(server)
    calls = await reporters.report(tokens, port, seconds)
    client, spent = time.process_time() - client, cpu_seconds(server) - before
    first, last = ([call for call in calls if call.sequence == number] for number in (1, seconds))
    others = [call for call in calls if 1 < call.sequence < seconds]
    return calls, {
        "calls": len(calls),
        "left_out": len(tokens) * seconds - len({(call.task, call.sequence) for call in calls}),
        "answers": dict(Counter("none" if call.status == reporters.BROKEN else str(call.status) for call in calls)),
        "call_ms": _milliseconds(others),
        "first_call_ms": _milliseconds(first),
        "last_call_ms": _milliseconds(last),
        "server_cpu_s": round(spent, 1),
        "server_cpu_ms_per_call": round(spent / len(calls) * 1000, 2),
        "client_cpu_ms_per_call": round(client / len(calls) * 1000, 2),
    }


async def _watch(api: ClusterApi, path: str, version: str, seen: Sightings, last: int) -> None:
    """Note what is stored, until that is the last report of every task."""
    missing = set(seen)
    async with contextlib.aclosing(api.watch(path, version)) as tasks:
        async for task in tasks:
            name, progress = task["metadata"]["name"], task.get("status", {}).get("progress", {})
            sequence = progress.get("sequence", 0)
            if sequence > (seen[name][-1][0] if seen[name] else 0):
                seen[name].append((sequence, time.monotonic()))
            if sequence == last:
                missing.discard(name)
            if not missing:
                return


def _staleness(calls: Iterable[Call], seen: Sightings) -> Iterator[float]:
    """Seconds from a report to the moment at which it, or a newer one, was seen in status."""
    for call in calls:
        sightings = seen[call.task]
        index = bisect.bisect_left(sightings, call.sequence, key=lambda sighting: sighting[0])
        if index < len(sightings):
            yield sightings[index][1] - call.due


def _writes(requests: Sequence[Request], last_reports: datetime, seconds: int) -> dict[str, Any]:
    """The operator's status writes. Those before the last reports (each of which is a write of its own) are held."""
    status = [
        request for request in requests if request.writes and request.resource == f"{constants.TASK_PLURAL}/status"
    ]
    told = [request for request in status if request.manager == REPORT_MANAGER]
    stored = [request for request in told if request.ok]
    per_task = Counter(request.name for request in stored)
    held = [request.answered for request in stored if request.answered < last_reports]
    return {
        "total": len(stored),
        "per_task": round(len(stored) / max(1, len(per_task)), 2),
        "held_per_task_max": max(per_task.values(), default=1) - 1,
        "held_per_task_allowed": 1 + int(seconds / INTERVAL),
        "held_per_s": round(len(held) / max(1, seconds - 1), 1),
        "held_per_s_busiest": round(_most(held, INTERVAL) / INTERVAL, 1),
        "window_s": INTERVAL,
        "limit_per_s": WRITES_PER_SECOND,
        "refused": len(told) - len(stored),
        "by_the_leader": len(status) - len(told),
    }


def _most(moments: Sequence[datetime], seconds: float) -> int:
    """How many of the moments are within so many seconds, where they are most."""
    ordered = sorted(moments)
    window = timedelta(seconds=seconds)
    return max((bisect.bisect_left(ordered, at + window) - index for index, at in enumerate(ordered)), default=0)


def _milliseconds(calls: Iterable[Call]) -> dict[str, float]:
    return percentiles(call.milliseconds for call in calls if call.status != reporters.BROKEN)
