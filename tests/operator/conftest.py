"""One operator process and one namespace for all tests of this folder."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kube import Kube
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, reporter
from tests.operator.tasks import Tasks

READER = "reader"
"""The service account that may use the task API."""


@pytest.fixture(scope="session")
def namespace(new_namespace: Callable[[], Kube]) -> Kube:
    """A task namespace with the strictest Pod Security, as the chart makes it."""
    kube = new_namespace()
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.request(
        "PATCH",
        f"/api/v1/namespaces/{kube.namespace}",
        {"metadata": {"labels": labels}},
        content="application/merge-patch+json",
    ).done()
    return kube


@pytest.fixture(scope="session")
def operator(namespace: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """A running operator; its log must not hold a failed step that nothing explains."""
    log: Path = tmp_path_factory.mktemp("operator") / "log"
    readers = json.dumps([f"system:serviceaccount:{namespace.namespace}:{READER}"])
    process = OperatorProcess(namespace.namespace, log, settings={"TASK_API_READERS": readers}).start()
    yield process
    assert process.stop() == 0, log.read_text()[-3000:]


@pytest.fixture(scope="session")
def tasks(operator: OperatorProcess, namespace: Kube) -> Tasks:
    """The LongTasks of the namespace that the operator works for."""
    return Tasks(namespace)


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """Makes a name of an object that no other test has."""
    numbers = itertools.count(1)
    return lambda prefix: f"{prefix}-{next(numbers)}"


@pytest.fixture
def pod_of(operator: OperatorProcess, tasks: Tasks) -> Callable[[str], Caller]:
    """Waits until a task runs, and is its pod as a caller of the task API."""

    def find(name: str) -> Caller:
        tasks.wait(name, "Running")
        uid = tasks.get(name)["metadata"]["uid"]
        newest = max(tasks.pods(uid), key=lambda pod: pod["metadata"]["creationTimestamp"])
        return reporter(operator, tasks.kube, newest)

    return find
