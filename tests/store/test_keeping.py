"""What is put comes back byte by byte, from where its size sends it."""

import asyncio
import hashlib

import pytest

from longtask_api import constants
from longtask_api.reports import Reference
from longtask_operator.store.errors import NotStored
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import PART
from longtask_operator.store.store import MAX_CONFIG_MAP_BYTES, Store
from tests.kube import Kube, eventually
from tests.s3 import S3Server
from tests.store.conftest import LIMIT, Kept
from tests.store.streams import KIB, MIB, put, read, some_bytes, stream

SIZES = {
    0: "configmap:",
    1: "configmap:",
    MAX_CONFIG_MAP_BYTES - 1: "configmap:",
    MAX_CONFIG_MAP_BYTES: "configmap:",
    MAX_CONFIG_MAP_BYTES + 1: "s3://",
    PART - 1: "s3://",
    PART: "s3://",
    PART + 1: "s3://",
    20 * MIB: "s3://",
    LIMIT: "s3://",
}


@pytest.mark.parametrize(("size", "scheme"), SIZES.items())
async def test_bytes_of_any_size_come_back_as_they_were(store: Store, owner: Owner, size: int, scheme: str) -> None:
    data = some_bytes(size)
    reference = await put(store, owner, data, sha256=hashlib.sha256(data).hexdigest())
    assert reference.uri.startswith(scheme)
    assert (reference.size, reference.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert await read(store, owner, reference) == data


@pytest.mark.parametrize(
    "text",
    ['{"größe": "ü\u2028\u0085\ufeff𝄞"}', "\0\x01\x7f\r\n", "- yaml: &a [*a]\n"],
    ids=["unicode", "control characters", "yaml"],
)
async def test_text_of_any_kind_comes_back_as_it_was(store: Store, owner: Owner, text: str) -> None:
    assert await read(store, owner, await put(store, owner, text.encode())) == text.encode()


@pytest.mark.parametrize("chunk", [777, 300 * KIB, 9 * MIB, 24 * MIB])
async def test_it_does_not_matter_in_what_chunks_bytes_come(store: Store, owner: Owner, chunk: int) -> None:
    data = some_bytes(17 * MIB)
    reference = await store.put(owner, "result-1", "text/plain", stream(data, chunk), None)
    assert await read(store, owner, reference) == data


@pytest.mark.parametrize("key", ["", ".", "..", "a/b", "../result-1", "ä", "a b", "a\n"])
async def test_nothing_is_put_under_what_is_no_key(store: Store, owner: Owner, key: str) -> None:
    with pytest.raises(ValueError, match="is no key"):
        await put(store, owner, b"1", key)


@pytest.mark.parametrize("size", [3, 2 * MIB])
async def test_putting_again_under_a_key_replaces(store: Store, kept: Kept, owner: Owner, size: int) -> None:
    before = await put(store, owner, some_bytes(size))
    after = await put(store, owner, some_bytes(size + 1))
    assert after.uri == before.uri
    assert len(kept.of(owner)) == 1
    assert await read(store, owner, after) == some_bytes(size + 1)
    with pytest.raises(NotStored, match="replaced"):
        await read(store, owner, before)


@pytest.mark.parametrize("size", [3 * KIB, 2 * MIB, 10 * MIB])
async def test_of_puts_under_one_key_at_once_one_is_kept_whole(
    store: Store, kept: Kept, owner: Owner, size: int
) -> None:
    different = [bytes([number]) * size for number in range(6)]
    references = await asyncio.gather(*(put(store, owner, data) for data in different))
    assert len(kept.of(owner)) == 1
    assert sum([await _comes_back(store, owner, reference) for reference in references]) == 1


@pytest.mark.parametrize("size", [3, 2 * MIB])
async def test_what_is_deleted_is_gone_and_deleting_it_again_is_fine(
    store: Store, kept: Kept, owner: Owner, size: int
) -> None:
    reference = await put(store, owner, some_bytes(size))
    await store.delete(owner, reference)
    assert kept.of(owner) == []
    with pytest.raises(NotStored, match="start the task again"):
        await read(store, owner, reference)
    await store.delete(owner, reference)


async def test_a_config_map_says_what_it_holds_and_whose_it_is(store: Store, kube: Kube, owner: Owner) -> None:
    reference = await store.put(owner, "result-1", "text/csv; charset=utf-8", stream(b"a,b"), None)
    metadata = kube.get(_path(kube, reference)).done()["metadata"]
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "longtask",
        "longtask.dev/task": owner.name,
        "longtask.dev/task-uid": owner.uid,
    }
    assert metadata["annotations"] == {
        "longtask.dev/media-type": "text/csv; charset=utf-8",
        "longtask.dev/sha256": reference.sha256,
    }


async def test_a_config_map_goes_with_its_task(store: Store, kube: Kube, owner: Owner) -> None:
    path = _path(kube, await put(store, owner, b"1"))
    assert kube.get(path).code == 200
    kube.request("DELETE", kube.path(constants.TASK_PLURAL, owner.name)).done()
    eventually(lambda: kube.get(path).code, lambda code: code == 404)


@pytest.mark.parametrize(("size", "told"), [(2 * MIB, False), (2 * MIB, True), (9 * MIB, True)])
async def test_an_object_says_what_it_holds(
    store: Store, kube: Kube, server: S3Server, owner: Owner, size: int, told: bool
) -> None:
    data = some_bytes(size)
    sha256 = hashlib.sha256(data).hexdigest()
    await store.put(owner, "artifact-model.bin", "model/gltf-binary", stream(data), sha256 if told else None)
    key = f"longtask/{kube.namespace}/{owner.uid}/artifact-model.bin"
    head = server.client.head_object(Bucket=server.bucket, Key=key)
    assert (head["ContentType"], head["Metadata"]) == ("model/gltf-binary", {"sha256": sha256})


def _path(kube: Kube, reference: Reference) -> str:
    return f"/api/v1/namespaces/{kube.namespace}/configmaps/{reference.uri.removeprefix('configmap:')}"


async def _comes_back(store: Store, owner: Owner, reference: Reference) -> bool:
    try:
        await read(store, owner, reference)
    except NotStored:
        return False
    return True
