"""Keeps a store in step with one kind of object: list it page by page, then watch
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
PAGE_BYTES = 2**20
"""What a page should have at most: to decode it takes 10 to 20 ms, in one piece. Objects are of any size up to 1.5 MB,
so the first page is short and the others are as long as the objects of the last one allow."""
STRETCH = 0.02
"""Seconds for which a page is taken in before the loop is given back."""
WATCH_SECONDS = 20
"""When the API server ends a watch. Two seconds before that it sends a bookmark, whether anything changed or not
(https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks)."""
SILENCE_SECONDS = 25.0
"""A watch in which nothing came for so long is dead, whatever TCP says of its connection."""
DEAD_SECONDS = 45.0
"""A kind of object of which nothing was heard for so long is not known any more: the first new watch was silent too."""
FIRST_BACKOFF = 0.2
MAX_DOUBLINGS = 6

log = logging.getLogger(__name__)


class Expired(Exception):
    """The API server no longer has the history from that version on: list again."""


class Store(Protocol):
    """Where the objects of one kind go. Documents are decoded JSON without managedFields."""

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        """Whether this version of the object, or a newer one, is here: then it is not handed over again."""

    def take(self, document: dict[str, Any]) -> None:
        """An object as a list or a watch shows it; perhaps older than what is known."""

    def lose(self, document: dict[str, Any]) -> None:
        """An object that was deleted, as it was last seen."""

    def keep(self, listed: Set[str], version: int) -> None:
        """The uids of a complete list of that version: what is not among them and no newer was deleted."""


class Pulse:
    """When the API server was last heard of about one kind of object."""

    def __init__(self) -> None:
        self._heard = time.monotonic()
        self._pages_count = True
        self.refusal = ""

    def beat(self) -> None:
        """It is heard now: an event, a bookmark, a complete list, or a watch that it ended itself."""
        self._heard = time.monotonic()
        self._pages_count = True
        self.refusal = ""

    def page(self) -> None:
        """A page of a list came, and more are to come: it is heard, unless lists fail. What is never listed to the end
        is not known, however often it begins.
        """
        if self._pages_count:
            self._heard = time.monotonic()

    def list_failed(self) -> None:
        """Pages do not count again before something is complete."""
        self._pages_count = False

    def refused(self, status: int, reason: str) -> None:
        """It answers, and tells nothing of the objects: their watch or list is refused, mostly for want of a right."""
        self.refusal = f"refuses: {status} {reason}"

    def age(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self._heard


def silent(pulses: Mapping[str, Pulse]) -> str | None:
    """Which of the kinds of objects (by their plural) are not known any more, in words; None when all are."""
    dead = [
        f"{plural} for {pulse.age():.0f} s (the API server {pulse.refusal or 'sends no events'})"
        for plural, pulse in pulses.items()
        if pulse.age() > DEAD_SECONDS
    ]
    return f"nothing was heard of {', '.join(dead)}" if dead else None


class Reflector:
    """Runs for as long as the process; `synced` is set after the first complete list."""

    def __init__(self, client: ApiClient, path: str, store: Store, query: Mapping[str, str] | None = None) -> None:
        """`path` is that of the collection, such as /apis/longtask.dev/v1alpha1/namespaces/x/longtasks; `query` may
        select some of its objects.
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
        """Never returns; trouble with the API server is logged and tried again, with growing pauses."""
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
        """List once; the version of the list. Also of use beside a watch: what it missed comes out then.

        Raises Expired, kube.KubeError and network errors.
        """
        version = await fill(self._client, self._path, self._store, self._query, self.pulse)
        self.synced.set()
        return version

    async def follows(self, version: int, at_most: float) -> bool:
        """Whether the store has everything up to a version of the collection, after `at_most` seconds at the latest."""
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
    """Bring the store in step with a complete list; the version of the list.

    One page is in memory at a time, and what the store knows already costs one look-up. Raises Expired when the API
    server cannot go on with a list that took too long, kube.KubeError and network errors. `pulse` is told of each page.
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
    """Empties the list: what was taken is not held twice."""
    begun = time.monotonic()
    while items:
        document = items.pop()
        listed.add(document["metadata"]["uid"])
        _take(store, document)
        if time.monotonic() - begun > STRETCH:
            await asyncio.sleep(0)
            begun = time.monotonic()


def _take(store: Store, document: dict[str, Any]) -> None:
    """One object that cannot be read must not keep the others from being followed."""
    if store.knows(document["metadata"]):
        return
    try:
        store.take(_light(document))
    except Exception:
        log.exception("cannot take in %s", document["metadata"].get("name"))


def _light(document: dict[str, Any]) -> dict[str, Any]:
    document["metadata"].pop("managedFields", None)
    return document


def _next_limit(size: int, items: int, limit: int) -> int:
    """How many objects fit into the next page, by those of the last one; growing step by step."""
    fitting = PAGE_BYTES * items // max(1, size)
    return max(1, min(fitting, 5 * limit, LARGEST_PAGE))


def _expired_or(error: kube.KubeError) -> Exception:
    return Expired() if error.status == 410 else error
