"""The floor of reconciling: our LongTasks, our Jobs and one status write each, by a controller that decides nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from bench.cluster_api import ClusterApi, Document
from bench.figures import SERVERS, servers_cpu_ms
from bench.processes import cpu_by_name
from bench.workload import QUICK, is_complete, run_tasks, say, tasks_path
from longtask_api import constants
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.build_job import build_job, take_snapshot
from longtask_operator.task_namespace import FIELD_MANAGER

WRITERS = 8


async def measure(api: ClusterApi, namespace: str, count: int) -> dict[str, Any]:
    """Tasks a second, and the servers' CPU for each.

    No operator may run in the namespace, and a task of QUICK must have ended there: what the operator wrote into its
    status is written into all others.
    """
    templates = f"/apis/{constants.API_VERSION}/namespaces/{namespace}/{constants.TEMPLATE_PLURAL}"
    template = LongTaskTemplate.from_api(await api.request("GET", f"{templates}/{QUICK}"))
    items = (await api.request("GET", tasks_path(namespace)))["items"]
    status = next(item["status"] for item in items if item["status"].get("phase") == "Succeeded")
    controller = _Controller(api, namespace, template, status)
    before = cpu_by_name(SERVERS)
    running = asyncio.create_task(controller.run())
    try:
        names = [f"floor-{number}" for number in range(count)]
        per_s = await run_tasks(api, namespace, QUICK, names, "Succeeded")
    finally:
        running.cancel()
        await asyncio.wait([running])
    say(f"floor of LongTasks: {per_s:.1f}/s")
    return {"floor_per_s": round(per_s, 1), "server_cpu_ms_per_floor_task": servers_cpu_ms(before, count)}


class _Controller:
    def __init__(self, api: ClusterApi, namespace: str, template: LongTaskTemplate, status: Document) -> None:
        self._api = api
        self._tasks = tasks_path(namespace)
        self._jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self._template = template
        self._snapshot = take_snapshot(template)
        self._status = {key: value for key, value in status.items() if key not in ("delivery", "archive")}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._each(self._tasks, self._is_new, self._start))
            group.create_task(self._each(self._jobs, self._is_complete, self._end))

    async def _each(self, path: str, wanted: Callable[[Document], bool], act: Callable[[Document], Any]) -> None:
        queue: asyncio.Queue[Document] = asyncio.Queue()

        async def worker() -> None:
            while True:
                await act(await queue.get())

        async with asyncio.TaskGroup() as group:
            for _ in range(WRITERS):
                group.create_task(worker())
            async for document in _once(self._api, path, wanted):
                queue.put_nowait(document)

    def _is_new(self, task: Document) -> bool:
        return task["metadata"]["name"].startswith("floor-") and "status" not in task

    def _is_complete(self, job: Document) -> bool:
        return job["metadata"]["name"].startswith("floor-") and is_complete(job)

    async def _start(self, task: Document) -> None:
        read = LongTask.from_api(task)
        await self._api.request("POST", self._jobs, build_job(read, self._template, self._snapshot, {}, None))

    async def _end(self, job: Document) -> None:
        name = job["metadata"]["name"].rpartition("-")[0]
        reference = {"name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TASK_KIND,
            "metadata": {"name": name},
            "status": {**self._status, "jobRef": reference},
        }
        path = f"{self._tasks}/{name}/status?fieldManager={FIELD_MANAGER}&force=true"
        await self._api.request("PATCH", path, body, "application/apply-patch+yaml")


async def _once(api: ClusterApi, path: str, wanted: Callable[[Document], bool]) -> AsyncIterator[Document]:
    """Each object of the collection, the first time that it is wanted."""
    seen = set[str]()
    async with aclosing(api.watch(path, await api.version(path))) as documents:
        async for document in documents:
            uid = document["metadata"]["uid"]
            if uid not in seen and wanted(document):
                seen.add(uid)
                yield document
