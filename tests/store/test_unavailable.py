"""Whatever fails on the way is told as StoreUnavailable, with what is wrong; later it works again."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from longtask_api.reports import Reference
from longtask_operator.store.config_maps import ConfigMaps
from longtask_operator.store.errors import StoreUnavailable
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import S3, S3Settings
from longtask_operator.store.store import Store
from tests.kube import Kube
from tests.ports import free_port
from tests.s3 import S3Server
from tests.store.conftest import LIMIT
from tests.store.streams import MIB, put, read, some_bytes

Use = Callable[[Store, Owner, Reference], Awaitable[object]]

USES: dict[str, Use] = {
    "put": lambda store, owner, _: put(store, owner, bytes(2 * MIB), "other"),
    "put in parts": lambda store, owner, _: put(store, owner, bytes(9 * MIB), "other"),
    "get": read,
    "delete": lambda store, owner, reference: store.delete(owner, reference),
}

WRONG: dict[str, tuple[Callable[[S3Settings], S3Settings], str]] = {
    "nobody listens": (
        lambda right: dataclasses.replace(right, endpoint_url=f"http://127.0.0.1:{free_port()}"),
        r"Could not connect .*; try again later$",
    ),
    "no such bucket": (
        lambda right: dataclasses.replace(right, bucket="not-there"),
        r"NoSuchBucket.*whoever installed LongTask .* operator\.store\.s3",
    ),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_bucket_that_cannot_be_used_is_told(
    config_maps: ConfigMaps, settings: S3Settings, kube: Kube, owner: Owner, wrong: str, use: str
) -> None:
    change, told = WRONG[wrong]
    changed = change(settings)
    s3 = S3(changed, kube.namespace)
    uri = f"s3://{changed.bucket}/longtask/{kube.namespace}/{owner.uid}/key"
    reference = Reference(uri=uri, size=10, sha256="0" * 64)
    try:
        with pytest.raises(StoreUnavailable, match=told):
            await USES[use](Store(config_maps, s3, LIMIT), owner, reference)
    finally:
        s3.close()


@pytest.mark.parametrize("variables", [{"AWS_SECRET_ACCESS_KEY": "wrong"}, {"AWS_ACCESS_KEY_ID": ""}])
async def test_wrong_or_missing_credentials_are_told_without_the_secret(
    config_maps: ConfigMaps,
    settings: S3Settings,
    kube: Kube,
    owner: Owner,
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    s3 = S3(settings, kube.namespace)
    try:
        with pytest.raises(StoreUnavailable, match=r"SignatureDoesNotMatch|credentials") as told:
            await put(Store(config_maps, s3, LIMIT), owner, bytes(2 * MIB))
    finally:
        s3.close()
    assert "wrong" not in str(told.value)


async def test_a_server_that_dies_in_mid_upload_and_comes_back(store: Store, server: S3Server, owner: Owner) -> None:
    data = some_bytes(17 * MIB)

    async def interrupted() -> AsyncIterator[bytes]:
        yield data[: 9 * MIB]
        server.kill()
        yield data[9 * MIB :]

    try:
        with pytest.raises(StoreUnavailable, match="try again later"):
            await store.put(owner, "result-1", "text/plain", interrupted(), None)
    finally:
        server.start()
    assert not any(owner.uid in key for key in server.object_keys())
    assert await read(store, owner, await put(store, owner, data)) == data


async def test_a_server_that_dies_in_mid_download_is_told(store: Store, server: S3Server, owner: Owner) -> None:
    reference = await put(store, owner, some_bytes(20 * MIB))
    chunks = store.get(owner, reference)
    await anext(chunks)
    server.kill()
    try:
        with pytest.raises(StoreUnavailable):
            _ = [chunk async for chunk in chunks]
    finally:
        server.start()
    assert await read(store, owner, reference) == some_bytes(20 * MIB)


@pytest.mark.parametrize("use", ["put", "get", "delete"])
async def test_an_api_server_that_cannot_be_reached_is_told(s3: S3, kube: Kube, owner: Owner, use: str) -> None:
    uses: dict[str, Use] = {**USES, "put": lambda store, owner, _: put(store, owner, b"1")}
    client = ApiClient(Configuration(host=f"http://127.0.0.1:{free_port()}"))
    reference = Reference(uri=f"configmap:x-{owner.uid}", size=1, sha256="0" * 64)
    try:
        with pytest.raises(StoreUnavailable, match="the API server cannot be reached"):
            await uses[use](Store(ConfigMaps(client, kube.namespace), s3, LIMIT), owner, reference)
    finally:
        await client.close()


async def test_a_config_map_that_is_refused_is_told(client: ApiClient, s3: S3, owner: Owner) -> None:
    nowhere = Store(ConfigMaps(client, "no-such-namespace"), s3, LIMIT)
    with pytest.raises(StoreUnavailable, match=r'404 NotFound: namespaces "no-such-namespace" not found'):
        await put(nowhere, owner, b"1")
