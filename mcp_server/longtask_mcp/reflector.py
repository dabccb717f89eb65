"""Keeps a cache in step with one kind of object in one namespace: list, then watch
(https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

import aiohttp
from kubernetes.aio.client import ApiClient
from pydantic import ValidationError

from longtask_mcp.cache import ApiObject, Cache
from longtask_runtime import kube

PAGE_SIZE = 500
WATCH_SECONDS = 300
SILENCE_SECONDS = 150.0
"""The API server sends a bookmark about every minute; a connection that is silent for longer is dead."""
FIRST_BACKOFF_SECONDS = 0.2
MAX_DOUBLINGS = 6

T = TypeVar("T", bound=ApiObject)

log = logging.getLogger(__name__)


class Expired(Exception):
    """The API server no longer has the history from that version on: list again."""


class Reflector(Generic[T]):
    """Runs for as long as the process; `synced` is set after the first complete list."""

    def __init__(self, client: ApiClient, path: str, read: Callable[[Any], T], cache: Cache[T]) -> None:
        """`path` is that of the collection, such as /apis/longtask.dev/v1alpha1/namespaces/x/longtasks; `read` makes
        the model from a decoded object, or raises pydantic.ValidationError.
        """
        self._client = client
        self._path = path
        self._decode = read
        self._cache = cache
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Never returns; trouble with the API server is logged and tried again, with growing pauses."""
        failures = 0
        while True:
            try:
                version = await self._list()
                self.synced.set()
                failures = 0
                while True:
                    version = await self._watch(version)
            except Expired:
                log.info("watch expired, listing again", extra={"path": self._path})
            except (aiohttp.ClientError, TimeoutError, ValueError, kube.KubeError) as error:
                failures += 1
                log.warning("cannot follow %s: %r", self._path, error)
            longest = FIRST_BACKOFF_SECONDS * 2 ** min(failures, MAX_DOUBLINGS)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311

    async def _list(self) -> str:
        query, things, version = {"limit": str(PAGE_SIZE)}, list[T](), ""
        while True:
            try:
                page = await kube.request(self._client, "GET", self._path, query=query)
            except kube.KubeError as error:
                raise _expired_or(error) from error
            things += [thing for item in page["items"] if (thing := self._read(item)) is not None]
            version = version or page["metadata"]["resourceVersion"]
            if not page["metadata"].get("continue"):
                break
            query["continue"] = page["metadata"]["continue"]
        self._cache.replace(things, int(version))
        return version

    async def _watch(self, version: str) -> str:
        """Follow changes after `version` until the API server ends the watch; the version to go on from."""
        async with aclosing(self._events(version)) as events:
            async for event in events:
                kind, item = event["type"], event["object"]
                if kind == "ERROR":
                    raise _expired_or(kube.KubeError(item["code"], item["reason"], item["message"]))
                version = item["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self._cache.remove(item["metadata"]["uid"])
                elif kind != "BOOKMARK" and (thing := self._read(item)) is not None:
                    self._cache.put(thing)
        return version

    async def _events(self, version: str) -> AsyncGenerator[Any, None]:
        seconds = random.randint(WATCH_SECONDS // 2, WATCH_SECONDS)  # noqa: S311
        parameters = await self._client.param_serialize(
            method="GET",
            resource_path=self._path,
            query_params=[
                ("watch", "true"),
                ("allowWatchBookmarks", "true"),
                ("resourceVersion", version),
                ("timeoutSeconds", str(seconds)),
            ],
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        patience = aiohttp.ClientTimeout(total=seconds + 30, sock_connect=10, sock_read=SILENCE_SECONDS)
        answer = await self._client.call_api(*parameters, _request_timeout=patience)
        async with answer.response as response:
            if response.status != 200:
                raise _expired_or(kube.KubeError(response.status, "WatchRefused", (await response.text())[:500]))
            async for line in response.content:
                yield json.loads(line)

    def _read(self, item: dict[str, Any]) -> T | None:
        try:
            return self._decode(item)
        except ValidationError as error:
            log.warning("%s %s is not readable: %s", self._path, item["metadata"]["name"], error)
            return None


def _expired_or(error: kube.KubeError) -> Exception:
    return Expired() if error.status == 410 else error
