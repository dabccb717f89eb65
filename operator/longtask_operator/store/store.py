"""Stores data that is too large for the object: up to 900 KiB in a ConfigMap, more in S3. Status has the reference."""

import contextlib
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable

from longtask_api.reports import Reference
from longtask_operator.store.config_maps import CONFIG_MAP_SCHEME, ConfigMaps
from longtask_operator.store.errors import NotStored, TooLarge
from longtask_operator.store.hashing_stream import HashingStream
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import KEY, S3, S3_SCHEME

MAX_CONFIG_MAP_BYTES = 900 * 1024
"""Kubernetes allows 1 MiB of data in a ConfigMap, etcd 1.5 MiB for a whole object."""


class Store:
    """Data that tasks have outside of their objects. `max_bytes` limits each item."""

    def __init__(self, config_maps: ConfigMaps, s3: S3 | None, max_bytes: int) -> None:
        self._config_maps = config_maps
        self._s3 = s3
        self._max_bytes = max_bytes

    @property
    def bucket(self) -> S3 | None:
        """The bucket, if one is configured."""
        return self._s3

    async def put(
        self,
        owner: Owner,
        key: str,
        media_type: str,
        chunks: AsyncIterator[bytes],
        sha256: str | None,
        let_go: Callable[[int], None] = lambda size: None,
    ) -> Reference:
        """Store a stream under a key of the owner, replacing earlier data; the last write wins.

        A key is a letter or digit, followed by letters, digits, dots, underscores and dashes. `sha256` (hex digits) is
        the expected digest. About 8 MiB at most are held in memory; `let_go` is called with each number of bytes that
        is no longer held.

        Raises ValueError for an invalid key, TooLarge, DigestMismatch, StoreUnavailable, and what `chunks` raises.
        Nothing new is stored then, unless the request that completes it was sent and its answer was lost.
        """
        if not re.fullmatch(KEY, key):
            raise ValueError(f"{key!r} is no key: letters, digits, dots, underscores and dashes only")
        limit = self._max_bytes if self._s3 else min(self._max_bytes, MAX_CONFIG_MAP_BYTES)
        incoming = HashingStream(chunks, sha256, limit, self._too_large, let_go)
        small = await incoming.ahead(MAX_CONFIG_MAP_BYTES + 1) <= MAX_CONFIG_MAP_BYTES
        if self._s3 is None or small:
            data = await incoming.read(MAX_CONFIG_MAP_BYTES)
            uri = await self._config_maps.put(owner, key, media_type, data, incoming.sha256())
        else:
            uri = await self._s3.put(owner, key, media_type, incoming)
        return Reference(uri=uri, size=incoming.size, sha256=incoming.sha256())

    async def get(
        self, owner: Owner, reference: Reference, start: int = 0, end: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` to before `end` (None: to the last), in chunks.

        Raises StoreUnavailable, and NotStored, also for data that belongs to another owner or was changed; a read of
        the whole raises that before it yields the last chunk.
        """
        end = reference.size if end is None else min(end, reference.size)
        whole = start == 0 and end == reference.size
        digest, held = hashlib.sha256(), b""
        async with contextlib.aclosing(self._chunks(owner, reference, start, end)) as chunks:
            async for chunk in chunks:
                if held:
                    yield held
                digest.update(chunk)
                held = chunk
        if whole and digest.hexdigest() != reference.sha256:
            raise _changed(reference)
        if held:
            yield held

    async def delete(self, owner: Owner, reference: Reference) -> None:
        """Delete the data; no error if it is gone already. Raises NotStored if it belongs to another owner, and
        StoreUnavailable.
        """
        if (bucket := self._bucket_of(reference)) is not None:
            await bucket.delete(owner, reference.uri)
        else:
            await self._config_maps.delete(owner, reference.uri)

    async def _chunks(self, owner: Owner, reference: Reference, start: int, end: int) -> AsyncGenerator[bytes, None]:
        if (bucket := self._bucket_of(reference)) is not None:
            if start < end:
                async with contextlib.aclosing(bucket.get(owner, reference.uri, start, end, reference.size)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            return
        whole = start == 0 and end == reference.size
        read = self._config_maps.get if whole else self._config_maps.get_again
        data = await read(owner, reference.uri)
        if hashlib.sha256(data).hexdigest() != reference.sha256:
            raise _changed(reference)
        yield data[start:end]

    def _bucket_of(self, reference: Reference) -> S3 | None:
        """S3 if the data is there, None for a ConfigMap. Raises NotStored for any other URI."""
        if reference.uri.startswith(CONFIG_MAP_SCHEME):
            return None
        if reference.uri.startswith(S3_SCHEME) and self._s3 is not None:
            return self._s3
        raise NotStored(
            f"{reference.uri} is nowhere that this store can read: it reads ConfigMaps, and the bucket that "
            "operator.store.s3 in the chart's values names"
        )

    def _too_large(self) -> TooLarge:
        if self._s3 is None and self._max_bytes > MAX_CONFIG_MAP_BYTES:
            return TooLarge(
                f"more than {MAX_CONFIG_MAP_BYTES} bytes; without an S3 bucket no more fits: set "
                "operator.store.s3.bucket in the chart's values"
            )
        return TooLarge(f"more than {self._max_bytes} bytes, the limit operator.store.maxBytes in the chart's values")


def _changed(reference: Reference) -> NotStored:
    return NotStored(f"{reference.uri} does not have the SHA-256 of what was stored: it was replaced or changed")
