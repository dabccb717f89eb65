"""Uses kopf as the source of watch events for one kind of object. Existing objects are listed without kopf, which would
start an asyncio task for each listed object and keep the object in memory for as long as it exists.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import aiohttp
import kopf
from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
from kubernetes.aio.client import ApiClient

from longtask_runtime import kube
from longtask_runtime.reflector import SILENCE_SECONDS, WATCH_SECONDS, Expired, Pulse, Store, fill

logger = logging.getLogger(__name__)

NOBODY = "metadata.name=none-is-called-this"
PAUSE = 0.5
LONGEST_PAUSE = 30.0


class NoDiffBase(kopf.DiffBaseStorage):
    """Stores no last-handled state. kopf would copy each object at every event to compute a diff, which only the kinds
    of handlers that are not used here need; that took a quarter of the operator's CPU time.
    """

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Return an empty essence."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Return None: nothing is stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Store nothing."""


class Backoffs(Iterable[float]):
    """Endless exponential backoff in seconds: kopf ends the process when a request has failed more often than there are
    backoffs.
    """

    def __iter__(self) -> Iterator[float]:
        pause = PAUSE
        while True:
            yield pause
            pause = min(LONGEST_PAUSE, pause * 2)


def kopf_settings() -> kopf.OperatorSettings:
    """Settings that reduce kopf to a source of events: it writes nothing and keeps little in memory."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = Backoffs()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.connect_timeout = 10
    # Seconds for which kopf keeps an asyncio task and a queue for an object after its last event.
    settings.queueing.idle_timeout = 0.1
    return settings


class Subscription:
    """Objects of one kind. kopf reports each change; whenever kopf starts a new watch everything is relisted, since
    events may have been missed.
    """

    def __init__(self, client: ApiClient, path: str, store: Store) -> None:
        """`path` is the URL path of the collection."""
        self._client = client
        self._store = store
        self._due = asyncio.Event()
        self.path = path
        self.synced = asyncio.Event()
        self.pulse = Pulse()

    async def run(self) -> None:
        """Relist when needed. Never returns: errors are logged and retried with exponential backoff."""
        pause = PAUSE
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self.fill()
                pause = PAUSE
            except (Expired, ValueError, kube.KubeError, aiohttp.ClientError, TimeoutError, OSError) as error:
                logger.warning("cannot list %s: %r; trying again", self.path, error)
                self._due.set()
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def fill(self) -> None:
        """List once into the store. Raises Expired, kube.KubeError and network errors."""
        await fill(self._client, self.path, self._store, pulse=self.pulse)
        self.synced.set()

    def event(self, event: Mapping[str, Any]) -> None:
        """Take an event from kopf's watch."""
        self.pulse.beat()
        document = dict(event["object"])
        if event["type"] == "DELETED":
            self._store.lose(document)
        elif not self._store.knows(document["metadata"]):
            self._store.take(document)

    def watched_anew(self) -> None:
        """Schedule a relist, because kopf starts a new watch."""
        self._due.set()


def session(info: kopf.ConnectionInfo, subscriptions: Collection[Subscription]) -> kopf.AiohttpSession:
    """kopf's HTTP session with the API server. kopf's own lists of the subscribed kinds are made to match nothing: they
    only give kopf the resourceVersion to watch from, and show that a new watch starts.
    """

    async def middleware(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        subscription = next((each for each in subscriptions if request.url.path.endswith(each.path)), None)
        if subscription is None:
            return await send(request)
        watches = "watch" in request.url.query
        if not watches:
            request.url = request.url.update_query(fieldSelector=NOBODY)
        response = await send(request)
        if response.status != 200:
            subscription.pulse.refused(response.status, response.reason or "")
        elif watches:
            response.content.on_eof(subscription.pulse.beat)
        else:
            subscription.watched_anew()
        return response

    connector = aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context())
    return kopf.AiohttpSession(
        server=info.server,
        aiohttp_session=aiohttp.ClientSession(
            connector=connector, headers=info.as_http_headers(), middlewares=[middleware]
        ),
    )
