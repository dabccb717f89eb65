"""What reporting is compared with: a server that does nothing, and a status write for each report."""

import asyncio
import contextlib
import itertools
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from bench.cluster_api import ClusterApi, Document
from bench.figures import SERVERS, servers_cpu_ms
from bench.processes import cpu_by_name
from bench.workload import tasks_path
from longtask_operator.task_namespace import REPORT_MANAGER
from tests.operator.process import REPOSITORY
from tests.ports import free_port

NAIVE_SECONDS, NAIVE_WRITERS = 5.0, 16
"""How long status is written for, and how many writes are made at a time."""


@contextlib.asynccontextmanager
async def bare_server() -> AsyncIterator[tuple[int, int]]:
    """Port and process id of bench.bare."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.bare", str(port), cwd=REPOSITORY)
    try:
        deadline = time.monotonic() + 20
        while not _listens(port):
            assert process.returncode is None, "bench.bare has ended"
            assert time.monotonic() < deadline, "bench.bare does not listen"
            await asyncio.sleep(0.05)
        yield port, process.pid
    finally:
        process.kill()
        await process.wait()


async def naive_writes(api: ClusterApi, namespace: str) -> dict[str, Any]:
    """Write progress as the operator writes it, over all tasks that have any, as fast as the API server takes it."""
    path = tasks_path(namespace)
    tasks = [task for task in (await api.request("GET", path))["items"] if "progress" in task["status"]]
    waiting = ((task, number) for number in itertools.count(1) for task in tasks)
    made = 0
    started, client, before = time.monotonic(), time.process_time(), cpu_by_name(SERVERS)

    async def writer() -> None:
        nonlocal made
        while time.monotonic() < started + NAIVE_SECONDS:
            task, number = next(waiting)
            target = f"{path}/{task['metadata']['name']}/status?fieldManager={REPORT_MANAGER}"
            await api.request("PATCH", target, _patch(task, number), "application/json-patch+json")
            made += 1

    async with asyncio.TaskGroup() as group:
        # never two at a time for a task
        for _ in range(min(NAIVE_WRITERS, len(tasks))):
            group.create_task(writer())
    return {
        "writes_per_s": round(made / (time.monotonic() - started), 1),
        "cluster_cpu_ms_per_write": servers_cpu_ms(before, made),
        "client_cpu_ms_per_write": round((time.process_time() - client) / made * 1000, 2),
    }


def _patch(task: Document, number: int) -> list[Document]:
    """The stored progress as a report that is `number` newer."""
    progress = task["status"]["progress"]
    return [
        {"op": "test", "path": "/metadata/uid", "value": task["metadata"]["uid"]},
        {"op": "test", "path": "/status/jobRef/uid", "value": task["status"]["jobRef"]["uid"]},
        {"op": "add", "path": "/status/lastReportTime", "value": progress["updatedTime"]},
        {"op": "add", "path": "/status/progress", "value": {**progress, "sequence": progress["sequence"] + number}},
    ]


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
