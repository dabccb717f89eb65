"""Puts SIZE bytes into S3 and reads them, and prints by how many bytes that raised the most memory this process used.

Run as `python -m tests.store.large NAMESPACE UID ENDPOINT BUCKET REGION SIZE`; boto3 finds the keys in the environment.
"""

import asyncio
import resource
import sys
from collections.abc import AsyncIterator

from longtask_operator.store.config_maps import ConfigMaps
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import S3, S3Settings
from longtask_operator.store.store import Store
from longtask_runtime import kube
from tests.store.streams import KIB, MIB


async def main(namespace: str, uid: str, endpoint: str, bucket: str, region: str, size: str) -> None:
    client = await kube.connect("longtask-tests")
    s3 = S3(S3Settings(bucket=bucket, region=region, endpoint_url=endpoint, path_style=True), namespace)
    store, owner = Store(ConfigMaps(client, namespace), s3, 2**30), Owner("large", uid)
    await _there_and_back(store, owner, 20 * MIB)
    before = _most_memory()
    await _there_and_back(store, owner, int(size))
    print(_most_memory() - before)
    s3.close()
    await client.close()


async def _there_and_back(store: Store, owner: Owner, size: int) -> None:
    reference = await store.put(owner, "artifact-large", "application/octet-stream", _zeros(size), None)
    got = 0
    async for chunk in store.get(owner, reference):
        got += len(chunk)
    await store.delete(owner, reference)
    assert got == size, got


async def _zeros(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // (64 * KIB)):
        yield bytes(64 * KIB)


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
