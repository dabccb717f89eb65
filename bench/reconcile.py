"""The cost of reconciling: LongTasks beside raw Jobs, writes of the API, CPU, memory, latencies, and a cold start."""

import asyncio
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.audit import WRITES, AuditLog, Request
from bench.cluster_api import ClusterApi, Document, connect
from bench.processes import cpu_by_name, cpu_seconds, rss_megabytes
from longtask_api import crd, names
from tests.operator.process import OperatorProcess

OPERATOR_AGENTS = ("longtask-operator", "kopf")
SERVERS = ("kube-apiserver", "etcd", "kube-controller", "kube-scheduler", "kwok")
"""As /proc has their names, which it cuts at 15 characters."""
BENCH_AGENT = "longtask-bench"
POD: Document = {
    "restartPolicy": "Never",
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    "automountServiceAccountToken": False,
    "containers": [{"name": "main", "image": "localhost/none:1"}],
}
PACED, PACE = 60, 0.25
"""Tasks, and seconds between them, of the run without a queue."""
SETTLED = 3.0
"""Seconds without any request of the operator after which a cold start counts as over."""


async def measure(count: int, running: int) -> dict[str, Any]:
    """Run `count` raw Jobs, then `count` LongTasks, then restart over them and `running` that still run."""
    async with connect(BENCH_AGENT) as api:
        namespace = await _namespace(api)
        try:
            return await _measure(api, namespace, count, running)
        finally:
            await _remove(api, namespace)


async def _measure(api: ClusterApi, namespace: str, count: int, running: int) -> dict[str, Any]:
    raw = await _raw(api, namespace, count)
    log = Path(tempfile.mkdtemp()) / "operator.log"
    operator = await asyncio.to_thread(OperatorProcess(namespace, log).start)
    try:
        await _templates(api, namespace)
        burst = await _burst(api, namespace, operator, count)
        paced = await _paced(api, namespace)
        await _still_running(api, namespace, running)
        cold = await _cold_start(namespace, operator)
    finally:
        await asyncio.to_thread(operator.kill)
    ratio = {"ratio": round(burst["tasks_per_s"] / raw["raw_per_s"], 2)}
    return {"tasks": count, **raw, **burst, **ratio, "paced": paced, "cold_start_tasks": count + running, **cold}


