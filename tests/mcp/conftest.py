"""One namespace, two replicas and the tokens of the callers, for all tests of the MCP server."""

import itertools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.mcp.line import Line
from tests.mcp.replica import Agent, Replica, agent, running
from tests.mcp.world import World, new_world

TRAINING: dict[str, Any] = {
    "title": "Model Training",
    "description": "Trains a model.",
    "parametersSchema": {
        "type": "object",
        "required": ["model_name"],
        "properties": {
            "model_name": {"$ref": "#/$defs/name"},
            "epochs": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
        },
        "$defs": {"name": {"type": "string", "maxLength": 64, "pattern": "^[a-z0-9-]+$"}},
    },
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs against the API server needs a cluster."""
    for item in items:
        if "world" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
async def world() -> AsyncIterator[World]:
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set: start a cluster with `make cluster-up`, or name one")
    async with new_world() as made:
        await made.template("model-training", **TRAINING)
        yield made


@pytest.fixture(scope="session")
async def kubeconfig(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's own account, with the rights that the chart gives it."""
    token = await world.token("server", audience="https://kubernetes.default.svc.cluster.local")
    return world.kubeconfig(token, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
async def replica(world: World, kubeconfig: Path) -> AsyncIterator[Replica]:
    async with running(kubeconfig, world.namespace, kubeconfig.parent) as process:
        yield process


@pytest.fixture(scope="session")
async def other_replica(world: World, kubeconfig: Path) -> AsyncIterator[Replica]:
    async with running(kubeconfig, world.namespace, kubeconfig.parent) as process:
        yield process


@pytest.fixture
async def limited_replica(world: World, kubeconfig: Path) -> AsyncIterator[Replica]:
    """A replica on which a caller may have one task."""
    limit = {"max_active_tasks_per_caller": "1"}
    async with running(kubeconfig, world.namespace, kubeconfig.parent, **limit) as process:
        yield process


@pytest.fixture
async def line(world: World) -> AsyncIterator[Line]:
    """Between a replica of the test's own and the API server."""
    address = urlsplit(world.client.configuration.host)
    async with Line(str(address.hostname), address.port or 443) as line:
        yield line


@pytest.fixture(scope="session")
async def alice(world: World) -> str:
    return await world.token("alice")


@pytest.fixture(scope="session")
async def bob(world: World) -> str:
    return await world.token("bob")


@pytest.fixture(scope="session")
def new_key() -> Callable[[], str]:
    """An idempotency key that no start has used."""
    numbers = itertools.count(1)
    return lambda: f"key-{next(numbers)}"


@pytest.fixture
def as_alice(replica: Replica, alice: str) -> Callable[..., AbstractAsyncContextManager[Agent]]:
    """Opens a session of alice: `async with as_alice(era) as agent`."""
    return lambda era="auto": agent(replica.url, alice, era)
