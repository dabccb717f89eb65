"""Counts, from outside, how often work really ran: every pod that the API server ever showed."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator

import aiohttp

from longtask_api import constants


class Runs:
    """Pod uids by task uid."""

    def __init__(self) -> None:
        self.pods: dict[str, set[str]] = defaultdict(set)

    def of(self, task_uid: str) -> int:
        """How many pods have been made for the task."""
        return len(self.pods[task_uid])

    def _see(self, pod: dict[str, dict[str, object]]) -> None:
        labels = pod["metadata"].get("labels") or {}
        assert isinstance(labels, dict)
        self.pods[labels[constants.LABEL_TASK_UID]].add(str(pod["metadata"]["uid"]))


@contextlib.asynccontextmanager
async def counted(port: int, namespace: str) -> AsyncIterator[Runs]:
    """Watch the pods of the namespace through the door at `port`."""
    runs = Runs()
    started = asyncio.Event()
    url = f"http://127.0.0.1:{port}/api/v1/namespaces/{namespace}/pods?labelSelector={constants.LABEL_TASK_UID}"

    async def watch() -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=2**21) as session:
            async with session.get(url) as answer:
                version = (await answer.json())["metadata"]["resourceVersion"]
            async with session.get(f"{url}&watch=1&resourceVersion={version}") as stream:
                started.set()
                async for line in stream.content:
                    runs._see(json.loads(line)["object"])

    task = asyncio.create_task(watch())
    await started.wait()
    try:
        yield runs
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError):
            await task
