"""Caches an issuer's keys: fetches them again when they are old or one is missing, and keeps them while it is away."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from longtask_mcp.oauth.key_source import NoKeys, SigningKey
from longtask_runtime.authentication import Unavailable

REFRESH_SECONDS: Final = 300.0
"""Age at which keys are fetched again, so that a withdrawn one is accepted for that much longer."""
RETRY_SECONDS: Final = 30.0
"""Time after a failure until they are fetched again, if no token needs that earlier."""
INTERVAL_SECONDS: Final = 5.0
"""Shortest time between two fetches, whatever tokens arrive."""
MAX_WAITING: Final = 64
"""Requests that wait for keys at a time."""

log = logging.getLogger(__name__)


class IssuerUnavailable(Unavailable):
    """A key is unknown, and the issuer cannot be asked for it now."""

    def __init__(self, issuer: str, why: str, retry_after: float) -> None:
        super().__init__(f"{issuer}: {why}")
        self.retry_after = max(1, math.ceil(retry_after))
        self.answer = f"the keys of {issuer} cannot be read; try again in {self.retry_after} seconds"


class KeyCache:
    """The keys of one issuer. Only a fetch that succeeds replaces them."""

    def __init__(
        self,
        issuer: str,
        fetch: Callable[[], Awaitable[Sequence[SigningKey]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._keys: Sequence[SigningKey] = ()
        self._as_of = -math.inf
        """When the fetch of these keys began."""
        self._next = -math.inf
        """When the next fetch may begin."""
        self._failure: Exception | None = None
        """Why the last fetch failed; None if it did not."""
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0

    def age(self) -> float:
        """Seconds since the keys were fetched; infinite before."""
        return self._clock() - self._as_of

    def fitting(self, kid: str | None, algorithm: str) -> list[SigningKey]:
        """The keys that may have signed a token with this header."""
        return [key for key in self._keys if key.fits(kid, algorithm)]

    async def follow(self) -> None:
        """Fetch the keys now, and again when they are old, until cancelled."""
        try:
            while True:
                await self._turn()
                await asyncio.sleep(REFRESH_SECONDS if self._failure is None else RETRY_SECONDS)
        finally:
            if self._fetching is not None:
                self._fetching.cancel()

    async def refresh(self) -> None:
        """Return when the keys are those of a fetch that began after this call. Concurrent callers share it.

        Raises IssuerUnavailable, without a fetch if one has just failed, or if too many callers wait.
        """
        called = self._clock()
        if self._waiting >= MAX_WAITING:
            raise IssuerUnavailable(self._issuer, "too many tokens with unknown keys", INTERVAL_SECONDS)
        self._waiting += 1
        try:
            while self._as_of < called:
                if self._failure is not None and self._clock() < self._next:
                    raise IssuerUnavailable(self._issuer, str(self._failure), self._next - self._clock())
                await asyncio.shield(self._turn())
        finally:
            self._waiting -= 1

    def _turn(self) -> asyncio.Task[None]:
        """The fetch that is in flight or waits for its turn, else a new one."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._fetch_in_turn())
        return self._fetching

    async def _fetch_in_turn(self) -> None:
        await asyncio.sleep(self._next - self._clock())
        begun = self._clock()
        try:
            keys = await self._fetch()
        except Exception as failure:  # whatever an issuer answers, the server and the keys that it knows stay
            unexpected = not isinstance(failure, NoKeys)
            text = "keys of an issuer cannot be read: %s"
            log.warning(text, failure, extra={"issuer": self._issuer}, exc_info=unexpected)
            self._failure = failure
        else:
            self._keys, self._as_of, self._failure = keys, begun, None
        finally:
            self._next = self._clock() + INTERVAL_SECONDS
