"""The state that a pod keeps for its next attempt."""

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from longtask_api import constants
from tests.kube import eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, reporter
from tests.operator.tasks import WHEN_TOLD, Tasks, container, template_spec

pytestmark = pytest.mark.cluster

LONG = f"{WHEN_TOLD}\nfilled = b'x' * 10**9"
SMALL, LARGE, BINARY = b'{"epoch": 6}', b"x" * 16_385, bytes(range(256))


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    resources = {"limits": {"memory": "64Mi"}}
    pod = {"containers": [container(resources=resources)]}
    tasks.template("checkpoints", template_spec(pod, retry={"limit": 2}))


@pytest.fixture
def running(tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]) -> tuple[str, Caller]:
    name = unique("checkpoint")
    tasks.run(name, "checkpoints", LONG)
    return name, pod_of(name)


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def stored(tasks: Tasks, name: str) -> list[str]:
    """Names of the ConfigMaps that belong to the task."""
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/configmaps"
    uid = tasks.get(name)["metadata"]["uid"]
    items = tasks.kube.get(path, labelSelector=f"{constants.LABEL_TASK_UID}={uid}").done()["items"]
    return [item["metadata"]["name"] for item in items]


def test_there_is_none_at_first(running: tuple[str, Caller]) -> None:
    assert running[1].get("checkpoint").code == 204


@pytest.mark.parametrize("state", [SMALL, LARGE, BINARY, b""], ids=["small", "large", "binary", "empty"])
def test_it_comes_back_as_it_was(tasks: Tasks, running: tuple[str, Caller], state: bytes) -> None:
    name, pod = running
    saved = pod.put("checkpoint?sequence=1", state, Content_Type="application/x-state", Content_Digest=digest(state))
    assert (saved.code, saved.body) == (
        200,
        {"sequence": 1, "size": len(state), "sha256": hashlib.sha256(state).hexdigest()},
    )
    back = pod.get("checkpoint")
    assert back.content == state
    assert back.headers["content-type"] == "application/x-state"
    assert back.headers["content-digest"] == digest(state)
    assert (back.headers["longtask-attempt"], back.headers["longtask-sequence"]) == ("1", "1")
    checkpoint = tasks.status(name)["checkpoint"]
    inside = state in (SMALL, b"")
    assert ("text" in checkpoint, "reference" in checkpoint) == (inside, not inside)


def test_the_newest_one_stays_and_leaves_nothing_else_behind(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    for number in (1, 2, 3):
        assert pod.put(f"checkpoint?sequence={number}", LARGE + str(number).encode()).code == 200
    assert len(stored(tasks, name)) == 1
    assert pod.get("checkpoint").content == LARGE + b"3"
    late = pod.put("checkpoint?sequence=2", LARGE)
    assert late.refused == (409, "OlderThanStored")
    assert len(stored(tasks, name)) == 1
    assert pod.get("checkpoint").content == LARGE + b"3"


def test_a_body_that_is_not_what_its_digest_says_is_not_stored(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    for body in (SMALL, LARGE):
        assert pod.put("checkpoint", body, Content_Digest=digest(b"other")).refused == (422, "DigestMismatch")
    assert pod.put("checkpoint", SMALL, Content_Digest="md5=:abc:").refused == (400, "Malformed")
    assert stored(tasks, name) == []
    assert pod.get("checkpoint").code == 204


def patch(tasks: Tasks, pod: str, *operations: dict[str, Any]) -> None:
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/pods/{pod}"
    tasks.kube.request("PATCH", path, list(operations), content="application/json-patch+json").done()


def over_its_time(tasks: Tasks, _: str, pod: str) -> None:
    patch(tasks, pod, {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1})


def out_of_memory(tasks: Tasks, name: str, _: str) -> None:
    tasks.go(tasks.get(name)["metadata"]["uid"])


def evicted(tasks: Tasks, _: str, pod: str) -> None:
    tasks.evict(pod)


def suspended(tasks: Tasks, name: str, _: str) -> None:
    tasks.patch(name, suspend=True)
    tasks.wait(name, "Suspended")
    tasks.patch(name, suspend=False)


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (over_its_time, "DeadlineExceeded"),
        (out_of_memory, "OOMKilled"),
        (evicted, "Evicted"),
        (suspended, "Suspended"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_next_attempt_gets_what_the_one_before_it_kept(
    operator: OperatorProcess,
    tasks: Tasks,
    running: tuple[str, Caller],
    end: Callable[[Tasks, str, str], None],
    reason: str,
) -> None:
    name, pod = running
    assert pod.put("checkpoint", LARGE).code == 200
    uid = tasks.get(name)["metadata"]["uid"]
    first = tasks.pods(uid)[0]["metadata"]
    end(tasks, name, first["name"])
    status = eventually(lambda: tasks.status(name), lambda status: status.get("attemptCount") == 2)
    assert status["attempts"][0]["reason"] == reason
    second = next(pod for pod in tasks.pods(uid) if pod["metadata"]["uid"] == status["attempts"][1]["podUID"])
    caller = reporter(operator, tasks.kube, second)
    back = eventually(lambda: caller.get("checkpoint"), lambda answer: answer.code == 200)
    assert back.content == LARGE
    assert back.headers["longtask-attempt"] == "1"


def test_it_goes_with_the_task(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.put("checkpoint", LARGE)
    (config_map,) = stored(tasks, name)
    tasks.delete(name)
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/configmaps/{config_map}"
    eventually(lambda: tasks.kube.get(path).code, lambda code: code == 404)


def test_more_than_can_be_kept_is_refused_with_what_to_configure(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    answer = pod.put("checkpoint", b"x" * (900 * 1024 + 1))
    assert answer.refused == (413, "TooLarge")
    assert "operator.store.s3.bucket" in answer.body["detail"]
    assert stored(tasks, name) == []
