"""What is not taken leaves nothing behind: no ConfigMap, no object, no unfinished upload."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator

import pytest

from longtask_operator.store.errors import DigestMismatch, TooLarge
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import PART, S3
from longtask_operator.store.store import MAX_CONFIG_MAP_BYTES, Store
from tests.patience import PATIENCE
from tests.store.conftest import LIMIT, Kept
from tests.store.streams import MIB, put, read, some_bytes, stream

SIZES = [10, MAX_CONFIG_MAP_BYTES, 2 * MIB, PART, 17 * MIB]
"""In a ConfigMap, in one request to S3, in parts."""


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_with_another_digest_are_not_kept(store: Store, kept: Kept, owner: Owner, size: int) -> None:
    data = some_bytes(size)
    wrong = hashlib.sha256(data[:-1]).hexdigest()
    with pytest.raises(DigestMismatch, match=f"{hashlib.sha256(data).hexdigest()}, not {wrong}"):
        await put(store, owner, data, sha256=wrong)
    assert kept.of(owner) == []


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_with_another_digest_do_not_replace_what_is_kept(store: Store, owner: Owner, size: int) -> None:
    before = await put(store, owner, some_bytes(size))
    with pytest.raises(DigestMismatch):
        await put(store, owner, some_bytes(size)[::-1], sha256="0" * 64)
    assert await read(store, owner, before) == some_bytes(size)


async def test_more_than_the_limit_is_not_kept(store: Store, kept: Kept, owner: Owner) -> None:
    with pytest.raises(TooLarge, match=rf"^more than {LIMIT} bytes, the limit operator\.store\.maxBytes"):
        await put(store, owner, some_bytes(LIMIT + 1))
    assert kept.of(owner) == []


async def test_more_than_a_config_map_holds_is_not_kept_without_a_bucket(
    store_without_bucket: Store, kept: Kept, owner: Owner
) -> None:
    assert await read(
        store_without_bucket, owner, await put(store_without_bucket, owner, some_bytes(MAX_CONFIG_MAP_BYTES), "most")
    ) == some_bytes(MAX_CONFIG_MAP_BYTES)
    with pytest.raises(TooLarge, match=r"more than 921600 bytes; without an S3 bucket .* operator\.store\.s3\.bucket"):
        await put(store_without_bucket, owner, some_bytes(MAX_CONFIG_MAP_BYTES + 1), "more")
    assert len(kept.of(owner)) == 1


async def test_a_limit_below_what_a_config_map_holds_is_held(store: Store, kept: Kept, owner: Owner) -> None:
    frugal = Store(store._config_maps, None, 1000)
    assert (await put(frugal, owner, bytes(1000))).size == 1000
    with pytest.raises(TooLarge, match=r"more than 1000 bytes, the limit operator\.store\.maxBytes"):
        await put(frugal, owner, bytes(1001), "more")
    assert len(kept.of(owner)) == 1


async def test_a_stream_over_the_limit_is_not_read_on(store: Store, owner: Owner) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += MIB
            yield bytes(MIB)

    with pytest.raises(TooLarge):
        await store.put(owner, "result-1", "text/plain", endless(), None)
    assert taken <= LIMIT + MIB


@pytest.mark.parametrize("after", [0, 10, 2 * MIB, PART, 17 * MIB])
async def test_a_stream_that_breaks_leaves_nothing(store: Store, kept: Kept, owner: Owner, after: int) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        async for chunk in stream(some_bytes(after)):
            yield chunk
        raise ConnectionResetError("the pod went away")

    with pytest.raises(ConnectionResetError):
        await store.put(owner, "result-1", "text/plain", breaking(), None)
    assert kept.of(owner) == []


@pytest.mark.parametrize("operation", ["CreateMultipartUpload", "UploadPart", "reading"])
async def test_a_put_that_is_cancelled_leaves_nothing(
    store: Store, s3: S3, kept: Kept, owner: Owner, operation: str
) -> None:
    """Cancelled while a request of that kind is on its way, or while bytes are awaited."""
    loop, waiting = asyncio.get_running_loop(), asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        async for chunk in stream(some_bytes(17 * MIB), PART):
            yield chunk
        waiting.set()
        await asyncio.Event().wait()

    def cancel(**_: object) -> None:
        loop.call_soon_threadsafe(putting.cancel)

    event = f"before-send.s3.{operation}"
    events = await s3._client.call(lambda client: client.meta.events)
    events.register(event, cancel)
    putting = asyncio.create_task(store.put(owner, "result-1", "text/plain", stalling(), None))
    try:
        if operation == "reading":
            await waiting.wait()
            assert kept.of(owner) != []
            putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(putting), PATIENCE)
    finally:
        events.unregister(event, cancel)
    assert putting.cancelled()
    assert kept.of(owner) == []


async def test_an_upload_is_not_removed_while_a_part_is_on_its_way(store: Store, s3: S3, owner: Owner) -> None:
    """S3 may keep the part otherwise, and the bill for it."""
    loop, order, overtaken = asyncio.get_running_loop(), list[str](), threading.Event()

    def sending(**_: object) -> None:
        loop.call_soon_threadsafe(putting.cancel)
        overtaken.wait(0.2)
        order.append("part")

    def removing(**_: object) -> None:
        order.append("removal")
        overtaken.set()

    events = await s3._client.call(lambda client: client.meta.events)
    events.register("before-send.s3.UploadPart", sending)
    events.register("before-send.s3.AbortMultipartUpload", removing)
    putting = asyncio.create_task(store.put(owner, "result-1", "text/plain", stream(bytes(PART), PART), None))
    try:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(putting), PATIENCE)
    finally:
        events.unregister("before-send.s3.UploadPart", sending)
        events.unregister("before-send.s3.AbortMultipartUpload", removing)
    assert order == ["part", "removal"]
