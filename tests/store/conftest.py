"""A store over a real API server and a real S3 server, for LongTasks that are really there."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
from kubernetes.aio.client import ApiClient

from longtask_api import constants
from longtask_operator.store.config_maps import ConfigMaps
from longtask_operator.store.owner import Owner
from longtask_operator.store.s3 import S3, S3Settings
from longtask_operator.store.store import Store
from longtask_runtime import kube as runtime
from tests.api.objects import task
from tests.kube import Kube
from tests.s3 import REGION, S3Server
from tests.store.streams import MIB

LIMIT = 24 * MIB
NewOwner = Callable[[], Owner]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """aiohttp warns of a body of more than 1 MiB, as the largest ConfigMap is: it takes the loop some milliseconds."""
    for item in items:
        if "config_maps" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"))


@dataclass(frozen=True)
class Kept:
    """What is outside of tasks' objects."""

    kube: Kube
    server: S3Server

    def of(self, owner: Owner) -> list[str]:
        """Names of the task's ConfigMaps, keys of its objects, and of its unfinished uploads."""
        selector = f"{constants.LABEL_TASK_UID}={owner.uid}"
        found = self.kube.get(f"/api/v1/namespaces/{self.kube.namespace}/configmaps", labelSelector=selector).done()
        in_bucket = [key for key in [*self.server.object_keys(), *self.server.unfinished()] if owner.uid in key]
        return [each["metadata"]["name"] for each in found["items"]] + in_bucket


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    """An S3 server, whose keys boto3 finds in the environment."""
    with S3Server() as made, pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment.items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="session")
def kube(new_namespace: Callable[[], Kube]) -> Kube:
    """The task namespace."""
    return new_namespace()


@pytest.fixture(scope="session")
def new_owner(kube: Kube) -> NewOwner:
    """Makes LongTasks. Without one, its ConfigMaps would be collected at once."""
    numbers = itertools.count(1)

    def make() -> Owner:
        name = f"training-{next(numbers)}"
        made = kube.create(kube.path(constants.TASK_PLURAL), task(name)).done()
        return Owner(name, made["metadata"]["uid"])

    return make


@pytest.fixture
def owner(new_owner: NewOwner) -> Owner:
    """A LongTask of this test alone."""
    return new_owner()


@pytest.fixture(scope="session")
async def client(kube: Kube) -> AsyncIterator[ApiClient]:
    """The connection to the API server of that namespace, as the operator has it."""
    connected = await runtime.connect("longtask-tests")
    yield connected
    await connected.close()


@pytest.fixture(scope="session")
def config_maps(client: ApiClient, kube: Kube) -> ConfigMaps:
    return ConfigMaps(client, kube.namespace)


@pytest.fixture(scope="session")
def settings(server: S3Server) -> S3Settings:
    """How the operator is told of the server."""
    return S3Settings(bucket=server.bucket, region=REGION, endpoint_url=server.endpoint, path_style=True)


@pytest.fixture(scope="session")
async def s3(settings: S3Settings, kube: Kube) -> AsyncIterator[S3]:
    made = S3(settings, kube.namespace)
    await made.prepare()
    yield made
    made.close()


@pytest.fixture(scope="session")
def store(config_maps: ConfigMaps, s3: S3) -> Store:
    """With a bucket, for things of up to 24 MiB."""
    return Store(config_maps, s3, LIMIT)


@pytest.fixture(scope="session")
def store_without_bucket(config_maps: ConfigMaps) -> Store:
    """As it is when nothing is configured."""
    return Store(config_maps, None, LIMIT)


@pytest.fixture(scope="session")
def kept(kube: Kube, server: S3Server) -> Kept:
    return Kept(kube, server)
