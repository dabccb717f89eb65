"""Whose reports are taken: those of the live, newest attempt of a task that runs, proven by its own token."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from longtask_api import constants
from longtask_api.constants import AUDIENCE_TASK_API
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, pod_token, reporter
from tests.operator.tasks import WHEN_TOLD, Tasks, container, template_spec

pytestmark = pytest.mark.cluster

LONG = "import time; time.sleep(600)"


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    tasks.template("reports", template_spec(retry={"limit": 3}))


@pytest.fixture
def running(tasks: Tasks, unique: Callable[[str], str]) -> tuple[str, dict[str, Any]]:
    """(name, pod) of a task that runs."""
    name = unique("reporter")
    uid = tasks.run(name, "reports", LONG)
    tasks.wait(name, "Running")
    return name, tasks.pods(uid)[0]


def refusals(operator: OperatorProcess, reason: str) -> float:
    return operator.metric(f'longtask_task_api_refused_total{{reason="{reason}"}}', default=0)


def test_the_pod_of_a_running_task_may(operator: OperatorProcess, tasks: Tasks, running: tuple[str, Any]) -> None:
    name, pod = running
    answer = reporter(operator, tasks.kube, pod).get("attempt")
    assert (answer.code, answer.body) == (
        200,
        {"taskId": tasks.get(name)["metadata"]["uid"], "attempt": 1, "cancelRequested": False},
    )


def test_tokens_that_prove_nothing_are_refused_counted_and_logged_without_them(
    operator: OperatorProcess, tasks: Tasks, running: tuple[str, Any]
) -> None:
    good = pod_token(tasks.kube, running[1])
    head, payload, signature = good.split(".")
    other_audience = pod_token(tasks.kube, running[1], AUDIENCE_TASK_API)
    for reason, token in (
        ("Missing", None),
        ("Invalid", "not.a.token"),
        ("Invalid", f"{head}.{payload}.{signature[:-8]}AAAAAAAA"),
        ("WrongAudience", other_audience),
    ):
        before = refusals(operator, reason)
        assert Caller(operator.task_api_port, token).post("progress", {"fraction": 0.5}).refused == (401, reason)
        assert refusals(operator, reason) == before + 1
    log = operator.log.read_text()
    assert '"reason": "WrongAudience"' in log
    assert all(part not in log for part in (good, signature, other_audience))


def test_a_known_token_with_another_time_of_expiry_is_refused(
    operator: OperatorProcess, tasks: Tasks, running: tuple[str, Any]
) -> None:
    token = pod_token(tasks.kube, running[1])
    caller = Caller(operator.task_api_port, token)
    assert caller.get("attempt").code == 200
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["exp"] = int(time.time()) - 10
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    assert Caller(operator.task_api_port, f"{head}.{forged}.{signature}").get("attempt").code == 401


def test_a_pod_that_works_for_no_task_is_refused(operator: OperatorProcess, tasks: Tasks, kube_pod: Any) -> None:
    assert reporter(operator, tasks.kube, kube_pod()).get("attempt").refused == (403, "NotATaskPod")


def test_a_service_account_of_another_namespace_is_refused(
    operator: OperatorProcess, cluster: Kube, new_namespace: Callable[[], Kube]
) -> None:
    other = new_namespace()
    eventually(
        lambda: other.get(f"/api/v1/namespaces/{other.namespace}/serviceaccounts/default").code, lambda c: c == 200
    )
    path = f"/api/v1/namespaces/{other.namespace}/serviceaccounts/default/token"
    spec = {"audiences": [constants.AUDIENCE_REPORT], "expirationSeconds": 600}
    token = other.create(path, {"spec": spec}).done()["status"]["token"]
    assert Caller(operator.task_api_port, token).get("attempt").refused == (403, "NotATaskPod")


def test_a_pod_reports_for_its_own_task_only(
    operator: OperatorProcess, tasks: Tasks, unique: Callable[[str], str]
) -> None:
    mine, other = unique("mine"), unique("other")
    uid = tasks.run(mine, "reports", LONG)
    tasks.run(other, "reports", LONG)
    tasks.wait(mine, "Running")
    tasks.wait(other, "Running")
    answer = reporter(operator, tasks.kube, tasks.pods(uid)[0]).post("progress", {"fraction": 0.5, "final": True})
    assert answer.code == 200
    assert tasks.status(mine)["progress"]["fraction"] == 0.5
    assert "progress" not in tasks.status(other)


def test_an_older_attempt_is_refused_when_a_newer_one_runs(
    operator: OperatorProcess, tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("retried")
    uid = tasks.run(name, "reports", LONG)
    tasks.wait(name, "Running")
    first = tasks.pods(uid)[0]
    caller = reporter(operator, tasks.kube, first)
    assert caller.get("attempt").code == 200
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/pods/{first['metadata']['name']}"
    patch = [{"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1}]
    tasks.kube.request("PATCH", path, patch, content="application/json-patch+json").done()
    eventually(lambda: tasks.status(name).get("attemptCount"), lambda count: count == 2)
    eventually(lambda: caller.get("attempt").refused, lambda refused: refused[0] == 403)
    assert caller.get("attempt").body["reason"] in ("PodNotRunning", "NotTheNewestAttempt")
    newest = next(pod for pod in tasks.pods(uid) if pod["metadata"]["uid"] != first["metadata"]["uid"])
    assert (
        eventually(lambda: reporter(operator, tasks.kube, newest).get("attempt"), lambda a: a.code == 200).body[
            "attempt"
        ]
        == 2
    )


def test_a_pod_that_has_succeeded_is_refused(
    operator: OperatorProcess, tasks: Tasks, unique: Callable[[str], str]
) -> None:
    name = unique("short")
    uid = tasks.run(name, "reports", WHEN_TOLD)
    tasks.wait(name, "Running")
    caller = reporter(operator, tasks.kube, tasks.pods(uid)[0])
    assert caller.get("attempt").code == 200
    tasks.go(uid)
    tasks.wait(name, "Succeeded")
    assert eventually(lambda: caller.get("attempt"), lambda a: a.code != 200).refused == (409, "TaskEnded")
    assert caller.put("checkpoint", b"late").refused == (409, "TaskEnded")


def test_a_pod_that_was_deleted_is_refused(operator: OperatorProcess, tasks: Tasks, running: tuple[str, Any]) -> None:
    name, pod = running
    caller = reporter(operator, tasks.kube, pod)
    assert caller.get("attempt").code == 200
    tasks.delete(name)
    eventually(lambda: tasks.pods(pod["metadata"]["labels"][constants.LABEL_TASK_UID]), lambda pods: not pods)
    assert eventually(lambda: caller.get("attempt").code, lambda code: code in (401, 403, 409))


def test_a_pod_without_the_right_owner_is_refused_whatever_its_labels_say(
    operator: OperatorProcess, tasks: Tasks, running: tuple[str, Any], kube_pod: Any
) -> None:
    labels = {constants.LABEL_TASK_UID: running[1]["metadata"]["labels"][constants.LABEL_TASK_UID]}
    pod = kube_pod(labels)
    answer = eventually(lambda: reporter(operator, tasks.kube, pod).get("attempt"), lambda a: a.code != 503)
    assert answer.refused == (403, "NotItsJob")


@pytest.fixture
def kube_pod(tasks: Tasks, unique: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """Makes a running pod by hand."""
    pods = f"/api/v1/namespaces/{tasks.kube.namespace}/pods"

    def make(labels: dict[str, str] | None = None) -> dict[str, Any]:
        name = unique("by-hand")
        spec = {
            "containers": [container(command=["sleep", "600"])],
            "terminationGracePeriodSeconds": 0,
            "restartPolicy": "Never",
        }
        tasks.kube.create(pods, {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}).done()
        made: dict[str, Any] = eventually(
            lambda: tasks.kube.get(f"{pods}/{name}").done(), lambda pod: pod["status"].get("phase") == "Running"
        )
        return made

    return make
