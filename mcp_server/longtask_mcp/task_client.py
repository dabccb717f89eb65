"""LongTasks in the cluster: create, read, cancel, answer, and relist for one that the cache does not have yet."""

import asyncio
import contextlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
from kubernetes.aio.client import ApiClient
from pydantic import ValidationError

from longtask_api import constants
from longtask_api.longtask import LongTask
from longtask_api.mcp_names import LABEL_REQUESTER, requester_label
from longtask_mcp.cache import Cache
from longtask_mcp.contract.callers import Owner, owner
from longtask_mcp.contract.errors import KubernetesRefused, KubernetesUnavailable, TaskUnreadable
from longtask_mcp.contract.known import is_whole, known
from longtask_mcp.contract.own import Owners, OwnTasks
from longtask_mcp.contract.task_status import stall
from longtask_mcp.feed import Feed
from longtask_runtime import kube
from longtask_runtime.reflector import Expired, fill

LOOK_AGAIN_SECONDS = 1.0
"""Minimum time between two lists for one caller, in seconds, so that guessed ids do not load the API server."""
REMEMBERED_LOOKS = 10_000
"""Callers, and ids known not to exist."""

T = TypeVar("T")
UID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

log = logging.getLogger(__name__)


class AlreadyExists(Exception):
    """A LongTask has that name. `perhaps_just_made`: the create was sent twice; its first request may have made it."""

    def __init__(self, name: str, perhaps_just_made: bool) -> None:
        super().__init__(name)
        self.perhaps_just_made = perhaps_just_made


def collection_path(namespace: str, plural: str) -> str:
    """The API path of the collection of our objects of one kind (`plural`) in a namespace."""
    return f"/apis/{constants.API_VERSION}/namespaces/{namespace}/{plural}"


@dataclass
class _LastLook:
    started: float = float("-inf")
    complete_since: float = float("-inf")
    """When the last list that completed was started."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Some(Feed[LongTask]):
    """Feeds the cache from lists of one caller's tasks."""

    def keep(self, listed: Set[str], version: int) -> None:
        """Removes nothing: objects that such a list lacks may be other callers'."""


