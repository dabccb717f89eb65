"""Bytes to put, and bytes that come back."""

import random
from collections.abc import AsyncIterator

from longtask_api.reports import Reference
from longtask_operator.store.owner import Owner
from longtask_operator.store.store import Store

KIB = 1024
MIB = 1024 * 1024


def some_bytes(size: int) -> bytes:
    """Bytes that look random, the same for the same size."""
    return random.Random(size).randbytes(size)


async def stream(data: bytes, chunk: int = 64 * KIB) -> AsyncIterator[bytes]:
    """The bytes as a request would bring them."""
    for start in range(0, len(data), chunk):
        yield data[start : start + chunk]


async def put(store: Store, owner: Owner, data: bytes, key: str = "result-1", sha256: str | None = None) -> Reference:
    """Put them as JSON."""
    return await store.put(owner, key, "application/json", stream(data), sha256)


async def read(store: Store, owner: Owner, reference: Reference, start: int = 0, end: int | None = None) -> bytes:
    """All chunks in one."""
    return b"".join([chunk async for chunk in store.get(owner, reference, start, end)])
