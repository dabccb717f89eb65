"""Results and artifacts that a pod hands in."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from longtask_api.constants import AUDIENCE_TASK_API
from tests.operator.conftest import READER
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, reporter
from tests.operator.tasks import WHEN_TOLD, Tasks, template_spec
from tests.operator.test_checkpoints import digest, stored

pytestmark = pytest.mark.cluster

SCHEMA = {"type": "object", "properties": {"score": {"type": "number", "minimum": 0}}, "required": ["score"]}
LARGE = json.dumps({"rows": ["ä" * 100] * 400, "summary": "400 rows"}, ensure_ascii=False).encode()


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    tasks.template("results", template_spec())
    tasks.template("checked-results", template_spec(resultSchema=SCHEMA))


Start = Callable[..., tuple[str, Caller]]


@pytest.fixture
def start(tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]) -> Start:
    def begin(template: str = "results") -> tuple[str, Caller]:
        name = unique("result")
        tasks.run(name, template, WHEN_TOLD)
        return name, pod_of(name)

    return begin


@pytest.fixture
def finish(tasks: Tasks) -> Callable[[str], dict[str, Any]]:
    """Lets the task's container end with exit code 0; the status then."""

    def end(name: str) -> dict[str, Any]:
        tasks.go(tasks.get(name)["metadata"]["uid"])
        return tasks.wait(name, "Succeeded", "Failed")

    return end


def read(operator: OperatorProcess, tasks: Tasks, name: str) -> Caller:
    accounts = f"/api/v1/namespaces/{tasks.kube.namespace}/serviceaccounts"
    tasks.kube.create(accounts, {"metadata": {"name": READER}})
    request = {"spec": {"audiences": [AUDIENCE_TASK_API], "expirationSeconds": 600}}
    token = tasks.kube.create(f"{accounts}/{READER}/token", request).done()["status"]["token"]
    return Caller(operator.task_api_port, token, f"/v1/tasks/{tasks.get(name)['metadata']['uid']}")


def test_a_small_result_is_in_the_object(tasks: Tasks, start: Start, finish: Callable[[str], dict[str, Any]]) -> None:
    name, pod = start()
    body = b'{"score": 0.5, "summary": "half"}'
    answer = pod.put("result", body, Content_Digest=digest(body))
    assert (answer.code, answer.body) == (200, {"size": len(body), "sha256": hashlib.sha256(body).hexdigest()})
    status = finish(name)
    assert status["phase"] == "Succeeded"
    assert status["result"] == {"attempt": 1, "value": {"score": 0.5, "summary": "half"}, "summary": "half"}


