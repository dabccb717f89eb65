"""Parts of what is kept are read, by its owner only, and what was changed is never taken for what was put."""

import base64
from typing import Any

import pytest
from kubernetes.aio.client import ApiClient

from longtask_api.reports import Reference
from longtask_operator.store import config_maps
from longtask_operator.store.config_maps import ConfigMaps
from longtask_operator.store.errors import NotStored
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import CHUNK, S3
from longtask_operator.store.store import Store
from longtask_runtime.kube import Verb, request
from tests.kube import Kube
from tests.s3 import S3Server
from tests.store.conftest import NewOwner
from tests.store.streams import MIB, put, read, some_bytes

SMALL, LARGE = 100_000, 3 * MIB


@pytest.fixture(scope="module")
def reader(new_owner: NewOwner) -> Owner:
    """The owner of what the tests read and leave as it is."""
    return new_owner()


@pytest.fixture(scope="module")
async def references(store: Store, reader: Owner) -> dict[int, Reference]:
    """Something in a ConfigMap and something in S3, by size."""
    return {size: await put(store, reader, some_bytes(size), f"result-{size}") for size in (SMALL, LARGE)}


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 1), (0, 0), (7, 7), (1, 65536), (CHUNK - 1, CHUNK + 1), (99_999, None), (5, None), (10, 10**9), (10**9, None)],
)
async def test_a_range_is_those_bytes(
    store: Store, reader: Owner, references: dict[int, Reference], size: int, start: int, end: int | None
) -> None:
    assert await read(store, reader, references[size], start, end) == some_bytes(size)[start:end]


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_another_task_neither_reads_nor_deletes_it(
    store: Store, reader: Owner, owner: Owner, references: dict[int, Reference], size: int
) -> None:
    with pytest.raises(NotStored, match=f"kept for task {owner.name}"):
        await read(store, owner, references[size])
    with pytest.raises(NotStored, match=f"kept for task {owner.name}"):
        await store.delete(owner, references[size])
    assert await read(store, reader, references[size]) == some_bytes(size)


@pytest.mark.parametrize(("start", "end"), [(0, 10), (5, None), (CHUNK - 1, CHUNK + 1), (2 * CHUNK + 7, 2 * CHUNK + 9)])
async def test_a_service_that_gives_the_whole_where_a_range_was_asked_for_gives_those_bytes_too(
    store: Store,
    s3: S3,
    reader: Owner,
    references: dict[int, Reference],
    monkeypatch: pytest.MonkeyPatch,
    start: int,
    end: int | None,
) -> None:
    client = await s3._client.call(lambda client: client)
    get = client.get_object

    def without_range(**asked: Any) -> Any:
        return get(**{name: value for name, value in asked.items() if name != "Range"})

    monkeypatch.setattr(client, "get_object", without_range)
    assert await read(store, reader, references[LARGE], start, end) == some_bytes(LARGE)[start:end]
    with pytest.raises(NotStored, match="it was replaced"):
        await read(store, reader, references[LARGE].model_copy(update={"size": LARGE + 1}), start, end)


