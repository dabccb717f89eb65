"""Work that runs and tells nothing: said, tried again or ended, as its template wants. The shortest timeout is 10 s."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kube import CRDS, Kube, eventually
from tests.operator.process import HOST_ADDRESS, OperatorProcess
from tests.operator.reporting import Caller
from tests.operator.tasks import Tasks, template_spec
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

HANGS = "import time; print('in a loop', flush=True); time.sleep(600)"
FAILS: dict[str, Any] = {"timeoutSeconds": 10, "action": "Fail"}
needs_a_way_back = pytest.mark.skipif(not HOST_ADDRESS, reason="pods do not reach this machine")
METRICS = "/apis/metrics.k8s.io/v1beta1"


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    quick_end = {"terminationGracePeriodSeconds": 1}
    for name, stall, limit in (
        ("stall-told", {"timeoutSeconds": 10, "expectReports": False}, 0),
        ("stall-retried", {"timeoutSeconds": 10, "action": "Retry"}, 1),
        ("stall-failed", FAILS, 3),
    ):
        tasks.template(name, template_spec(quick_end, stall=stall, retry={"limit": limit}))


def stalled(status: dict[str, Any]) -> tuple[str, str]:
    """(status, reason) of the Stalled condition."""
    found = next((c for c in status.get("conditions", []) if c["type"] == "Stalled"), None)
    return (found["status"], found["reason"]) if found else ("", "")


def wait_stalled(tasks: Tasks, name: str, *wanted: str, seconds: float = PATIENCE) -> dict[str, Any]:
    """The status of a task as soon as its condition has one of the reasons."""
    return eventually(lambda: tasks.status(name), lambda status: stalled(status)[1] in wanted, seconds)


@pytest.fixture(scope="module")
def metrics(cluster: Kube) -> Iterator[str]:
    """The path of PodMetrics: a CRD stands in for the metrics server, which this cluster has not."""
    name = "pods.metrics.k8s.io"
    usage = {"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name, "annotations": {"api-approved.kubernetes.io": "unapproved, test"}},
        "spec": {
            "group": "metrics.k8s.io",
            "scope": "Namespaced",
            "names": {"plural": "pods", "kind": "PodMetrics", "listKind": "PodMetricsList"},
            "versions": [
                {
                    "name": "v1beta1",
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"containers": usage}}},
                }
            ],
        },
    }
    cluster.create(CRDS, crd).done()
    try:
        eventually(lambda: str(cluster.get("/apis").done()), lambda groups: "metrics.k8s.io" in groups)
        eventually(lambda: cluster.get(METRICS), lambda answer: answer.code == 200 and answer.body["resources"])
        yield METRICS
    finally:
        cluster.request("DELETE", f"{CRDS}/{name}").done()
        eventually(lambda: cluster.get(f"{CRDS}/{name}").code, lambda code: code == 404)


def test_silence_is_told_with_the_evidence_and_ends_with_a_report(
    tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller], metrics: str
) -> None:
    name, quiet, asks = unique("stall-told"), unique("stall-never-told"), unique("stall-asks")
    for each in (quiet, asks, name):
        tasks.run(each, "stall-told", HANGS)
    pod_of(asks).post("questions", {"id": "go", "message": "Go on?"})
    pod = pod_of(name)
    pod.post("progress", {"current": 3, "total": 10, "unit": "epoch", "message": "training", "final": True})
    uid = tasks.get(name)["metadata"]["uid"]
    pod_name = tasks.pods(uid)[0]["metadata"]["name"]
    measured = {
        "apiVersion": "metrics.k8s.io/v1beta1",
        "kind": "PodMetrics",
        "metadata": {"name": pod_name},
        "containers": [{"name": "main", "usage": {"cpu": "2500000n", "memory": "1Mi"}}],
    }
    tasks.kube.create(f"{metrics}/namespaces/{tasks.kube.namespace}/pods", measured).done()

    status = wait_stalled(tasks, name, "NoReport")
    assert (status["phase"], stalled(status)[0]) == ("Running", "True")
    last = "its last progress: 30% (epoch 3/10), training (attempt 1)"
    for part in ("told nothing for 1", last, f"pod {pod_name} runs on", "and uses 0.003 CPU cores"):
        assert part in status["message"], status["message"]
    tasks.wait_event(uid, "Warning", "Stalled")
    assert stalled(tasks.status(quiet)) == ("", "")
    tasks.wait_event(tasks.get(asks)["metadata"]["uid"], "Normal", "InputRequested")
    waiting = tasks.status(asks)
    assert (waiting["phase"], stalled(waiting)) == ("WaitingForInput", ("Unknown", "WaitingForInput"))

    pod.post("heartbeat")
    status = wait_stalled(tasks, name, "Reporting")
    assert (status["message"], stalled(status)[0]) == ("running", "False")
    assert status["attemptCount"] == 1


def test_silent_attempts_are_tried_again_as_often_as_the_template_allows(
    tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]
) -> None:
    name = unique("stall-retried")
    tasks.run(name, "stall-retried", HANGS)
    pod_of(name).put("checkpoint", b"epoch 3")
    assert ", but stalled: " in wait_stalled(tasks, name, "NoReport")["message"]
    assert wait_stalled(tasks, name, "StillNoReport")["message"].endswith("ending the attempt")
    status = eventually(lambda: tasks.status(name), lambda status: status["attemptCount"] == 2)
    assert status["attempts"][0]["reason"] == "Stalled"
    assert stalled(status) == ("False", "Reporting")
    assert status["checkpoint"]["text"] == "epoch 3"
    status = tasks.wait(name, "Failed")
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Stalled", "Stalled"]
    failure = status["failure"]
    assert (failure["reason"], failure["logTail"]) == ("Stalled", "in a loop")
    assert "told nothing for 1" in failure["message"]
    assert "stall.timeoutSeconds" in failure["hint"]
    assert stalled(status) == ("True", "StillNoReport")
    assert status["checkpoint"]["text"] == "epoch 3"


def test_a_silent_task_is_ended_where_its_template_says_so(tasks: Tasks, unique: Callable[[str], str]) -> None:
    name = unique("stall-failed")
    uid = tasks.run(name, "stall-failed", HANGS)
    status = tasks.wait(name, "Failed")
    assert (status["failure"]["reason"], status["failure"]["logTail"]) == ("Stalled", "in a loop")
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Stalled"]
    assert len(tasks.pods(uid)) == 1


def test_silent_work_whose_job_was_deleted_without_its_pod_is_ended_too(
    tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("stall-left-behind")
    uid = tasks.run(name, "stall-failed", HANGS)
    tasks.wait(name, "Running")
    tasks.delete_job(name, "Orphan")
    status = tasks.wait(name, "Failed")
    assert (status["failure"]["reason"], status["failure"]["logTail"]) == ("Stalled", "in a loop")
    assert [attempt["reason"] for attempt in status["attempts"]] == ["Stalled"]
    assert [pod["status"]["phase"] for pod in tasks.pods(uid)] == ["Failed"]


REPORTS = """
import os, time, urllib.request
token = open(os.environ['LONGTASK_TOKEN_FILE']).read()
while True:
    request = urllib.request.Request(os.environ['LONGTASK_REPORT_URL'] + '/heartbeat', method='POST')
    request.add_header('Authorization', 'Bearer ' + token)
    try:
        urllib.request.urlopen(request, timeout=5).close()
    except OSError as error:
        print(error, flush=True)
    time.sleep(1)