def test_a_large_result_is_in_the_store_and_read_in_parts(
    operator: OperatorProcess, tasks: Tasks, start: Start, finish: Callable[[str], dict[str, Any]]
) -> None:
    name, pod = start()
    assert pod.put("result?summary=many+rows", LARGE, Content_Digest=digest(LARGE)).code == 200
    result = finish(name)["result"]
    assert result["summary"] == "many rows"
    assert result["reference"]["sha256"] == hashlib.sha256(LARGE).hexdigest()
    reader = read(operator, tasks, name)
    whole = reader.get("result")
    assert (whole.code, whole.content, whole.headers["content-type"]) == (200, LARGE, "application/json")
    part = reader.get("result", Range="bytes=100-199")
    assert (part.code, part.content) == (206, LARGE[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(LARGE)}"
    last = reader.get("result", Range=f"bytes={len(LARGE) - 5}-{len(LARGE) + 50}")
    assert last.content == LARGE[-5:]
    assert reader.get("result", Range=f"bytes={len(LARGE)}-").refused == (416, "OutOfRange")


def test_handing_in_again_replaces_and_leaves_nothing_behind(tasks: Tasks, start: Start) -> None:
    name, pod = start()
    for body in (LARGE, LARGE + b" "):
        assert pod.put("result", body).code == 200
    assert len(stored(tasks, name)) == 1
    assert pod.put("result", b'"small"').code == 200
    assert stored(tasks, name) == []
    assert tasks.status(name)["result"] == {"attempt": 1, "value": "small"}


def test_a_text_stays_a_text(tasks: Tasks, start: Start, finish: Callable[[str], dict[str, Any]]) -> None:
    name, pod = start()
    assert pod.put("result", "1.0 ✓".encode(), Content_Type="text/markdown; charset=utf-8").code == 200
    assert finish(name)["result"] == {"attempt": 1, "text": "1.0 ✓", "mediaType": "text/markdown"}


def test_numbers_that_the_api_server_would_change_are_kept_as_text(tasks: Tasks, start: Start) -> None:
    name, pod = start()
    assert pod.put("result", b'{"n": 12345678901234567890123}').code == 200
    result = tasks.status(name)["result"]
    assert (result["text"], result["mediaType"]) == ('{"n": 12345678901234567890123}', "application/json")


def test_a_result_that_does_not_fit_fails_the_task_and_is_kept(
    tasks: Tasks, start: Start, finish: Callable[[str], dict[str, Any]]
) -> None:
    name, pod = start("checked-results")
    answer = pod.put("result", b'{"score": -1}')
    assert answer.code == 200
    assert "score" in answer.body["mismatch"]
    status = finish(name)
    assert (status["phase"], status["failure"]["reason"]) == ("Failed", "InvalidResult")
    assert "score" in status["failure"]["message"]
    assert status["result"]["value"] == {"score": -1}


def test_one_number_that_json_does_not_have_fails_the_task_and_all_is_kept(
    tasks: Tasks, start: Start, finish: Callable[[str], dict[str, Any]]
) -> None:
    name, pod = start()
    large = b"[" + b"1," * 20_000 + b"NaN]"
    assert "NaN" in pod.put("result", large).body["mismatch"]
    assert tasks.status(name)["result"]["mediaType"] == "text/plain"
    body = b'{"epochs": 40, "loss": NaN}'
    assert "NaN" in pod.put("result", body).body["mismatch"]
    status = finish(name)
    assert (status["phase"], status["failure"]["reason"]) == ("Failed", "InvalidResult")
    assert "it holds NaN, which JSON does not have" in status["failure"]["message"]
    assert (status["result"]["text"], status["result"]["mediaType"]) == (body.decode(), "text/plain")


def test_a_result_that_fits_succeeds(start: Start, finish: Callable[[str], dict[str, Any]]) -> None:
    name, pod = start("checked-results")
    assert "mismatch" not in pod.put("result", b'{"score": 1}').body
    assert finish(name)["phase"] == "Succeeded"


def test_artifacts_are_kept_beside_the_result(
    operator: OperatorProcess, tasks: Tasks, start: Start, finish: Callable[[str], dict[str, Any]]
) -> None:
    name, pod = start()
    model = bytes(range(256)) * 1000
    kept = pod.put("artifacts/model.bin", model, Content_Type="application/x-model", Content_Digest=digest(model))
    assert kept.code == 200
    assert pod.put("artifacts/report.txt", b"first").code == 200
    assert pod.put("artifacts/report.txt", b"second", Content_Type="text/plain").code == 200
    assert pod.put("result", b'{"score": 1}').code == 200
    assert len(stored(tasks, name)) == 2
    result = finish(name)["result"]
    assert [each["name"] for each in result["artifacts"]] == ["model.bin", "report.txt"]
    assert result["value"] == {"score": 1}
    assert result["artifacts"][0] == {"mediaType": "application/x-model", **kept.body}
    reader = read(operator, tasks, name)
    assert reader.get("artifacts/model.bin").content == model
    assert reader.get("artifacts/report.txt").content == b"second"
    assert reader.get("artifacts/none").refused == (404, "NoStoredArtifact")


BAD: dict[str, tuple[str, bytes, dict[str, str], tuple[int, str]]] = {
    "broken JSON": ("result", b'{"a": ', {}, (422, "Malformed")),
    "broken JSON that is large": ("result", b"[" + b"1," * 20_000, {}, (422, "Malformed")),
    "not UTF-8": ("result", b"\xff", {"Content_Type": "text/plain"}, (422, "Malformed")),
    "a picture": ("result", b"x", {"Content_Type": "image/png"}, (415, "UnsupportedMediaType")),
    "long summary": (f"result?summary={'x' * 1025}", b"1", {}, (422, "Malformed")),
    "wrong digest": ("result", b"1", {"Content_Digest": digest(b"2")}, (422, "DigestMismatch")),
    "too large": ("result", b'"' + b"x" * 921_600 + b'"', {}, (413, "TooLarge")),
    "bad artifact name": ("artifacts/-x", b"1", {}, (422, "Malformed")),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_a_result_is_refused_and_nothing_is_stored(
    tasks: Tasks, waiting: tuple[str, Caller], case: str
) -> None:
    path, body, headers, refused = BAD[case]
    name, pod = waiting
    assert pod.put(path, body, **headers).refused == refused
    assert stored(tasks, name) == []
    assert "result" not in tasks.status(name)


@pytest.fixture(scope="module")
def waiting(operator: OperatorProcess, tasks: Tasks) -> tuple[str, Caller]:
    name = "result-for-all"
    uid = tasks.run(name, "results", WHEN_TOLD)
    tasks.wait(name, "Running")
    return name, reporter(operator, tasks.kube, tasks.pods(uid)[0])