async def test_the_pages_of_a_config_map_cost_one_read(
    store: Store, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = await put(store, owner, some_bytes(SMALL))
    asked: list[str] = []

    async def counted(client: Any, verb: Verb, path: str, **others: Any) -> Any:
        asked.append(verb)
        return await request(client, verb, path, **others)

    monkeypatch.setattr(config_maps, "request", counted)
    pages = [await read(store, owner, reference, start, start + 20_000) for start in range(0, SMALL, 20_000)]
    assert (b"".join(pages), asked) == (some_bytes(SMALL), ["GET"])
    assert await read(store, owner, reference) == some_bytes(SMALL)
    assert asked == ["GET", "GET"]
    await store.delete(owner, reference)
    with pytest.raises(NotStored):
        await read(store, owner, reference, 0, 10)


async def test_only_so_many_bytes_are_remembered_for_pages(
    config_maps_of_a_test: ConfigMaps, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_maps, "REMEMBERED_BYTES", 250)
    maps = config_maps_of_a_test
    uris = [await maps.put(owner, f"part-{number}", "text/plain", bytes(100), "") for number in range(5)]
    for uri in uris:
        assert await maps.get_again(owner, uri) == bytes(100)
    assert len(maps._read) == 2


@pytest.fixture
def config_maps_of_a_test(client: ApiClient, kube: Kube) -> ConfigMaps:
    return ConfigMaps(client, kube.namespace)


async def test_what_is_in_s3_is_not_read_without_a_bucket(
    store_without_bucket: Store, reader: Owner, references: dict[int, Reference]
) -> None:
    with pytest.raises(NotStored, match=r"operator\.store\.s3"):
        await read(store_without_bucket, reader, references[LARGE])


FORGED = [
    "",
    "file:///etc/passwd",
    "https://example.test/{uid}/key",
    "configmap:",
    "configmap:kube-root-ca.crt",
    "configmap:../secrets/token-{uid}",
    "configmap:../../kube-system/configmaps/x-{uid}",
    "configmap:x-{uid}?watch=1",
    "configmap:{uid}-x",
    "s3://other-bucket/longtask/{namespace}/{uid}/key",
    "s3://longtask-test/longtask/{namespace}/other-uid/key",
    "s3://longtask-test/longtask/other-namespace/{uid}/key",
    "s3://longtask-test/other-prefix/{namespace}/{uid}/key",
    "s3://longtask-test/longtask/{namespace}/{uid}/../other-uid/key",
    "s3://longtask-test/longtask/{namespace}/{uid}/",
    "s3://longtask-test/key",
    "s3://longtask-test/longtask/{namespace}/{uid}/key%2f..",
    "s3://longtask-test/longtask/{namespace}/{uid}/key\n",
]

REFUSED = r"is no ConfigMap that is kept|is not kept for task|is nowhere"


@pytest.mark.parametrize("uri", FORGED)
async def test_a_uri_that_this_store_would_not_write_is_refused(
    store: Store, kube: Kube, owner: Owner, uri: str
) -> None:
    forged = Reference.model_construct(uri=uri.format(uid=owner.uid, namespace=kube.namespace), size=1, sha256="0" * 64)
    with pytest.raises(NotStored, match=REFUSED):
        await read(store, owner, forged)
    with pytest.raises(NotStored, match=REFUSED):
        await store.delete(owner, forged)


@pytest.mark.parametrize("size", [LARGE, LARGE + 10, LARGE - 10])
async def test_an_object_that_was_changed_is_noticed_before_its_last_chunk(
    store: Store, server: S3Server, owner: Owner, size: int
) -> None:
    reference = await put(store, owner, some_bytes(LARGE))
    key = reference.uri.removeprefix(f"s3://{server.bucket}/")
    server.client.put_object(Bucket=server.bucket, Key=key, Body=some_bytes(LARGE)[: size - 1] + bytes(size))
    await _is_noticed(store, owner, reference)


@pytest.mark.parametrize("content", ["", "other", "some bytes!"])
async def test_a_config_map_that_was_changed_is_noticed(store: Store, kube: Kube, owner: Owner, content: str) -> None:
    reference = await put(store, owner, b"some bytes.")
    name = reference.uri.removeprefix("configmap:")
    change = {"binaryData": {"content": base64.b64encode(content.encode()).decode() if content else None}}
    path = f"/api/v1/namespaces/{kube.namespace}/configmaps/{name}"
    kube.request("PATCH", path, change, content="application/merge-patch+json").done()
    await _is_noticed(store, owner, reference)
    with pytest.raises(NotStored):
        await read(store, owner, reference, 1, 2)


async def _is_noticed(store: Store, owner: Owner, reference: Reference) -> None:
    given = 0

    async def read_all() -> None:
        nonlocal given
        async for chunk in store.get(owner, reference):
            given += len(chunk)

    with pytest.raises(NotStored, match=r"changed|replaced"):
        await read_all()
    assert given < reference.size
