"""The state that a pod keeps for its next attempt."""

import base64
import hashlib
from collections.abc import Callable

import pytest

from longtask_api import names
from tests.kube import eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, reporter
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster

LONG = "import time; time.sleep(600)"
SMALL, LARGE, BINARY = b'{"epoch": 6}', b"x" * 16_385, bytes(range(256))


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    tasks.template("checkpoints", template_spec(retry={"limit": 2}))


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
    items = tasks.kube.get(path, labelSelector=f"{names.LABEL_TASK_UID}={uid}").done()["items"]
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


def test_the_next_attempt_gets_what_the_one_before_it_kept(
    operator: OperatorProcess, tasks: Tasks, running: tuple[str, Caller], pod_of: Callable[[str], Caller]
) -> None:
    name, pod = running
    assert pod.put("checkpoint", LARGE).code == 200
    uid = tasks.get(name)["metadata"]["uid"]
    first = tasks.pods(uid)[0]["metadata"]
    path = f"/api/v1/namespaces/{tasks.kube.namespace}/pods/{first['name']}"
    stop = [{"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 1}]
    tasks.kube.request("PATCH", path, stop, content="application/json-patch+json").done()
    eventually(lambda: tasks.status(name).get("attemptCount"), lambda count: count == 2)
    second = next(pod for pod in tasks.pods(uid) if pod["metadata"]["uid"] != first["uid"])
    back = eventually(
        lambda: reporter(operator, tasks.kube, second).get("checkpoint"), lambda answer: answer.code == 200
    )
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
