"""Whether an operator is the leader, by its Lease: without a leader no task's status is updated."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_runtime import clock, kube

KNOWN_SECONDS = 10.0
"""How long a read of the Lease is cached, in seconds."""
ASK_SECONDS = 2.0
"""Timeout of that read, in seconds."""


class Leading:
    """Reads the operator's Lease on demand and caches it briefly."""

    def __init__(
        self, client: ApiClient, namespace: str | None, name: str, now: Callable[[], datetime] = clock.now
    ) -> None:
        """Without a namespace the Lease is never read."""
        self._client = client
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}" if namespace else None
        self._now = now
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._spec: dict[str, Any] = {}

    async def away_since(self) -> datetime | None:
        """When an operator was last the leader, if that is longer ago than a change of leaders takes; None if one
        leads, or it is unknown.
        """
        if self._path is None:
            return None
        async with self._lock:
            if time.monotonic() - self._read_at >= KNOWN_SECONDS:
                self._spec = await self._read(self._path)
                self._read_at = time.monotonic()
        return led_last(self._spec, self._now())

    async def _read(self, path: str) -> dict[str, Any]:
        try:
            lease = await kube.request(self._client, "GET", path, timeout=ASK_SECONDS)
        except (kube.KubeError, aiohttp.ClientError, TimeoutError):
            return {}
        return lease.get("spec") or {}


def led_last(spec: dict[str, Any], now: datetime) -> datetime | None:
    """The last renewal, if over two Lease durations ago; else None. After one, another replica could have taken it."""
    renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if not renewed or not seconds:
        return None
    last = datetime.fromisoformat(renewed)
    return last if now - last > timedelta(seconds=2 * seconds) else None
