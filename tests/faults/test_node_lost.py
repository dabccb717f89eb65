"""A node that falls silent: its kubelet is frozen, as by a machine that hangs. Nothing is started beside its pod."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import traces
from tests.cluster.paths import BIN
from tests.faults.runs import Runs
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster


def kubelets() -> list[int]:
    """The local cluster's kubelet; none where the nodes are other machines."""
    return [pid for pid in traces.processes() if Path(f"/proc/{pid}/exe").resolve() == BIN / "kubelet"]


@contextmanager
def frozen(pids: list[int]) -> Iterator[Callable[[], None]]:
    """The processes stand still until the function is called, at the latest until the end."""

    def thaw() -> None:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield thaw
    finally:
        thaw()


async def test_a_task_on_a_silent_node_says_so_and_goes_on_when_the_node_is_back(
    tasks: Tasks, runs: Runs, replicas: Callable[[str], OperatorProcess], cluster: Kube
) -> None:
    pids = kubelets()
    if not pids:
        pytest.skip("the nodes of this cluster are not processes of this machine")
    await asyncio.to_thread(replicas("watching").start)
    template = template_spec({"terminationGracePeriodSeconds": 1}, retry={"limit": 1})
    await asyncio.to_thread(tasks.template, "patient", template)
    uid = await asyncio.to_thread(tasks.run, "work", "patient", "import time; time.sleep(600)")
    await asyncio.to_thread(tasks.wait, "work", "Running")
    (pod,) = tasks.pods(uid)
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/pods/{pod['metadata']['name']}"
    try:
        with frozen(pids) as thaw:
            tasks.kube.request("DELETE", path).done()
            status = await asyncio.to_thread(tasks.wait_message, "work", "NodeLost")
            node = pod["spec"]["nodeName"]
            assert status["phase"] == "Running"
            assert f"node {node} does not answer" in status["message"]
            assert f"kubectl delete node {node}" in status["message"]
            succeeded = next(each for each in status["conditions"] if each["type"] == "Succeeded")
            assert (succeeded["status"], succeeded["reason"]) == ("Unknown", "NodeLost")
            await asyncio.to_thread(tasks.wait_event, uid, "Warning", "NodeLost")
            assert runs.of(uid) == 1
            thaw()
            status = await asyncio.to_thread(tasks.wait_message, "work", "running, attempt 2")
    finally:
        await asyncio.to_thread(_wait_for_nodes, cluster)
    first, second = status["attempts"]
    assert first["reason"]
    assert first["endTime"] <= second["startTime"]
    assert runs.of(uid) == 2


def _wait_for_nodes(cluster: Kube) -> None:
    """Until they are Ready again: other tests need them."""

    def ready() -> list[str]:
        nodes = cluster.get("/api/v1/nodes").done()["items"]
        conditions = [each for node in nodes for each in node["status"]["conditions"]]
        return [each["status"] for each in conditions if each["type"] == "Ready"]

    eventually(ready, lambda seen: set(seen) == {"True"})