"""


@needs_a_way_back
def test_work_that_reports_is_not_ended_because_no_operator_was_there(
    new_namespace: Callable[[], Kube], tmp_path: Path
) -> None:
    """Its last report is older than the timeout when an operator is back, and newer ones take a while to come."""
    tasks = Tasks(new_namespace())
    operator = OperatorProcess(tasks.kube.namespace, tmp_path / "log").start()
    tasks.template("reports", template_spec({"terminationGracePeriodSeconds": 1}, stall=FAILS))
    tasks.run("reports", "reports", REPORTS)
    eventually(lambda: tasks.status("reports"), lambda status: "lastReportTime" in status)
    operator.kill()
    stopped = datetime.now(UTC)
    eventually(lambda: datetime.now(UTC) - stopped, lambda away: away.total_seconds() > 2 * FAILS["timeoutSeconds"])
    back = tasks.status("reports")["lastReportTime"]
    assert datetime.fromisoformat(back) <= stopped
    operator.start()
    try:
        for _ in range(3):
            back = eventually(lambda: tasks.status("reports")["lastReportTime"], lambda told: told > back)  # noqa: B023
        status = tasks.status("reports")
        assert (status["phase"], [attempt.get("reason") for attempt in status["attempts"]]) == ("Running", [None])
    finally:
        assert operator.stop() == 0
