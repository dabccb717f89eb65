"""A namespace, a door to the API server and operators that go through it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.proxy import Door, open_door
from tests.faults.runs import Runs, counted
from tests.kube import Kube
from tests.operator.process import SOON, OperatorProcess
from tests.operator.tasks import Tasks, template_spec


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """All requests of the operators pass here."""
    async with open_door() as door:
        yield door


@pytest.fixture
def namespace(new_namespace: Callable[[], Kube]) -> Kube:
    """A task namespace of its own for every test."""
    return new_namespace()


@pytest.fixture
async def runs(namespace: Kube) -> AsyncIterator[Runs]:
    """Every pod that is made in the namespace; watched through a door that nobody shuts."""
    async with open_door() as own, counted(own.port, namespace.namespace) as runs:
        yield runs


@pytest.fixture
def replicas(door: Door, namespace: Kube, tmp_path: Path) -> Iterator[Callable[..., OperatorProcess]]:
    """Makes operators, not started yet; what still runs at the end is killed."""
    made: list[OperatorProcess] = []

    def make(identity: str, **settings: str) -> OperatorProcess:
        kubeconfig = door.kubeconfig(tmp_path / f"{identity}.kubeconfig")
        log = tmp_path / f"{identity}.log"
        made.append(OperatorProcess(namespace.namespace, log, identity, SOON | settings, kubeconfig=kubeconfig))
        return made[-1]

    yield make
    for process in made:
        if process.process is not None and process.process.poll() is None:
            process.kill()


@pytest.fixture
async def tasks(namespace: Kube, replicas: Callable[[str], OperatorProcess]) -> Tasks:
    """The tasks of the namespace, with a template `job` that is Ready."""
    first = replicas("first")
    await asyncio.to_thread(first.start)
    tasks = Tasks(namespace)
    await asyncio.to_thread(tasks.template, "job", template_spec({"terminationGracePeriodSeconds": 1}))
    first.kill()
    return tasks