async def _raw(api: ClusterApi, namespace: str, count: int) -> dict[str, Any]:
    """The floor: the same Jobs, made by hand."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    def job(number: int) -> Document:
        spec = {"backoffLimit": 0, "template": {"spec": POD}}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"raw-{number}"}, "spec": spec}

    def complete(document: Document) -> bool:
        conditions = document.get("status", {}).get("conditions", [])
        return any(c["type"] == "Complete" and c["status"] == "True" for c in conditions)

    before = cpu_by_name(SERVERS)
    per_s = await _throughput(api, path, [job(number) for number in range(count)], complete)
    _say(f"raw Jobs: {per_s:.1f}/s")
    return {"raw_per_s": round(per_s, 1), "server_cpu_ms_per_raw_job": _spent(before, count)}


async def _burst(api: ClusterApi, namespace: str, operator: OperatorProcess, count: int) -> dict[str, Any]:
    """All tasks at once: what the machine can bear. Latencies are those of a queue of `count`."""
    assert operator.process is not None
    audit = _audit_log(namespace)
    cpu_before, before = cpu_seconds(operator.process.pid), cpu_by_name(SERVERS)
    per_s = await _tasks(api, namespace, [f"quick-{number}" for number in range(count)])
    cpu = cpu_seconds(operator.process.pid) - cpu_before
    spent, rss = _spent(before, count), rss_megabytes(operator.process.pid)
    _say(f"LongTasks: {per_s:.1f}/s, {cpu / count * 1000:.1f} ms of operator CPU each, {rss:.0f} MB")
    requests = list(audit.requests())
    own = [request for request in requests if _is_operator(request)]
    writes = [request for request in own if request.verb in WRITES]
    return {
        "tasks_per_s": round(per_s, 1),
        "writes_per_task": round(len(writes) / count, 2),
        "writes_by_kind": _by_kind(writes, count),
        "reads_by_kind": _by_kind([request for request in own if request.verb in ("get", "list")], count),
        "operator_cpu_ms_per_task": round(cpu / count * 1000, 1),
        "operator_rss_mb": round(rss),
        "server_cpu_ms_per_task": spent,
        "create_to_job_ms": _percentiles(_create_to_job(requests)),
        "job_end_to_status_ms": _percentiles(_job_end_to_status(requests)),
    }


async def _paced(api: ClusterApi, namespace: str) -> dict[str, Any]:
    """A task every PACE seconds: what one waits for when there is no queue."""
    audit = _audit_log(namespace)
    await _tasks(api, namespace, [f"paced-{number}" for number in range(PACED)], pause=PACE)
    requests = list(audit.requests())
    return {
        "per_s": round(1 / PACE, 1),
        "create_to_job_ms": _percentiles(_create_to_job(requests)),
        "job_end_to_status_ms": _percentiles(_job_end_to_status(requests)),
    }


async def _cold_start(namespace: str, operator: OperatorProcess) -> dict[str, Any]:
    """A restart over everything that is there."""
    await asyncio.to_thread(operator.stop)
    audit = _audit_log(namespace)
    started = time.monotonic()
    await asyncio.to_thread(operator.start)
    ready = time.monotonic() - started
    return {"cold_start_ready_ms": round(ready * 1000), "cold_start_writes": len(await _settled_writes(audit))}


def _audit_log(namespace: str) -> AuditLog:
    return AuditLog(Path(os.environ["LONGTASK_AUDIT_LOG"]), namespace)


async def _namespace(api: ClusterApi) -> str:
    for document in (crd.task_crd(), crd.template_crd()):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{document['metadata']['name']}"
        query = "?fieldManager=bench&force=true"
        await api.request("PATCH", path + query, document, "application/apply-patch+yaml")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "longtask-bench-"}}
    return str((await api.request("POST", "/api/v1/namespaces", body))["metadata"]["name"])


async def _remove(api: ClusterApi, namespace: str) -> None:
    """Delete the namespace and wait for its end: the fake nodes must be there to let go of its pods."""
    path = f"/api/v1/namespaces/{namespace}"
    await api.request("DELETE", path)
    deadline = time.monotonic() + 300
    while any(
        item["metadata"]["name"] == namespace for item in (await api.request("GET", "/api/v1/namespaces"))["items"]
    ):
        if time.monotonic() > deadline:
            _say(f"namespace {namespace} is still being deleted")
            return
        await asyncio.sleep(1)


async def _templates(api: ClusterApi, namespace: str) -> None:
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.TEMPLATE_PLURAL}"
    version = await api.version(path)
    for name, labels in (("quick", {}), ("endless", {"longtask.dev/kwok": "running"})):
        spec = {
            "description": "Ends at once, or never.",
            "parametersSchema": {
                "type": "object",
                "properties": {"model_name": {"type": "string"}, "epochs": {"type": "integer", "default": 10}},
            },
            "podTemplate": {"metadata": {"labels": labels}, "spec": POD},
        }
        body = {"apiVersion": names.API_VERSION, "kind": names.TEMPLATE_KIND, "metadata": {"name": name}, "spec": spec}
        await api.request("POST", path, body)
    await api.until_all(path, 2, lambda template: "conditions" in template.get("status", {}), version)


def _task(name: str, template: str) -> Document:
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "metadata": {"name": name},
        "spec": {"templateRef": {"name": template}, "parameters": {"model_name": name}},
    }


async def _tasks(api: ClusterApi, namespace: str, task_names: list[str], pause: float = 0.0) -> float:
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.TASK_PLURAL}"
    bodies = [_task(name, "quick") for name in task_names]
    return await _throughput(api, path, bodies, lambda task: task.get("status", {}).get("phase") == "Succeeded", pause)


async def _still_running(api: ClusterApi, namespace: str, count: int) -> None:
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.TASK_PLURAL}"
    bodies = [_task(f"endless-{number}", "endless") for number in range(count)]
    await _throughput(api, path, bodies, lambda task: task.get("status", {}).get("phase") == "Running")


async def _throughput(
    api: ClusterApi, path: str, bodies: list[Document], ended: Callable[[Document], bool], pause: float = 0.0
) -> float:
    wanted = {body["metadata"]["name"] for body in bodies}
    version = await api.version(path)
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            api.until_all(path, len(bodies), lambda seen: seen["metadata"]["name"] in wanted and ended(seen), version)
        )
        group.create_task(api.create_all(path, bodies, pause))
    return len(bodies) / (time.monotonic() - started)


async def _settled_writes(audit: AuditLog) -> list[Request]:
    """The operator's writes until it has asked for nothing but its Lease for a while."""
    seen, quiet_since = -1, time.monotonic()
    while time.monotonic() - quiet_since < SETTLED:
        await asyncio.sleep(0.2)
        requests = [request for request in audit.requests() if _is_operator(request)]
        if len(requests) != seen:
            seen, quiet_since = len(requests), time.monotonic()
    return [request for request in requests if request.verb in WRITES]


def _create_to_job(requests: Sequence[Request]) -> Iterator[float]:
    """Milliseconds from the answer to the create of a LongTask to the answer to the create of its Job."""
    created = {r.name: r.answered for r in requests if r.verb == "create" and r.resource == names.TASK_PLURAL and r.ok}
    for request in requests:
        if request.verb == "create" and request.resource == "jobs" and request.ok:
            task = request.name.rpartition("-")[0]
            if task in created:
                yield _milliseconds(created[task], request.answered)


def _job_end_to_status(requests: Sequence[Request]) -> Iterator[float]:
    """Milliseconds from the last status write of the Job to the last status write of its LongTask."""
    ended = {r.name: r.answered for r in requests if r.resource == "jobs/status" and r.ok}
    told = {r.name: r.answered for r in requests if r.resource == f"{names.TASK_PLURAL}/status" and r.ok}
    for job, moment in ended.items():
        task = job.rpartition("-")[0]
        if task in told:
            yield _milliseconds(moment, told[task])


def _milliseconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() * 1000


def _percentiles(values: Iterator[float]) -> dict[str, float]:
    ordered = sorted(values)
    if len(ordered) < 2:
        return {}
    cuts = statistics.quantiles(ordered, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1), "n": len(ordered)}


def _is_operator(request: Request) -> bool:
    return request.agent.startswith(OPERATOR_AGENTS) and request.resource != "leases"


def _spent(before: dict[str, float], count: int) -> dict[str, float]:
    """Milliseconds of CPU for each of `count` by each of the cluster's own processes since `before`."""
    now = cpu_by_name(SERVERS)
    return {name: round((now[name] - before[name]) / count * 1000, 1) for name in SERVERS}


def _by_kind(writes: Sequence[Request], count: int) -> dict[str, float]:
    kinds = sorted(f"{write.verb} {write.resource}" for write in writes)
    return {kind: round(len(list(group)) / count, 2) for kind, group in itertools.groupby(kinds)}


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
