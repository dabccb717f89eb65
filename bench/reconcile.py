"""The cost of reconciling: LongTasks beside raw Jobs, writes of the API, CPU, memory, latencies, and a cold start."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import reconcile_floor
from bench.audit import AuditLog, Request
from bench.cluster_api import ClusterApi, Document, connect
from bench.figures import SERVERS, percentiles, servers_cpu_ms
from bench.processes import cpu_by_name, cpu_seconds, rss_megabytes
from bench.workload import (
    BENCH_AGENT,
    ENDLESS,
    POD,
    QUICK,
    is_complete,
    make_templates,
    namespace_of,
    run_tasks,
    say,
    throughput,
)
from longtask_api import constants
from longtask_operator.reconciler import CLOCKS
from tests.operator.process import OperatorProcess

TERM_SECONDS = 2 * CLOCKS.total_seconds()
"""After so long no new task may be older than the leader's term; such a task is read before its Job is created."""
PACED, PACE = 60, 0.25
"""Tasks, and seconds between them, of the run without a queue."""


async def measure(count: int, running: int) -> dict[str, Any]:
    """Run `count` raw Jobs, then `count` LongTasks, then restart over them and `running` that still run, then as many
    LongTasks as a controller that decides nothing would run them.
    """
    async with connect(BENCH_AGENT) as api, namespace_of(api) as namespace:
        return await _measure(api, namespace, count, running)


async def measure_short(count: int) -> dict[str, Any]:
    """Of `measure` the burst and the floor alone: the figures of bench.check."""
    async with connect(BENCH_AGENT) as api, namespace_of(api) as namespace:
        async with _operator(api, namespace) as operator:
            burst = await _burst(api, namespace, operator, count)
        floor = await reconcile_floor.measure(api, namespace, count)
    return {"tasks": count, **_to_floor(burst, floor), **floor, **burst}


@asynccontextmanager
async def _operator(api: ClusterApi, namespace: str) -> AsyncIterator[OperatorProcess]:
    """An operator that knows the templates; killed at the end."""
    log = Path(tempfile.mkdtemp()) / "operator.log"
    operator = await asyncio.to_thread(OperatorProcess(namespace, log).start)
    try:
        await make_templates(api, namespace)
        await asyncio.sleep(TERM_SECONDS)
        yield operator
    finally:
        await asyncio.to_thread(operator.kill)


def _to_floor(burst: dict[str, Any], floor: dict[str, Any]) -> dict[str, float]:
    """Ratios to the floor: of the throughput, and of the operator's CPU to that of all servers there."""
    servers = sum(floor["server_cpu_ms_per_floor_task"].values())
    return {
        "ratio_to_floor": round(burst["tasks_per_s"] / floor["floor_per_s"], 2),
        "operator_cpu_to_floor": round(burst["operator_cpu_ms_per_task"] / servers, 3),
    }


async def _measure(api: ClusterApi, namespace: str, count: int, running: int) -> dict[str, Any]:
    raw = await _raw(api, namespace, count)
    async with _operator(api, namespace) as operator:
        burst = await _burst(api, namespace, operator, count)
        paced = await _paced(api, namespace)
        await run_tasks(api, namespace, ENDLESS, [f"endless-{number}" for number in range(running)], "Running")
        cold = await _cold_start(namespace, operator)
    floor = await reconcile_floor.measure(api, namespace, count)
    ratios = {"ratio": round(burst["tasks_per_s"] / raw["raw_per_s"], 2), **_to_floor(burst, floor)}
    started = {"cold_start_tasks": count + running, **cold}
    return {"tasks": count, **raw, **floor, **burst, **ratios, "paced": paced, **started}


