"""The task API against its own OpenAPI document: whatever is sent, nothing fails inside and every answer is as told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis.checks import CHECKS, load_all_checks

from longtask_api.constants import AUDIENCE_TASK_API
from longtask_operator.task_api.document import document
from tests.kube import Kube
from tests.operator.conftest import READER
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, pod_token
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster

EXAMPLES = 30
"""Of each operation."""

load_all_checks()
CHECKED: list[Any] = [
    CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "response_headers_conformance",
    )
]
DOCUMENT = document()
OPERATIONS = [(method, path) for path, methods in DOCUMENT["paths"].items() for method in methods]
schema = schemathesis.openapi.from_dict(DOCUMENT)


@dataclass(frozen=True)
class Target:
    """A replica, the task that is reported for, and tokens that are good for each part of its API."""

    url: str
    uid: str
    tokens: dict[str, str]
    pod: Caller


@pytest.fixture(scope="module")
def target(new_namespace: Callable[[], Kube], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    kube, log = new_namespace(), tmp_path_factory.mktemp("fuzz") / "log"
    username = f"system:serviceaccount:{kube.namespace}:{READER}"
    more = {"TASK_API_READERS": f'["{username}"]', "REPORTS_PER_SECOND_PER_TASK": "10000"}
    operator = OperatorProcess(kube.namespace, log, settings=more).start()
    try:
        yield _target(operator, Tasks(kube))
    finally:
        assert operator.stop() == 0
    assert "Traceback" not in log.read_text()


def _target(operator: OperatorProcess, tasks: Tasks) -> Target:
    tasks.template("fuzzed", template_spec())
    uid = tasks.run("fuzzed", "fuzzed", "import time; time.sleep(600)")
    tasks.wait("fuzzed", "Running")
    accounts = f"/api/v1/namespaces/{tasks.kube.namespace}/serviceaccounts"
    tasks.kube.create(accounts, {"metadata": {"name": READER}}).done()
    spec = {"audiences": [AUDIENCE_TASK_API], "expirationSeconds": 3600}
    reader = tasks.kube.create(f"{accounts}/{READER}/token", {"spec": spec}).done()["status"]["token"]
    pod = pod_token(tasks.kube, tasks.pods(uid)[0], seconds=3600)
    tokens = {"report": pod, "tasks": reader, "archive": reader}
    return Target(f"http://127.0.0.1:{operator.task_api_port}", uid, tokens, Caller(operator.task_api_port, pod))


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(data=strategies.data())
def test_every_answer_is_as_the_document_says(
    data: strategies.DataObject, method: str, path: str, target: Target
) -> None:
    case = data.draw(schema[path][method].as_strategy())
    if "uid" in case.path_parameters:
        case.path_parameters["uid"] = target.uid
    token = target.tokens[case.path.split("/")[2]]
    case.call_and_validate(
        base_url=target.url, headers={"Authorization": f"Bearer {token}"}, checks=CHECKED, timeout=60
    )


def test_the_task_still_reports_after_all_that(target: Target) -> None:
    assert target.pod.get("attempt").body["taskId"] == target.uid