class _Signalling(Owners):
    """Also ends the waits for news of an owner's tasks, when one of them may have some."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[Owner | None, set[asyncio.Event]] = {}

    def add(self, task: LongTask) -> None:
        super().add(task)
        if task.is_terminal or task.unanswered or stall(task) is not None:
            self.signal(owner(task))

    def signal(self, whose: Owner | None) -> None:
        for each in self._waiting.get(whose, ()):
            each.set()

    def wake(self) -> None:
        for whose in self._waiting:
            self.signal(whose)

    @contextlib.contextmanager
    def signals(self, whose: Owner) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        waiting = self._waiting.setdefault(whose, set())
        waiting.add(event)
        try:
            yield event
        finally:
            waiting.remove(event)
            if not waiting:
                del self._waiting[whose]


class TaskClient:
    """Reads through the cache and writes to the API server; every response is cached.

    Every method that sends requests raises KubernetesUnavailable or KubernetesRefused if the API server fails or
    refuses, and TaskUnreadable for a task that does not fit this server's model; a list leaves such a task out.
    """

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._path = collection_path(namespace, constants.TASK_PLURAL)
        self._owners = _Signalling()
        self.cache = Cache[LongTask](self._owners)
        self._some = _Some(known, self.cache)
        self._looks: dict[Owner, _LastLook] = {}
        self._absent: OrderedDict[tuple[Owner, str], None] = OrderedDict()
        """Ids that a list did not have. Uids are generated for each object, so such an id is not created later."""

    def own(self, whose: Owner) -> OwnTasks:
        """The owner's tasks, as far as they are cached."""
        return self._owners.of(whose)

    def signals(self, whose: Owner) -> contextlib.AbstractContextManager[asyncio.Event]:
        """An event that is set whenever a task of the owner may have news, and at `touch` or `wake`."""
        return self._owners.signals(whose)

    def touch(self, whose: Owner) -> None:
        """End all waits for any task of this owner now."""
        self._owners.signal(whose)

    def wake(self) -> None:
        """End all waits for tasks now."""
        self.cache.wake()
        self._owners.wake()

    async def create(self, document: dict[str, Any]) -> LongTask:
        """Create a LongTask from its JSON object, metadata.name included. Raises AlreadyExists."""
        sent = 0

        async def send() -> Any:
            nonlocal sent
            sent += 1
            return await kube.request(self._client, "POST", self._path, body=document)

        try:
            return self._known(await _twice(send))
        except kube.KubeError as error:
            if error.reason == "AlreadyExists":
                raise AlreadyExists(document["metadata"]["name"], sent > 1) from error
            raise KubernetesRefused(error.message) from error

    async def read(self, name: str) -> LongTask | None:
        """The task with that name, read live; None if there is none."""
        try:
            return self._known(await self._patiently("GET", f"{self._path}/{name}"))
        except kube.KubeError as error:
            if error.status == 404:
                return None
            raise KubernetesRefused(error.message) from error

    async def current(self, task: LongTask) -> LongTask | None:
        """Exactly this task (by uid), read live; None if it is gone (or its name is another task's now)."""
        read = await self.read(task.metadata.name)
        return read if read is not None and read.metadata.uid == task.metadata.uid else None

    async def cancel(self, task: LongTask) -> LongTask | None:
        """Request cancellation of exactly this task; None if it is gone (or its name is another task's now)."""
        return await self._set(task, "cancelRequested", True)

    async def suspend(self, task: LongTask, suspend: bool) -> LongTask | None:
        """Suspend or resume exactly this task; None if it is gone (or its name is another task's now)."""
        return await self._set(task, "suspend", suspend)

    async def _set(self, task: LongTask, field: str, value: bool) -> LongTask | None:
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": task.metadata.uid},
            {"op": "add", "path": f"/spec/{field}", "value": value},
        ]
        path = f"{self._path}/{task.metadata.name}"
        try:
            return self._known(await self._patiently("PATCH", path, body=patch, content_type=kube.JSON_PATCH))
        except kube.KubeError as error:
            if await self.current(task) is None:
                self.cache.remove(task.metadata.uid)
                return None
            raise KubernetesRefused(error.message) from error

    async def respond(self, task: LongTask, question_id: str, answer: str) -> LongTask:
        """Add an answer, as JSON text, to exactly this task as it was read. The API server refuses a second answer."""
        response = {"requestId": question_id, "value": answer}
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": task.metadata.uid},
            {"op": "add", "path": "/spec/inputResponses/-", "value": response}
            if task.spec.input_responses
            else {"op": "add", "path": "/spec/inputResponses", "value": [response]},
        ]
        path = f"{self._path}/{task.metadata.name}"
        try:
            return self._known(await self._patiently("PATCH", path, body=patch, content_type=kube.JSON_PATCH))
        except kube.KubeError as error:
            raise KubernetesRefused(error.message) from error

    async def whole(self, task: LongTask) -> LongTask | None:
        """The task with the fields that are not cached here; None if it is gone."""
        return task if is_whole(task) else await self.current(task)

    async def take_back(self, task: LongTask) -> None:
        """Cancel a task that its start should not have created, and mark it as never started."""
        patch = {
            "metadata": {"uid": task.metadata.uid, "annotations": {constants.ANNOTATION_TAKEN_BACK: ""}},
            "spec": {"cancelRequested": True},
        }
        path = f"{self._path}/{task.metadata.name}"
        try:
            self._known(await self._patiently("PATCH", path, body=patch, content_type=kube.MERGE_PATCH))
        except kube.KubeError as error:
            raise KubernetesRefused(error.message) from error

    async def find(self, whose: Owner, uid: str) -> LongTask | None:
        """The caller's task with that uid; None if there is none, or it belongs to another owner.

        Another replica may have created a task a moment ago that the cache does not have yet, so the API server is
        asked before None is returned.
        """
        task = self._own(whose, uid)
        if task is None and self._may_be_new(whose, uid):
            await self._look_again(whose, uid)
            task = self._own(whose, uid)
        return task

    def _may_be_new(self, whose: Owner, uid: str) -> bool:
        """Whether an id that the caller has no task for may be that of a task which the watch has not delivered yet."""
        known = self.cache.get(uid) is not None or self.cache.is_gone(uid) or (whose, uid) in self._absent
        return UID.fullmatch(uid) is not None and not known

    def _own(self, whose: Owner, uid: str) -> LongTask | None:
        task = self.cache.get(uid)
        return task if task is not None and owner(task) == whose else None

    async def _look_again(self, whose: Owner, uid: str) -> None:
        """List the caller's tasks, unless the watch delivers this one first; one list serves all earlier calls."""
        arrived = time.monotonic()
        look = self._last_look(whose, arrived)
        async with look.lock:
            if look.complete_since < arrived:
                await self.cache.appears(uid, look.started + LOOK_AGAIN_SECONDS - time.monotonic())
                if self.cache.get(uid) is not None:
                    return
                look.started = time.monotonic()
                await self._list(whose)
                look.complete_since = look.started
        if self.cache.get(uid) is None:
            self._absent[whose, uid] = None
            while len(self._absent) > REMEMBERED_LOOKS:
                self._absent.popitem(last=False)

    def _last_look(self, whose: Owner, now: float) -> _LastLook:
        """The last look of an owner; those that no longer delay a list are dropped."""
        if len(self._looks) >= REMEMBERED_LOOKS and whose not in self._looks:
            self._looks = {
                each: look
                for each, look in self._looks.items()
                if look.lock.locked() or look.started + LOOK_AGAIN_SECONDS > now
            }
        return self._looks.setdefault(whose, _LastLook())

    async def _list(self, whose: Owner) -> None:
        query = {"labelSelector": f"{LABEL_REQUESTER}={requester_label(*whose)}"}
        try:
            await _twice(lambda: fill(self._client, self._path, self._some, query))
        except Expired as expired:
            raise KubernetesUnavailable("it could not list your tasks to the end") from expired
        except kube.KubeError as error:
            raise KubernetesRefused(error.message) from error

    def _known(self, document: Any) -> LongTask:
        name = document["metadata"]["name"]
        try:
            self.cache.put(known(document))
            return LongTask.from_api(document)
        except ValidationError as error:
            log.warning("LongTask %s is not readable: %s", name, error)
            raise TaskUnreadable(name) from error

    async def _patiently(self, verb: kube.Verb, path: str, **options: Any) -> Any:
        return await _twice(lambda: kube.request(self._client, verb, path, **options))


async def _twice(send: Callable[[], Awaitable[T]]) -> T:
    """Send, and once more after a connection error. Every request from here may be sent twice: names are deterministic,
    a cancel is one-way, and a question takes one answer.
    """
    try:
        try:
            return await send()
        except aiohttp.ClientConnectionError:
            return await send()
    except kube.KubeError as error:
        if error.status >= 500 or error.status == 429:
            raise KubernetesUnavailable(error.message) from error
        raise
    except (aiohttp.ClientError, TimeoutError) as error:
        raise KubernetesUnavailable(str(error) or type(error).__name__) from error
