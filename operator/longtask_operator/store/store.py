"""Keeps what is too large for the object: up to 900 KiB in a ConfigMap, more in S3. Status holds the reference."""

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
"""Kubernetes allows 1 MiB of data; etcd 1.5 MiB for all of an object."""


class Store:
    """What tasks have outside of their objects. `max_bytes` is the most that one thing may have."""

    def __init__(self, config_maps: ConfigMaps, s3: S3 | None, max_bytes: int) -> None:
        self._config_maps = config_maps
        self._s3 = s3
        self._max_bytes = max_bytes

    @property
    def bucket(self) -> S3 | None:
        """The bucket, where one is set."""
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
        """Store a stream under a key of the owner, in place of what was there; the newest wins.

        A key begins with a letter or digit; more of those, dots, underscores and dashes follow. `sha256` (hex digits)
        is what the bytes should have. About 8 MiB are held in memory at most; `let_go` is told of each number of bytes
        that is not held any more.
        Raises TooLarge, DigestMismatch, StoreUnavailable, and what `chunks` raises. Nothing new stays then, except
        where the last request to store it was made and its answer did not come.
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
        """The bytes from `start` to before `end` (None: the last too), in chunks.

        Raises NotStored, also for what was put by another owner or was changed; when all is read that is known before
        the last chunk is given out. Raises StoreUnavailable.
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
        """Remove it; gone already is as good. Raises NotStored for what was put by another owner, StoreUnavailable."""
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
        """Where it is kept: S3, or None for a ConfigMap."""
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
