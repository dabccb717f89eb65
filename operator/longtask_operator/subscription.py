"""kopf as the source of events of one kind of object. What there is already is listed by us: kopf would hold every
object that it lists, for as long as it exists, and hand each over in a task of its own.
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
    """Remembers nothing of an object. kopf would copy every one at every event to compare it with its last state, for
    kinds of handlers that do not exist here; that was a quarter of the operator's CPU time."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing is essential."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is stored."""


class Backoffs(Iterable[float]):
    """Without an end: kopf ends the process when a request has failed more often than it has pauses."""

    def __iter__(self) -> Iterator[float]:
        pause = PAUSE
        while True:
            yield pause
            pause = min(LONGEST_PAUSE, pause * 2)


def kopf_settings() -> kopf.OperatorSettings:
    """kopf as a source of events and nothing else: it writes nothing and remembers little."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = Backoffs()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.inactivity_timeout = SILENCE_SECONDS
    settings.watching.connect_timeout = 10
    # Each object that is touched has a task and a queue of its own in kopf for so long.
    settings.queueing.idle_timeout = 0.1
    return settings


class Subscription:
    """One kind of object: kopf tells of each change, and when it begins to watch anew, everything is listed, since
    it may have missed some."""

    def __init__(self, client: ApiClient, path: str, store: Store) -> None:
        """`path` is that of the collection."""
        self._client = client
        self._store = store
        self._due = asyncio.Event()
        self.path = path
        self.synced = asyncio.Event()
        self.pulse = Pulse()

    async def run(self) -> None:
        """Never returns; trouble with the API server is logged and tried again, with growing pauses."""
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
        """List once. Raises Expired, kube.KubeError and network errors."""
        await fill(self._client, self.path, self._store, pulse=self.pulse)
        self.synced.set()

    def event(self, event: Mapping[str, Any]) -> None:
        """What a watch of kopf tells."""
        self.pulse.beat()
        document = dict(event["object"])
        if event["type"] == "DELETED":
            self._store.lose(document)
        elif not self._store.knows(document["metadata"]):
            self._store.take(document)

    def watched_anew(self) -> None:
        """kopf begins to watch from now on."""
        self._due.set()


def session(info: kopf.ConnectionInfo, subscriptions: Collection[Subscription]) -> kopf.AiohttpSession:
    """kopf's connection to the API server, in which its lists of what is subscribed to find nothing: a list tells it
    from which version to watch, and tells us that it does."""

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
