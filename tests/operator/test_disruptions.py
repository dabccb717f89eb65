"""What becomes of a task whose pod the cluster takes away."""

from collections.abc import Callable

import pytest

from tests.kube import eventually
from tests.operator.tasks import WHEN_TOLD, Tasks, template_spec

pytestmark = pytest.mark.cluster

LONG = "import time; print('working', flush=True); time.sleep(600)"


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    """One that bears disruptions, and one that bears none."""
    quick_end = {"terminationGracePeriodSeconds": 1}
    tasks.template("patient", template_spec(quick_end, retry={"limit": 0, "maxDisruptions": 3}))
    tasks.template("impatient", template_spec(quick_end, retry={"limit": 0, "maxDisruptions": 0}))


def evict(tasks: Tasks, uid: str) -> None:
    """Evict the pod that works."""
    eventually(lambda: tasks.log(uid), lambda log: "working" in log)
    tasks.evict(tasks.running_pod(uid))


def test_an_eviction_is_repaired_without_counting_as_a_retry(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("evicted")
    uid = tasks.run(name, "patient", WHEN_TOLD)
    evict(tasks, uid)
    eventually(lambda: tasks.status(name), lambda status: status["attemptCount"] == 2)
    tasks.go(uid)
    status = tasks.wait(name, "Succeeded")
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Evicted", "Completed"]
    assert (status["attemptCount"], status["disruptionCount"]) == (2, 1)
    assert len(tasks.jobs(uid)) == 1
    tasks.wait_event(uid, "Warning", "AttemptEnded")


def test_more_disruptions_than_the_template_bears_end_the_task(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("evicted-too-often")
    uid = tasks.run(name, "impatient", LONG)
    evict(tasks, uid)
    status = tasks.wait(name, "Failed")
    assert status["failure"]["reason"] == "TooManyDisruptions"
    assert status["disruptionCount"] == 1
    eventually(lambda: tasks.jobs(uid) + tasks.pods(uid), lambda left: not left)


def test_a_pod_that_somebody_deletes_counts_as_a_failed_attempt(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("pod-deleted")
    uid = tasks.run(name, "patient", LONG)
    eventually(lambda: tasks.log(uid), lambda log: "working" in log)
    pod = tasks.pods(uid)[0]["metadata"]["name"]
    tasks.kube.request("DELETE", f"/api/v1/namespaces/{tasks.kube.namespace}/pods/{pod}").done()
    status = tasks.wait(name, "Failed")
    assert status["attemptCount"] == 1
    assert status["failure"]["reason"]