async def _raw(api: ClusterApi, namespace: str, count: int) -> dict[str, Any]:
    """The floor: the same Jobs, made by hand."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    def job(number: int) -> Document:
        spec = {"backoffLimit": 0, "template": {"spec": POD}}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"raw-{number}"}, "spec": spec}

    before = cpu_by_name(SERVERS)
    per_s = await throughput(api, path, [job(number) for number in range(count)], is_complete)
    say(f"raw Jobs: {per_s:.1f}/s")
    return {"raw_per_s": round(per_s, 1), "server_cpu_ms_per_raw_job": servers_cpu_ms(before, count)}


async def _burst(api: ClusterApi, namespace: str, operator: OperatorProcess, count: int) -> dict[str, Any]:
    """All tasks at once: what the machine can bear. Latencies are those of a queue of `count`."""
    assert operator.process is not None
    audit = AuditLog(namespace)
    cpu_before, before = cpu_seconds(operator.process.pid), cpu_by_name(SERVERS)
    per_s = await run_tasks(api, namespace, QUICK, [f"quick-{number}" for number in range(count)], "Succeeded")
    cpu = cpu_seconds(operator.process.pid) - cpu_before
    spent, rss = servers_cpu_ms(before, count), rss_megabytes(operator.process.pid)
    say(f"LongTasks: {per_s:.1f}/s, {cpu / count * 1000:.1f} ms of operator CPU each, {rss:.0f} MB")
    requests = list(audit.requests())
    own = [request for request in requests if request.of_operator]
    writes = [request for request in own if request.writes]
    reads = [request for request in own if request.verb in ("get", "list")]
    return {
        "tasks_per_s": round(per_s, 1),
        "writes_per_task": round(len(writes) / count, 2),
        "writes_by_kind": _by_kind(writes, count),
        "reads_per_task": round(len(reads) / count, 2),
        "reads_by_kind": _by_kind(reads, count),
        "operator_cpu_ms_per_task": round(cpu / count * 1000, 1),
        "operator_rss_mb": round(rss),
        "server_cpu_ms_per_task": spent,
        "create_to_job_ms": percentiles(_create_to_job(requests)),
        "job_end_to_status_ms": percentiles(_job_end_to_status(requests)),
    }


async def _paced(api: ClusterApi, namespace: str) -> dict[str, Any]:
    """A task every PACE seconds: what one waits for when there is no queue."""
    audit = AuditLog(namespace)
    await run_tasks(api, namespace, QUICK, [f"paced-{number}" for number in range(PACED)], "Succeeded", PACE)
    requests = list(audit.requests())
    return {
        "per_s": round(1 / PACE, 1),
        "create_to_job_ms": percentiles(_create_to_job(requests)),
        "job_end_to_status_ms": percentiles(_job_end_to_status(requests)),
    }


async def _cold_start(namespace: str, operator: OperatorProcess) -> dict[str, Any]:
    """A restart over everything that is there."""
    await asyncio.to_thread(operator.stop)
    audit = AuditLog(namespace)
    started = time.monotonic()
    await asyncio.to_thread(operator.start)
    ready = time.monotonic() - started
    writes = sum(request.writes for request in await audit.settled())
    return {"cold_start_ready_ms": round(ready * 1000), "cold_start_writes": writes}


def _create_to_job(requests: Sequence[Request]) -> Iterator[float]:
    """Milliseconds from the answer to the create of a LongTask to the answer to the create of its Job."""
    created = {
        r.name: r.answered for r in requests if r.verb == "create" and r.resource == constants.TASK_PLURAL and r.ok
    }
    for request in requests:
        if request.verb == "create" and request.resource == "jobs" and request.ok:
            task = request.name.rpartition("-")[0]
            if task in created:
                yield _milliseconds(created[task], request.answered)


def _job_end_to_status(requests: Sequence[Request]) -> Iterator[float]:
    """Milliseconds from the last status write of the Job to the last status write of its LongTask."""
    ended = {r.name: r.answered for r in requests if r.resource == "jobs/status" and r.ok}
    told = {r.name: r.answered for r in requests if r.resource == f"{constants.TASK_PLURAL}/status" and r.ok}
    for job, moment in ended.items():
        task = job.rpartition("-")[0]
        if task in told:
            yield _milliseconds(moment, told[task])


def _milliseconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() * 1000


def _by_kind(writes: Sequence[Request], count: int) -> dict[str, float]:
    kinds = sorted(f"{write.verb} {write.resource}" for write in writes)
    return {kind: round(len(list(group)) / count, 2) for kind, group in itertools.groupby(kinds)}
