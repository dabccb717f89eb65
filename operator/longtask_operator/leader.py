"""Leader election on a coordination.k8s.io/v1 Lease: one replica decides, the others watch and wait.

Not kubernetes.aio.leaderelection: that one ends on a network error and does not give the Lease back when it stops.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_runtime.kube import KubeError, request

logger = logging.getLogger(__name__)


class Lease:
    """Runs `lead` while this replica holds the Lease; cancels it when the Lease is lost."""

    def __init__(self, client: ApiClient, namespace: str, name: str, identity: str, duration: int) -> None:
        """`duration` in seconds: a holder that has not renewed for so long is taken for dead."""
        self._client = client
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._path = f"{self._collection}/{name}"
        self._name = name
        self._identity = identity
        self._duration = duration
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self.is_leader = False

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Until cancelled; then the Lease is given back, so that another replica takes over at once."""
        try:
            while True:
                await self._acquire()
                await self._while_held(lead)
        finally:
            if self.is_leader:
                await asyncio.shield(self._release())

    async def _acquire(self) -> None:
        while not await self._try():  # noqa: ASYNC110 - what it waits for is in the cluster
            await asyncio.sleep(min(1.0, self._duration / 5))
        self.is_leader = True
        logger.info("leading", extra={"identity": self._identity})

    async def _while_held(self, lead: Callable[[], Awaitable[None]]) -> None:
        work = asyncio.ensure_future(lead())
        renewing = asyncio.create_task(self._renew())
        try:
            done, _ = await asyncio.wait({work, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, renewing):
                task.cancel()
            results = await asyncio.gather(work, renewing, return_exceptions=True)
        if renewing in done:
            self.is_leader = False
            logger.warning("lost the lease", extra={"identity": self._identity})
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _renew(self) -> None:
        """Returns when the Lease is lost: another holder, or not renewed for two thirds of its duration."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < self._duration * 2 / 3:
            await asyncio.sleep(self._duration / 6)
            try:
                async with asyncio.timeout(self._duration / 3):
                    if not await self._try():
                        return
            except TimeoutError:
                continue
            if self._seen is not None:
                renewed = self._seen_at

    async def _try(self) -> bool:
        """Take or renew the Lease. False when another holds it, or when the API server does not answer."""
        try:
            lease = await request(self._client, "GET", self._path)
        except KubeError as error:
            if error.status != 404:
                logger.warning("reading the lease: %s", error)
                return self._still_held()
            lease = None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("reading the lease: %s", error)
            return self._still_held()
        loop = asyncio.get_running_loop()
        spec = (lease or {}).get("spec") or {}
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        if self._seen != (holder, renewed):
            self._seen, self._seen_at = (holder, renewed), loop.time()
        lives = loop.time() - self._seen_at < (spec.get("leaseDurationSeconds") or self._duration)
        if holder not in ("", self._identity) and lives:
            return False
        return await self._write(lease, holder)

    def _still_held(self) -> bool:
        """Nothing is known: a leader goes on until its own time is over, a standby stays one."""
        return self.is_leader

    async def _write(self, lease: dict[str, Any] | None, holder: str) -> bool:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
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
            await request(
                self._client,
                "PUT" if lease else "POST",
                self._path if lease else self._collection,
                body={**body, "spec": spec},
            )
        except KubeError as error:
            if error.status != 409:
                logger.warning("writing the lease: %s", error)
                return self._still_held()
            return False
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("writing the lease: %s", error)
            return self._still_held()
        self._seen, self._seen_at = (self._identity, now), asyncio.get_running_loop().time()
        return True

    async def _release(self) -> None:
        with contextlib.suppress(KubeError, aiohttp.ClientError, TimeoutError, OSError):
            lease = await request(self._client, "GET", self._path)
            if lease["spec"].get("holderIdentity") == self._identity:
                await request(
                    self._client,
                    "PUT",
                    self._path,
                    body={**lease, "spec": {**lease["spec"], "holderIdentity": ""}},
                )
        self.is_leader = False
