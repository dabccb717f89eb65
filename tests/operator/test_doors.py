"""Whatever strangers send, by kubectl or from a pod: words that say what is wrong, and everybody else goes on."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from longtask_api import constants
from tests.kube import Kube, eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Caller, reporter
from tests.operator.tasks import CODE, Tasks, container, template_spec
from tests.patience import PATIENCE

pytestmark = pytest.mark.cluster

QUICK = "print('done')"
LONG = "import time; time.sleep(600)"
OPEN = {"type": "object", "properties": {"code": {"type": "string"}, "x": {}}}


@pytest.fixture(scope="module")
def process(new_namespace: Callable[[], Kube], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """An operator of its own, which must still be the same process, with a clean log, when all was sent."""
    kube, log = new_namespace(), tmp_path_factory.mktemp("doors") / "log"
    operator = OperatorProcess(kube.namespace, log).start()
    yield operator
    assert operator.process is not None
    assert operator.process.poll() is None, log.read_text()[-3000:]
    assert operator.stop() == 0
    # Not by the client of the other tests: its reader of JSON ends at a thousand levels.
    for plural in (constants.TASK_PLURAL, constants.TEMPLATE_PLURAL):
        command = ["kubectl", "delete", f"{plural}.{constants.GROUP}", "--all", "-n", kube.namespace]
        subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def kube(process: OperatorProcess, cluster: Kube) -> Kube:
    return cluster.within(process.namespace)


@pytest.fixture(scope="module")
def tasks(kube: Kube) -> Tasks:
    made = Tasks(kube)
    made.template("open", template_spec(parametersSchema=OPEN))
    made.template("checked", template_spec(resultSchema={"type": "array", "items": {"type": "integer"}}))
    return made


def deep(levels: int, inner: str = "1") -> str:
    return '{"a":' * levels + inner + "}" * levels


def create(kube: Kube, kind: str, name: str, spec: str) -> str:
    """Create an object whose spec is that text; what kubectl says where it is refused."""
    plural = constants.TASK_PLURAL if kind == constants.TASK_KIND else constants.TEMPLATE_PLURAL
    head = f'"apiVersion": "{constants.API_VERSION}", "kind": "{kind}", "metadata": {{"name": "{name}"}}'
    made = subprocess.run(
        ["kubectl", "create", "--raw", kube.path(plural), "-f", "-"],
        input=f'{{{head}, "spec": {spec}}}',
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if made.returncode == 0 else made.stderr or "refused"


def field(kube: Kube, plural: str, name: str, path: str) -> str:
    """One field by kubectl, which reads any depth."""
    command = ["kubectl", "get", f"{plural}.{constants.GROUP}", name, "-n", kube.namespace, "-o", f"jsonpath={path}"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


REFUSED_BY_THE_API_SERVER = "by the API server"
PARAMETERS: dict[str, tuple[str, str]] = {
    "9000-levels": (f'{{"x": {deep(9000)}}}', "is nested deeper than 100 levels"),
    "9000-lists": ('{"x": ' + "[" * 9000 + "]" * 9000 + "}", "is nested deeper than 100 levels"),
    "101-levels": (f'{{"x": {deep(100)}}}', "is nested deeper than 100 levels"),
    "large": (json.dumps({"x": "y" * 70_000}), "65536 are allowed"),
    "many": (json.dumps({"x": [[]] * 30_000}), "65536 are allowed"),
    "nul": ('{"x": "a\\u0000b"}', "x: holds a NUL character"),
    "nul-in-a-name": ('{"x": {"a\\u0000b": 1}}', "x: holds a NUL character"),
    "no-number": ('{"x": 1e999}', REFUSED_BY_THE_API_SERVER),
    "a-list": ("[1]", REFUSED_BY_THE_API_SERVER),
    "text": ('"x"', REFUSED_BY_THE_API_SERVER),
    "another-type": ('{"code": {"a": [null, true]}}', 'code: {"a": [null, true]} is not of type "string"'),
    "another-name": ('{"c\\u0000de": 1}', "no such parameter"),
    "names-without-number": (json.dumps({f"n{n}": n for n in range(3000)}), "no such parameter; allowed are code, x"),
}


@pytest.mark.parametrize("case", PARAMETERS)
def test_parameters_by_kubectl_are_refused_in_words(kube: Kube, tasks: Tasks, case: str) -> None:
    parameters, told = PARAMETERS[case]
    refused = create(
        kube, constants.TASK_KIND, f"p-{case}", f'{{"templateRef": {{"name": "open"}}, "parameters": {parameters}}}'
    )
    if told is REFUSED_BY_THE_API_SERVER:
        assert refused
        return
    assert not refused
    path = "{.status.failure.reason} {.status.failure.message}"
    seen = eventually(lambda: field(kube, constants.TASK_PLURAL, f"p-{case}", path).strip(), bool)
    assert seen.startswith("InvalidParameters ")
    assert told in seen


SCHEMAS: dict[str, tuple[str, str]] = {
    "3000-levels": (deep(3000, "{}"), "is nested deeper than 100 levels"),
    "130-objects": (
        '{"type":"object","properties":{"a":' * 130 + "{}" + "}}" * 130,
        "is nested deeper than 100 levels",
    ),
    "400-lists": ('{"type":"object","default":' + "[" * 400 + "]" * 400 + "}", "is nested deeper than 100 levels"),
    "large": (json.dumps({"type": "object", "description": "x" * 70_000}), "65536 are allowed"),
    "numbers": ('{"type": 5, "minimum": 1e300, "properties": 7}', "not a JSON Schema (2020-12)"),
    "lists": ('{"type": "object", "properties": [[[]]]}', "not a JSON Schema (2020-12): properties"),
    "nothing": ('{"type": "object", "properties": {"a": null}}', "not a JSON Schema (2020-12)"),
    "odd-names": (
        '{"type": "object", "properties": {"\\u0000": {}, "\\ud800": {}, "a\\nb": {}}}',
        "a name has up to 64 of A-Z",
    ),
    "references": (
        json.dumps(
            {
                "type": "object",
                "properties": {f"p{n}": {"$ref": f"#/properties/p{n + 1}"} for n in range(1500)} | {"p1500": {}},
            }
        ),
        "nests schemas deeper than 45 levels",
    ),
    "a-file": ('{"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}', "only references inside"),
    "patterns": (
        json.dumps({"type": "object", "properties": {f"p{n}": {"pattern": f"a{{{n}}}"} for n in range(100)}}),
        "has 100 different regular expressions; 32 are allowed",
    ),
    "default": ('{"type": "object", "properties": {"a": {"type": "string", "default": 1}}}', "the defaults do not fit"),
    "empty-enum": ('{"type": "object", "properties": {"a": {"enum": []}}}', "properties.a: no value fits it"),
}
PODS: dict[str, tuple[str, str]] = {
    "3000-levels": (f'"affinity": {deep(3000)}', "is nested deeper than 100 levels"),
    "init-text": ('"initContainers": "fetch"', "podTemplate.spec.initContainers must be a list, not text"),
    "init-texts": ('"initContainers": ["a"]', "podTemplate.spec.initContainers[0] must be an object, not text"),
    "volumes": ('"volumes": {"a": {}}', "podTemplate.spec.volumes must be a list, not an object"),
    "a-typo": ('"restartPolicyy": "Never"', 'unknown field "spec.restartPolicyy"'),
    "numbers": ('"nodeSelector": 1e300', "nodeSelector"),
    "seconds": ('"activeDeadlineSeconds": "soon"', "activeDeadlineSeconds"),
    "nothing": ('"tolerations": [null, 5, {"a": []}]', "tolerations"),
}
CONTAINERS: dict[str, tuple[dict[str, Any], str]] = {
    "env-text": ({"env": "A=1"}, "podTemplate.spec.containers[0].env must be a list, not text"),
    "env-texts": ({"env": ["A=1"]}, "podTemplate.spec.containers[0].env[0] must be an object, not text"),
    "env-number": ({"env": [{"name": 5}]}, "name"),
    "a-typo": ({"comand": ["x"]}, 'unknown field "spec.containers[0].comand"'),
    "a-deep-typo": ({"resources": {"limit": {"cpu": "1"}}}, 'unknown field "spec.containers[0].resources.limit"'),
    "resources": ({"resources": [[]]}, "resources"),
    "quantity": ({"resources": {"limits": {"memory": {"a": 1}}}}, "quantities must match"),
}


def verdict(kube: Kube, name: str) -> str:
    path = "{.status.conditions[0].status} {.status.conditions[0].message}"
    return eventually(lambda: field(kube, constants.TEMPLATE_PLURAL, name, path).strip(), bool)


@pytest.mark.parametrize("place", ["parametersSchema", "resultSchema"])
@pytest.mark.parametrize("case", SCHEMAS)
def test_a_schema_that_nobody_can_use_is_not_ready(kube: Kube, tasks: Tasks, place: str, case: str) -> None:
    schema, told = SCHEMAS[case]
    if place == "resultSchema" and case in ("odd-names", "default"):
        pytest.skip("a result may have such names, and has no defaults")
    name = f"{place[0]}-{case}"
    pod = json.dumps(template_spec()["podTemplate"])
    assert not create(
        kube, constants.TEMPLATE_KIND, name, f'{{"description": "x", "podTemplate": {pod}, "{place}": {schema}}}'
    )
    seen = verdict(kube, name)
    assert seen.startswith("False")
    assert told in seen


@pytest.mark.parametrize("case", PODS)
def test_a_pod_that_is_none_is_not_ready(kube: Kube, tasks: Tasks, case: str) -> None:
    more, told = PODS[case]
    pod = f'{{"containers": [{json.dumps(container())}], {more}}}'
    spec = f'{{"description": "x", "parametersSchema": {json.dumps(CODE)}, "podTemplate": {{"spec": {pod}}}}}'
    assert not create(kube, constants.TEMPLATE_KIND, f"pod-{case}", spec)
    seen = verdict(kube, f"pod-{case}")
    assert seen.startswith("False")
    assert told in seen


@pytest.mark.parametrize("case", CONTAINERS)
def test_a_container_that_is_none_is_not_ready(kube: Kube, tasks: Tasks, case: str) -> None:
    more, told = CONTAINERS[case]
    spec = json.dumps(template_spec({"containers": [container(**more)]}))
    assert not create(kube, constants.TEMPLATE_KIND, f"container-{case}", spec)
    seen = verdict(kube, f"container-{case}")
    assert seen.startswith("False")
    assert told in seen


@pytest.fixture(scope="module")
def pod(process: OperatorProcess, kube: Kube, tasks: Tasks) -> Caller:
    """A pod of a task whose result is checked."""
    uid = tasks.run("waits", "checked", LONG)
    tasks.wait("waits", "Running")
    return reporter(process, kube, tasks.pods(uid)[0])


def question(schema: str) -> str:
    return f'{{"id": "q", "message": "?", "schema": {schema}}}'


QUESTIONS: dict[str, str] = {
    "3000-levels": question(deep(3000, "{}")),
    "3000-lists": question('{"enum": ' + "[" * 3000 + "]" * 3000 + "}"),
    "105-levels": question(deep(105, "{}")),
    "200-levels": '{"id": "q", "message": "?", "default": ' + "[" * 200 + "]" * 200 + ', "timeoutSeconds": 9}',
    "only-brackets": "[" * 30_000,
    "nul": '{"id": "q", "message": "?"}\0',
    "utf-16": '{"id": "q"}'.encode("utf-16").decode("latin-1"),
    "references": question(json.dumps({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"})),
    "patterns": question(json.dumps({"anyOf": [{"pattern": f"\\p{{L}}{{1,{n}}}"} for n in range(200)]})),
    "a-file": question('{"$ref": "file:///etc/passwd"}'),
    "types": '{"id": 5, "message": [], "schema": "x"}',
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_a_question_that_nobody_can_ask_is_refused_in_words(pod: Caller, case: str) -> None:
    answer = pod.post("questions", QUESTIONS[case].encode("latin-1"))
    assert answer.refused == (422, "Malformed")
    assert answer.body["detail"]


RESULTS: dict[str, tuple[bytes, str]] = {
    "20000-lists": (b"[" * 20_000 + b"]" * 20_000, "the result is nested deeper than 100 levels"),
    "million-levels": (b'{"a":' * 1_000_000, "the result has more than 200000 values"),
    "empty-lists": (b"[" + b"[]," * 5_000_000 + b"1]", "the result has more than 200000 values"),
    "wrong-numbers": (b"[" + b"1.5," * 90_000 + b"1]", '[0]: 1.5 is not of type "integer"'),
    "a-long-text": (b'"' + b"x" * 15_000_000 + b'"', 'is not of type "array"'),
}


@pytest.mark.parametrize("case", RESULTS)
def test_a_result_that_is_too_much_to_look_into_is_kept_and_told(pod: Caller, case: str) -> None:
    body, told = RESULTS[case]
    answer = pod.put("result", body, **{"Content-Type": "application/json"})
    assert answer.code in (200, 413), answer.content
    if answer.code == 200:
        assert told in answer.body["mismatch"]


@pytest.mark.parametrize("body", [b"[1", b"\xff", b"[1]\0", "[1]".encode("utf-16"), b"{'a': 1}", b"[1e5,]"])
def test_a_result_that_is_not_what_it_is_called_is_refused(pod: Caller, body: bytes) -> None:
    answer = pod.put("result", body, **{"Content-Type": "application/json"})
    assert answer.refused == (422, "Malformed")


def test_after_all_that_a_task_runs_as_ever(tasks: Tasks) -> None:
    tasks.run("after-all", "open", QUICK)
    tasks.wait("after-all", "Succeeded")
