"""One installation for all tests of this folder that run one after another, and sessions of its two callers."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.e2e.installation import Installation, installed
from tests.mcp.replica import Agent

Session = Callable[..., AbstractAsyncContextManager[Agent]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a cluster."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="package")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set: start a cluster with `make cluster-up`, or name one")
    async with installed(tmp_path_factory.mktemp("tunnels")) as made:
        yield made  # and no longer: its servers and pods cost the other tests a tenth of the CPU


@pytest.fixture(scope="package")
def as_alice(installation: Installation) -> Session:
    """Opens a session of alice: `async with as_alice() as agent`."""
    return lambda **how: installation.session("alice", **how)


@pytest.fixture(scope="package")
def as_bob(installation: Installation) -> Session:
    """Opens a session of bob."""
    return lambda **how: installation.session("bob", **how)


@pytest.fixture(scope="session")
def new_key() -> Callable[[], str]:
    """An idempotency key that no start has used, in this run or an earlier one."""
    return lambda: f"e2e-{uuid.uuid4()}"
