"""Follows tasks until they have ended, through lost connections, expired watches and renewed credentials."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence, Set
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from longtask_api import constants
from longtask_api.longtask import TERMINAL_PHASES, LongTask
from longtask_cli.cluster import Cluster, task_of
from longtask_runtime.kube import KubeError
from longtask_runtime.reflector import SILENCE_SECONDS, Reflector

LOOK_SECONDS = 1.0
"""How long `Following.changes` waits for news, in seconds."""
REFUSED_SECONDS = 10.0
"""How long the cluster may refuse a watch before the command ends, in seconds: rights may be changing."""
MAX_WATCHES = 20
"""Connections that following tasks by name may take."""
FINAL = frozenset({401, 403, 404})
"""Refusals that do not pass by themselves."""
UNFINISHED = ",".join(f"status.phase!={phase}" for phase in sorted(TERMINAL_PHASES))
"""Field selector."""


class Tasks:
    """Tasks as the watches last delivered them, by uid. A deleted one stays in its last state."""

    def __init__(self) -> None:
        self.known: dict[str, LongTask] = {}
        self.gone: set[str] = set()
        """Uids of tasks that were deleted, or that the selection no longer holds."""
        self.news = asyncio.Event()

    def forget(self, uids: Iterable[str]) -> None:
        """Tasks that are gone, and nobody asks for any more."""
        for uid in uids:
            self.known.pop(uid, None)
            self.gone.discard(uid)


class _Selection:
    """The store of one reflector; `only` are the uids that count: another task of a name is another task."""

    def __init__(self, tasks: Tasks, only: frozenset[str] | None = None) -> None:
        self._tasks = tasks
        self._only = only

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this version, or a newer one, is known."""
        known = self._tasks.known.get(metadata["uid"])
        return known is not None and int(known.metadata.resource_version) >= int(metadata["resourceVersion"])

    def take(self, document: dict[str, Any]) -> None:
        """A task that is new or has changed."""
        uid = document["metadata"]["uid"]
        if self._takes(uid):
            self._tasks.known[uid] = task_of(document)
            self._tasks.gone.discard(uid)
            self._tasks.news.set()

    def lose(self, document: dict[str, Any]) -> None:
        """A task that was deleted, or that the selection no longer holds."""
        self.take(document)
        if self._takes(document["metadata"]["uid"]):
            self._tasks.gone.add(document["metadata"]["uid"])

    def keep(self, listed: Set[str], version: int) -> None:
        """What a complete list does not have is gone."""
        for uid, task in self._tasks.known.items():
            if self._takes(uid) and uid not in listed and int(task.metadata.resource_version) <= version:
                self._tasks.gone.add(uid)
        self._tasks.news.set()

    def _takes(self, uid: str) -> bool:
        return self._only is None or uid in self._only


class Following:
    """Watches of tasks, under way."""

    def __init__(self, cluster: Cluster, reflectors: list[Reflector], tasks: Tasks) -> None:
        self.tasks = tasks
        self._cluster = cluster
        self._reflectors = reflectors
        self._looked = time.monotonic()

    @property
    def silent_seconds(self) -> float | None:
        """How long the cluster has said nothing, if that is longer than its watches are ever silent; else None."""
        oldest = max((each.pulse.age() for each in self._reflectors), default=0.0)
        return oldest if oldest > SILENCE_SECONDS else None

    async def changes(self, seconds: float = LOOK_SECONDS) -> None:
        """Wait for news, at most `seconds`. Raises Problem if the cluster refuses for good."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.tasks.news.wait()
        self.tasks.news.clear()
        if time.monotonic() - self._looked >= 2 * LOOK_SECONDS:
            self._looked = time.monotonic()
            await self._ask_again([each for each in self._reflectors if each.pulse.refusal])

    async def _ask_again(self, refused: list[Reflector]) -> None:
        """Learn why a watch is refused; credentials that have expired are renewed by that."""
        if not refused:
            return
        try:
            await self._cluster.request("GET", self._cluster.path(constants.TASK_PLURAL), query={"limit": "1"})
        except KubeError as error:
            if error.status in FINAL and max(each.pulse.age() for each in refused) > REFUSED_SECONDS:
                raise self._cluster.problem(error) from error
        except (aiohttp.ClientError, TimeoutError, OSError):
            return  # the reflectors try for as long as it takes


@asynccontextmanager
async def following(cluster: Cluster, tasks: Sequence[LongTask] | None) -> AsyncIterator[Following]:
    """Follow these tasks; None: all of the namespace that have not ended."""
    followed = Tasks()
    path, client = cluster.path(constants.TASK_PLURAL), cluster.connection.client
    if tasks is None:
        reflectors = [Reflector(client, path, _Selection(followed), {"fieldSelector": UNFINISHED})]
    else:
        followed.known = {task.metadata.uid: task for task in tasks}
        reflectors = [
            Reflector(client, path, _Selection(followed, uids), {"fieldSelector": selector} if selector else None)
            for selector, uids in _selections(tasks)
        ]
    running = [asyncio.create_task(each.run()) for each in reflectors]
    try:
        yield Following(cluster, reflectors, followed)
    finally:
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _selections(tasks: Sequence[LongTask]) -> list[tuple[str, frozenset[str]]]:
    """Field selectors and uids: a watch for each of a few tasks, and one of the whole namespace for many."""
    if len(tasks) > MAX_WATCHES:
        return [("", frozenset(task.metadata.uid for task in tasks))]
    return [(f"metadata.name={task.metadata.name}", frozenset({task.metadata.uid})) for task in tasks]
