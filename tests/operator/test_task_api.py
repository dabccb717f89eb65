"""The task API: who gets a task's log, and who is refused with which words."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from longtask_api.constants import AUDIENCE_MCP, AUDIENCE_TASK_API
from tests.kube import eventually
from tests.operator.conftest import READER
from tests.operator.process import OperatorProcess
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster

LOUD = "import time\nfor n in range(10): print('line', n, flush=True)\ntime.sleep(600)"


@pytest.fixture(scope="module")
def token(tasks: Tasks) -> Callable[..., str]:
    """Makes tokens of service accounts of the namespace."""
    accounts = f"/api/v1/namespaces/{tasks.kube.namespace}/serviceaccounts"
    for name in (READER, "stranger"):
        assert tasks.kube.create(accounts, {"metadata": {"name": name}}).code in (201, 409)  # other tests use it too

    def make(account: str = READER, audience: str = AUDIENCE_TASK_API) -> str:
        request = {"spec": {"audiences": [audience], "expirationSeconds": 600}}
        return str(tasks.kube.create(f"{accounts}/{account}/token", request).done()["status"]["token"])

    return make


@pytest.fixture(scope="module")
def running(tasks: Tasks) -> str:
    """The uid of a task that runs and has written ten lines."""
    tasks.template("loud", template_spec())
    uid = tasks.run("loud", "loud", LOUD)
    eventually(lambda: tasks.log(uid), lambda log: "line 9" in log)
    return uid


def get(operator: OperatorProcess, path: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
    """(HTTP status, JSON) of a call."""
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    request = urllib.request.Request(f"http://127.0.0.1:{operator.task_api_port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_reader_gets_the_last_lines_of_a_running_task(
    operator: OperatorProcess, running: str, token: Callable[..., str]
) -> None:
    code, log = get(operator, f"/v1/tasks/{running}/logs?tail_lines=3", token())
    assert code == 200
    assert log["text"] == "line 7\nline 8\nline 9\n"
    assert (log["attempt"], log["live"]) == (1, True)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("contains=LINE%207", "line 7\n"),
        ("contains=line&tail_lines=2", "line 8\nline 9\n"),
        ("contains=.*", ""),
        ("since=2026-01-01T00:00:00Z&tail_lines=1", "line 9\n"),
        ("since=2999-01-01T00:00:00Z", ""),
    ],
)
def test_the_reader_gets_only_the_lines_that_it_asks_for(
    operator: OperatorProcess, running: str, token: Callable[..., str], query: str, text: str
) -> None:
    code, log = get(operator, f"/v1/tasks/{running}/logs?{query}", token())
    assert (code, log["text"]) == (200, text)


REFUSED: dict[str, tuple[dict[str, str] | None, int, str]] = {
    "no token": (None, 401, f"a bearer token with audience {AUDIENCE_TASK_API} is needed"),
    "another audience": ({"audience": AUDIENCE_MCP}, 401, f"{AUDIENCE_TASK_API} is needed"),
    "another account": ({"account": "stranger"}, 403, "stranger may not read tasks"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_others_are_refused_and_the_log_does_not_hold_their_token(
    operator: OperatorProcess, running: str, token: Callable[..., str], case: str
) -> None:
    shown, code, words = REFUSED[case]
    secret = token(**shown) if shown is not None else None
    answered, body = get(operator, f"/v1/tasks/{running}/logs", secret)
    assert answered == code
    assert words in body["detail"]
    assert secret is None or secret not in operator.log.read_text()


def test_a_forged_token_is_refused(operator: OperatorProcess, running: str, token: Callable[..., str]) -> None:
    head, body, signature = token().split(".")
    assert get(operator, f"/v1/tasks/{running}/logs", f"{head}.{body}.{signature[::-1]}")[0] == 401


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("tail_lines=0", 422),
        ("tail_lines=5001", 422),
        ("tail_lines=x", 422),
        ("since=2026-01-01", 422),
        ("contains=", 422),
    ],
)
def test_a_number_of_lines_that_makes_no_sense_is_refused(
    operator: OperatorProcess, running: str, token: Callable[..., str], query: str, code: int
) -> None:
    assert get(operator, f"/v1/tasks/{running}/logs?{query}", token())[0] == code


def test_a_task_without_a_pod_has_no_log(operator: OperatorProcess, token: Callable[..., str]) -> None:
    code, body = get(operator, "/v1/tasks/11111111-1111-1111-1111-111111111111/logs", token())
    assert code == 404
    assert "it has not started, or its Job is gone" in body["detail"]
