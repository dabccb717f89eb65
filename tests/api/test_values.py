"""What becomes of the values that agents and authors give: parameters, and status.result.value.

etcd keeps JSON, and the API server reads a number as int64 where it can, else as float64.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from longtask_api import constants
from tests.api.conftest import MakeTask
from tests.api.objects import SUCCEEDED, task
from tests.api.writes import Change, Stored
from tests.kube import Kube


def _posted(kube: Kube, name: str, value: Any) -> Any:
    kube.create(kube.path(constants.TASK_PLURAL), task(name, {"parameters": {"x": value}})).done()
    return kube.get(kube.path(constants.TASK_PLURAL, name)).done()["spec"]["parameters"]["x"]


def _applied(kube: Kube, name: str, value: Any) -> Any:
    stored = Stored(kube, kube.path(constants.TASK_PLURAL, name))
    kube.apply(stored.path, task(name)).done()
    stored.write("server-side apply", Change("status", {"result": {"value": {"x": value}}})).done()
    return stored.read()["status"]["result"]["value"]["x"]


WRITES = {"parameter, JSON": _posted, "result, YAML of server-side apply": _applied}

KEPT: list[Any] = [
    "Grüße, 世界 🚀",
    "line\nbreak\ttab \\ \" ' $(HOME) $$ \u2028",
    "\x00",
    "",
    True,
    False,
    None,
    0,
    -1,
    0.1,
    1e-7,
    1.7976931348623157e308,
    2**53,
    2**53 + 1,
    2**63 - 1,
    -(2**63),
    [],
    {},
    [None, [None, {"a": None}], {}],
    {"a": {"b": {"c": [1, {"d": "é"}]}}, "": "an empty name", "x-kubernetes-preserve-unknown-fields": 1, "$ref": "#"},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "not an object of the API", "labels": 7}},
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("value", KEPT, ids=ascii)
def test_a_value_is_kept(kube: Kube, new_name: Callable[[], str], write: str, value: Any) -> None:
    assert _exactly(WRITES[write](kube, new_name(), value)) == _exactly(value)


CHANGED = [
    (1.0, 1),
    (-0.0, 0),
    (1e3, 1000),
    (1e20, 100000000000000000000),
    (1e22, 1e22),
    (2**63, 9223372036854776000),
    (2**63 + 1, 9223372036854776000),
    (92233720368547758089, 92233720368547760000),
    (2**70, 1.1805916207174113e21),
    (-(2**63) - 1, -9223372036854776000),
]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(("given", "becomes"), CHANGED, ids=repr)
def test_a_number_is_stored_otherwise(
    kube: Kube, new_name: Callable[[], str], write: str, given: float, becomes: float
) -> None:
    """Whole floats lose their point; of an integer beyond 64 bits about 17 digits stay."""
    assert _exactly(WRITES[write](kube, new_name(), given)) == _exactly(becomes)


@pytest.mark.parametrize("value", ["text", 7, 0.5, True, [1, "a"], {"a": 1}], ids=repr)
def test_a_result_may_be_any_json(a_task: MakeTask, value: Any) -> None:
    stored = a_task(status=SUCCEEDED | {"result": {"value": value}})

    assert stored.read()["status"]["result"] == {"value": value}


def test_a_result_of_null_is_kept(a_task: MakeTask) -> None:
    stored = a_task(status=SUCCEEDED | {"result": {"value": None}})

    assert stored.read()["status"]["result"] == {"value": None}


def test_a_merge_patch_cannot_set_null_inside_a_value(a_task: MakeTask) -> None:
    """In a merge patch null means: remove. Results are never written with one."""
    stored = a_task(status={"result": {"value": {"a": 1}}})

    stored.write("merge patch", Change("status.result.value.a", None)).done()

    assert stored.read()["status"]["result"] == {"value": {}}


@pytest.mark.parametrize("verb", ["JSON patch", "PUT", "server-side apply"])
def test_the_other_writes_can_set_null_inside_a_value(a_task: MakeTask, verb: str) -> None:
    stored = a_task(status={"result": {"value": {"a": 1}}})

    stored.write(verb, Change("status.result.value.a", None)).done()

    assert stored.read()["status"]["result"] == {"value": {"a": None}}


@pytest.mark.parametrize("verb", ["JSON patch", "PUT"])
def test_to_the_fence_1_0_is_not_1(a_task: MakeTask, verb: str) -> None:
    """Whoever writes a finished task again sends what was read, not what was once computed."""
    stored = a_task(status=SUCCEEDED | {"result": {"value": {"score": 1.0}}})
    assert repr(stored.read()["status"]["result"]["value"]) == "{'score': 1}"

    answer = stored.write(verb, Change("status.result.value.score", 1.0))

    assert answer.refusals == {"the task has ended: its result never changes again": "status.result"}


def test_to_server_side_apply_1_0_is_1(a_task: MakeTask) -> None:
    stored = a_task(status=SUCCEEDED | {"result": {"value": {"score": 1}}})

    stored.write("server-side apply", Change("status.result.value.score", 1.0)).done()


@pytest.mark.parametrize(
    "text",
    [r'"\ud83d\ude80"', r'"\ud83d"', '"\x80"', '"\ufffe"'],
    ids=["an emoji as json.dumps writes it", "half an emoji", "a control character", "no character"],
)
def test_some_json_is_no_yaml_to_server_side_apply(a_task: MakeTask, text: str) -> None:
    """Whoever applies must escape otherwise than json.dumps, as longtask_runtime.kube does."""
    stored = a_task()
    body = json.dumps(stored.read() | {"status": {"message": "HERE"}}).replace('"HERE"', text).encode()

    answer = stored.kube.request(
        "PATCH", f"{stored.path}/status", body, content="application/apply-patch+yaml", fieldManager="author"
    )

    assert answer.code == 400
    assert "error converting YAML to JSON" in answer.body["message"]


def test_half_an_emoji_in_json_becomes_the_replacement_character(kube: Kube, new_name: Callable[[], str]) -> None:
    assert _posted(kube, new_name(), "\ud83d!") == "\ufffd!"


def test_a_mebibyte_of_parameters_is_stored(kube: Kube) -> None:
    """The API server's limit is no guard: longtask's own, 64 KiB, is the operator's and the MCP server's to hold."""
    body = task("mebibyte", {"parameters": {"x": "a" * 2**20}})

    assert kube.create(kube.path(constants.TASK_PLURAL), body).code == 201


def test_two_mebibytes_are_refused(kube: Kube) -> None:
    answer = kube.create(kube.path(constants.TASK_PLURAL), task("large", {"parameters": {"x": "a" * 2**21}}))

    assert answer.code in (413, 500), answer.body
    assert re.search("too large|larger than max", answer.body["message"])


def _exactly(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
