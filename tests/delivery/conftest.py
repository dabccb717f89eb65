"""A memory, a namespace, and operators that tell its sessions."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.agentcore import MEMORY, REGION, AgentCoreMemory, agentcore_memory
from tests.faults.proxy import Door, open_door
from tests.kube import Kube
from tests.operator.process import SOON, OperatorProcess


@pytest.fixture(scope="session")
def running_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentCoreMemory]:
    with agentcore_memory(tmp_path_factory.mktemp("agentcore")) as service:
        yield service


@pytest.fixture
def memory(running_memory: AgentCoreMemory) -> AgentCoreMemory:
    """Without the faults of other tests."""
    running_memory.no_faults()
    return running_memory


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """All requests of the operators to the API server pass here."""
    async with open_door() as door:
        yield door


@pytest.fixture
def namespace(new_namespace: Callable[[], Kube]) -> Kube:
    """A task namespace of its own for every test."""
    return new_namespace()


@pytest.fixture
def replicas(
    door: Door, namespace: Kube, tmp_path: Path, memory: AgentCoreMemory
) -> Iterator[Callable[[str], OperatorProcess]]:
    """Operators that may write to the memory, not started yet; what still runs at the end is killed."""
    made: list[OperatorProcess] = []

    def make(identity: str) -> OperatorProcess:
        made.append(
            OperatorProcess(
                namespace.namespace,
                tmp_path / f"{identity}.log",
                identity,
                settings=SOON
                | {"MEMORY_REGION": REGION, "MEMORY_IDS": json.dumps([MEMORY]), "OPEN_TURN_TIMEOUT_SECONDS": "4"},
                environment=memory.environment,
                kubeconfig=door.kubeconfig(tmp_path / f"{identity}.kubeconfig"),
            )
        )
        return made[-1]

    yield make
    for process in made:
        if process.process is not None and process.process.poll() is None:
            process.kill()
