"""Leader election on a coordination.k8s.io/v1 Lease: one replica reconciles, the others are standbys.

kubernetes.aio.leaderelection is not used, because it ends on a network error and does not release the Lease when it
stops.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_api.base import rfc3339_microseconds
from longtask_runtime.clock import CLOCK
from longtask_runtime.kube import KubeError, request
from longtask_runtime.logs import Expected, in_words

logger = logging.getLogger(__name__)

BREAK = 5.0
"""Seconds by which a renewal may be late before that counts as an outage of the API server."""


NO_ANSWER = "the API server did not answer in time to renew it"


class _Changed(Exception):
    """The Lease has been written since it was read: by another replica, or by a write of ours that got no answer."""


class NotLeading(Expected):
    """This replica is not the leader, or the admission policy found its term over: nothing was written."""


@dataclass(frozen=True, slots=True)
class Term:
    """The rest of the leader's term."""

    seconds: float
    """Until this replica stops leading, a third of the Lease's duration before another one may start."""
    not_after: datetime
    """No other replica leads before this time, by the API server's clock."""


class LeaderElector:
    """Runs `lead` while this replica holds the Lease; cancels it when the Lease is lost.

    A term is counted from the moment before its renewal was sent: a standby that waits for the Lease to expire cannot
    have seen that renewal any earlier.
    """

    def __init__(
        self,
        client: ApiClient,
        namespace: str,
        name: str,
        identity: str,
        duration: int,
        clock: Callable[[], float] = time.monotonic,
        unfit: Callable[[], str | None] = lambda: None,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        """`duration` in seconds: a holder that has not renewed for that long counts as dead. `clock` returns seconds;
        the event loop's clock will not do, as it stands still while the loop is blocked. `unfit` returns why this
        replica should not lead, or None. `lost` is called whenever this replica stops leading and keeps running.
        """
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._name = name
        self._identity = identity
        self._duration = duration
        self._clock = clock
        self._unfit = unfit
        self._lost = lost
        self._trouble = NO_ANSWER
        """Why the last renewal failed, for the message when the Lease is lost."""
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._held_until: float | None = None
        """By `clock`; None while this replica does not hold the Lease."""
        self._held: dict[str, Any] | None = None
        """The Lease as this replica last wrote it; None when it may have changed since."""
        self._not_after = datetime.fromtimestamp(0, UTC)
        self._open_until = 0.0
        """By `clock`; until then a write that got no answer may still be applied."""
        self.unbroken_since = CLOCK.now()
        """Since when the Lease has been renewed without an outage. Before that, reads and writes may have failed for a
        while."""
        self.leads_since = datetime.max.replace(tzinfo=UTC)
        """Since when no other replica has led, by the API server's clock, rounded down to seconds; of use only while
        this replica leads."""

    def term(self) -> Term:
        """The rest of the term; to be called right before each write. Raises NotLeading."""
        left = self._left()
        if left <= 0:
            raise NotLeading(f"{self._identity} does not hold Lease {self._name} any more")
        return Term(left, self._not_after)

    def unanswered(self) -> None:
        """Note a write of this term that got no answer: no other replica may lead while it may still be applied, so the
        Lease is not released meanwhile.
        """
        self._open_until = self._clock() + self._duration

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Run until cancelled, then release the Lease so that another replica takes over at once. If a write may still
        be applied, the Lease is left to expire instead.
        """
        try:
            while True:
                await self._acquire()
                await self._while_held(lead)
        finally:
            if self._held_until is not None:
                await asyncio.shield(self._release())

    async def _acquire(self) -> None:
        while True:
            if self._left() <= 0:
                self._held_until = None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._duration * 2 / 3):
                    if self._unfit() is None and await self._try() and self._left() > 0:
                        break
            await asyncio.sleep(min(1.0, self._duration / 5))
        logger.info("leading", extra={"identity": self._identity})

    async def _while_held(self, lead: Callable[[], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew())
        try:
            done, _ = await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if renewing in done:
                self._lost()
                why = renewing.result()
                if why is None:
                    self._held_until = None
                told = f"lost the lease: {self._trouble}" if why is None else f"{self._goes()}: {why}"
                logger.warning(told, extra={"identity": self._identity})
        finally:
            for task in (work, renewing):
                task.cancel()
            results = await asyncio.gather(work, renewing, return_exceptions=True)
        if self._held_until is not None and renewing in done:
            await self._release()
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _renew(self) -> str | None:
        """Renew the Lease until it is lost, because another replica holds it or it was not renewed in time: returns
        None. Returns the reason if this replica should release it.
        """
        while (left := self._left()) > 0:
            if (why := self._unfit()) is not None:
                return why
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await asyncio.sleep(self._duration / 6)
                    async with asyncio.timeout(self._duration / 3):
                        if not await self._try():
                            return None
        return None

    async def _try(self) -> bool:
        """Acquire or renew the Lease; whether this replica holds it. While the API server does not answer, a leader
        holds it until its term ends.
        """
        held, self._held = self._held, None
        if held is not None:
            # While no other replica writes the Lease, a renewal needs no read.
            with contextlib.suppress(_Changed):
                return await self._write(held, self._identity)
        try:
            lease = await request(self._client, "GET", self._path)
        except KubeError as error:
            if error.status != 404:
                return self._unknown("reading", error)
            lease = None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._unknown("reading", error)
        spec = (lease or {}).get("spec") or {}
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if self._seen != (holder, renewed):
            self._seen, self._seen_at = (holder, renewed), self._clock()
        lives = self._clock() - self._seen_at < (spec.get("leaseDurationSeconds") or self._duration)
        if holder not in ("", self._identity) and lives:
            self._trouble = f"{holder} holds it"
            return False
        try:
            return await self._write(lease, holder)
        except _Changed:
            self._trouble = "another replica has written it"
            return False

    def _unknown(self, doing: str, error: Exception) -> bool:
        """The Lease's state is unknown: a leader continues until its term ends, a standby remains one."""
        self._trouble = f"{doing} it failed until its time was over: {in_words(error)}"
        logger.warning("%s the lease: %s", doing, in_words(error))
        return self._left() > 0

    async def _write(self, lease: dict[str, Any] | None, holder: str) -> bool:
        """Write the Lease with this replica as holder; returns as `_try`. Raises _Changed if `lease` is outdated."""
        now, sent = rfc3339_microseconds(CLOCK.now()), self._clock()
        before = (lease or {}).get("spec") or {}
        changed = holder != self._identity
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": self._duration,
            "renewTime": now,
            "acquireTime": now if changed else before.get("acquireTime", now),
            "leaseTransitions": before.get("leaseTransitions", 0) + (1 if changed and lease else 0),
        }
        body = lease or {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self._name}}
        try:
            written = await request(
                self._client,
                "PUT" if lease else "POST",
                self._path if lease else self._collection,
                body={**body, "spec": spec},
            )
        except KubeError as error:
            if error.status == 409:
                raise _Changed from error
            return self._unknown("writing", error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._unknown("writing", error)
        self._seen, self._seen_at = (self._identity, now), self._clock()
        held_until = sent + self._duration * 2 / 3
        if self._held_until is None or held_until - self._held_until > self._duration / 6 + BREAK:
            self.unbroken_since = CLOCK.now()
        written_at = _written_at(written, now)
        if self._held_until is None or changed:
            self.leads_since = written_at
        self._held, self._held_until, self._trouble = written, held_until, NO_ANSWER
        self._not_after = written_at + timedelta(seconds=self._duration)
        return True

    def _left(self) -> float:
        return 0.0 if self._held_until is None else self._held_until - self._clock()

    def _goes(self) -> str:
        return "lets the lease run out, as a write got no answer" if self._is_open() else "gives the lease back"

    def _is_open(self) -> bool:
        return self._clock() < self._open_until

    async def _release(self) -> None:
        self._held = None
        if self._is_open():
            self._held_until = None
            return
        with contextlib.suppress(KubeError, aiohttp.ClientError, TimeoutError, OSError):
            lease = await request(self._client, "GET", self._path)
            if lease["spec"].get("holderIdentity") == self._identity:
                await request(
                    self._client,
                    "PUT",
                    self._path,
                    body={**lease, "spec": {**lease["spec"], "holderIdentity": ""}},
                )
        self._held_until = None


def _written_at(lease: dict[str, Any], sent: str) -> datetime:
    """When the API server applied the write, by its own clock, rounded down to seconds (from managedFields); else when
    the write was sent, by the API server's clock as far as it is known.
    """
    entries = lease["metadata"].get("managedFields") or []
    times = [entry["time"] for entry in entries if entry.get("time")]
    return max(map(datetime.fromisoformat, times or [sent]))
