"""Keeps a store in sync with one kind of object: a paginated list, then a watch
(https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes).
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Set
from contextlib import aclosing
from typing import Any, Protocol

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_runtime import kube

FIRST_PAGE = 20
LARGEST_PAGE = 500
"""Objects per page."""
PAGE_BYTES = 2**20
"""Target size of a page: decoding it blocks for 10 to 20 ms. Objects have any size up to 1.5 MB, so the first page is
short, and the limit of the next one follows from the sizes in the last one."""
STRETCH = 0.02
"""Seconds of processing a page after which control returns to the event loop."""
WATCH_SECONDS = 20
"""Longest timeout of a watch. Two seconds before its end the API server sends a bookmark, even without changes
(https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks)."""
SILENCE_SECONDS = 25.0
"""Seconds without any data after which a watch counts as dead, whatever the state of its TCP connection."""
DEAD_SECONDS = 45.0
"""Seconds without news of a kind of object after which its cache counts as stale: a second watch was silent too."""
FIRST_BACKOFF = 0.2
"""Seconds."""
MAX_DOUBLINGS = 6

log = logging.getLogger(__name__)


class Expired(Exception):
    """The API server no longer has the history since that resourceVersion (410 Gone): relist."""


class Store(Protocol):
    """Receives the objects of one kind. Documents are decoded JSON without managedFields."""

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        """Whether the store has this version of the object or a newer one; if so, `take` is not called for it."""

    def take(self, document: dict[str, Any]) -> None:
        """Store an object from a list or a watch. It may be older than the stored version."""

    def lose(self, document: dict[str, Any]) -> None:
        """Remove a deleted object, given in its last state."""

    def keep(self, listed: Set[str], version: int) -> None:
        """Drop objects deleted before a complete list: those not among its uids, unless newer than its version."""


class Pulse:
    """Tracks when the API server last sent news of one kind of object."""

    def __init__(self) -> None:
        self._heard = time.monotonic()
        self._pages_count = True
        self.refusal = ""

    def beat(self) -> None:
        """Record news: an event, a bookmark, a complete list, or a watch that the API server ended normally."""
        self._heard = time.monotonic()
        self._pages_count = True
        self.refusal = ""

    def page(self) -> None:
        """Record a page of a list. It counts as news only if the last list did not fail: objects that are never listed
        completely are not in sync, however often a list starts.
        """
        if self._pages_count:
            self._heard = time.monotonic()

    def list_failed(self) -> None:
        """Record a failed list: pages do not count until the next `beat`."""
        self._pages_count = False

    def refused(self, status: int, reason: str) -> None:
        """Record that the API server refuses the watch or list, mostly because of a missing permission. Not news."""
        self.refusal = f"refuses: {status} {reason}"

    def age(self) -> float:
        """Seconds since the last news."""
        return time.monotonic() - self._heard


def silent(pulses: Mapping[str, Pulse]) -> str | None:
    """A message that names the kinds of objects (by plural) with stale caches; None if all are in sync."""
    dead = [
        f"{plural} for {pulse.age():.0f} s (the API server {pulse.refusal or 'sends no events'})"
        for plural, pulse in pulses.items()
        if pulse.age() > DEAD_SECONDS
    ]
    return f"nothing was heard of {', '.join(dead)}" if dead else None


class Reflector:
    """Lists and watches one collection. `synced` is set after the first complete list."""

    def __init__(self, client: ApiClient, path: str, store: Store, query: Mapping[str, str] | None = None) -> None:
        """`path` is the collection's, such as /apis/longtask.dev/v1alpha1/namespaces/x/longtasks; `query` may select
        objects, for example by labelSelector.
        """
        self._client = client
        self._path = path
        self._store = store
        self._query = query or {}
        self._version = ""
        self._followers: set[asyncio.Event] = set()
        self.synced = asyncio.Event()
        self.pulse = Pulse()

    async def run(self) -> None:
        """Run until cancelled. Errors are logged and retried with jittered exponential backoff."""
        failures = 0
        while True:
            begun = float("inf")
            try:
                if not self._version:
                    self._reach(await self.fill())
                begun = time.monotonic()
                await self._watch()
                failures = 0 if time.monotonic() - begun > 1 else failures + 1
            except Expired:
                log.info("watch expired, listing again", extra={"path": self._path})
                self._version, failures = "", failures + 1
            except (ValueError, LookupError, TypeError, AttributeError, kube.KubeError) as error:
                if isinstance(error, kube.KubeError):
                    self.pulse.refused(error.status, error.reason)
                log.warning("cannot follow %s: %r; listing again", self._path, error)
                self._version, failures = "", failures + 1
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("cannot follow %s: %r; connecting again", self._path, error)
                failures = 1 if time.monotonic() - begun > 1 else failures + 1
            if failures:
                longest = FIRST_BACKOFF * 2 ** min(failures, MAX_DOUBLINGS)
                await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - jitter

    async def fill(self) -> str:
        """List once and return the resourceVersion of the list. Also used beside a watch, to repair what it missed.

        Raises Expired, kube.KubeError and network errors.
        """
        version = await fill(self._client, self._path, self._store, self._query, self.pulse)
        self.synced.set()
        return version

    async def follows(self, version: int, at_most: float) -> bool:
        """Wait up to `at_most` seconds until the store is in sync with that version; False on timeout."""
        news = asyncio.Event()
        self._followers.add(news)
        try:
            async with asyncio.timeout(at_most):
                while int(self._version or 0) < version:
                    news.clear()
                    await news.wait()
        except TimeoutError:
            return False
        finally:
            self._followers.discard(news)
        return True

    async def _watch(self) -> None:
        """Follow changes until the API server ends the watch."""
        seconds = random.randint(WATCH_SECONDS * 3 // 4, WATCH_SECONDS)  # noqa: S311 - jitter
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(seconds),
        }
        patience = aiohttp.ClientTimeout(total=seconds + SILENCE_SECONDS, sock_connect=10, sock_read=SILENCE_SECONDS)
        try:
            async with aclosing(kube.read_lines(self._client, self._path, query=query, timeout=patience)) as lines:
                async for line in lines:
                    self._event(kube.decoded(line))
                    self.pulse.beat()
        except kube.KubeError as error:
            raise _expired_or(error) from error
        self.pulse.beat()

    def _event(self, event: Mapping[str, Any]) -> None:
        kind, document = event["type"], event["object"]
        if kind == "ERROR":
            raise kube.KubeError(document["code"], document.get("reason", ""), document.get("message", ""))
        if kind == "DELETED":
            self._store.lose(_light(document))
        elif kind != "BOOKMARK":
            _take(self._store, document)
        self._reach(document["metadata"]["resourceVersion"])

    def _reach(self, version: str) -> None:
        self._version = version
        for follower in self._followers:
            follower.set()


async def fill(
    client: ApiClient, path: str, store: Store, query: Mapping[str, str] | None = None, pulse: Pulse | None = None
) -> str:
    """Sync the store with a complete list and return the list's resourceVersion.

    One page is in memory at a time, and an object that the store already has costs one lookup. Each page is recorded in
    `pulse`. Raises Expired if the list took too long to be continued, kube.KubeError and network errors.
    """
    pulse = pulse or Pulse()
    try:
        version = await _fill(client, path, store, query or {}, pulse)
    except Exception:
        pulse.list_failed()
        raise
    pulse.beat()
    return version


async def _fill(client: ApiClient, path: str, store: Store, query: Mapping[str, str], pulse: Pulse) -> str:
    listed = set[str]()
    version, limit, token = "", FIRST_PAGE, ""
    while True:
        page_query = {**query, "limit": str(limit), **({"continue": token} if token else {})}
        try:
            content = await kube.request_text(client, "GET", path, query=page_query)
        except kube.KubeError as error:
            raise _expired_or(error) from error
        pulse.page()
        size, page = len(content), kube.decoded(content)
        del content
        limit = _next_limit(size, len(page["items"]), limit)
        await _take_in(page["items"], store, listed)
        version = version or page["metadata"]["resourceVersion"]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    store.keep(listed, int(version))
    return version


async def _take_in(items: list[dict[str, Any]], store: Store, listed: set[str]) -> None:
    """Store the items and empty the list, so that no object is in memory twice."""
    begun = time.monotonic()
    while items:
        document = items.pop()
        listed.add(document["metadata"]["uid"])
        _take(store, document)
        if time.monotonic() - begun > STRETCH:
            await asyncio.sleep(0)
            begun = time.monotonic()


def _take(store: Store, document: dict[str, Any]) -> None:
    """Store one object. An exception is logged only, so that one invalid object does not stop the reflector."""
    if store.knows(document["metadata"]):
        return
    try:
        store.take(_light(document))
    except Exception:
        log.exception("cannot cache %s", document["metadata"].get("name"))


def _light(document: dict[str, Any]) -> dict[str, Any]:
    document["metadata"].pop("managedFields", None)
    return document


def _next_limit(size: int, items: int, limit: int) -> int:
    """Limit of the next page, from the average object size of the last one; it grows at most fivefold per page."""
    fitting = PAGE_BYTES * items // max(1, size)
    return max(1, min(fitting, 5 * limit, LARGEST_PAGE))


def _expired_or(error: kube.KubeError) -> Exception:
    return Expired() if error.status == 410 else error
