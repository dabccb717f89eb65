"""Any JSON in any place of a template's pod that the CRD leaves open: words with the place, never an exception."""

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies

from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.build_job import build_job, take_snapshot
from longtask_operator.template_controller import dry_run_pod, problems_of, status_of
from tests.unit.given import at, task, template

TEXT = strategies.text(strategies.characters(codec="utf-8"), max_size=8)
ANY = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers(-(2**63), 2**63 - 1)
    | strategies.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | strategies.sampled_from(["LONGTASK_ID", "longtask-report-token", "Never", "name", "env"]),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
VARIABLE = strategies.fixed_dictionaries({}, optional={"name": ANY, "value": ANY, "valueFrom": ANY})
PLACES = ("env", "volumeMounts", "envFrom", "command", "args", "resources", "terminationMessagePolicy", "ports")


def _lists(each: Any) -> Any:
    return strategies.lists(each | ANY, max_size=3) | ANY


OPEN = {place: _lists(VARIABLE) for place in PLACES}
CONTAINER = strategies.fixed_dictionaries(
    {"name": strategies.just("main"), "image": strategies.just("x:1")}, optional=OPEN
)
OTHER_CONTAINER = strategies.fixed_dictionaries({}, optional={"name": ANY, "image": ANY} | OPEN)
POD = strategies.fixed_dictionaries(
    {"containers": strategies.lists(CONTAINER, min_size=1, max_size=2)},
    optional={
        "initContainers": _lists(OTHER_CONTAINER),
        "ephemeralContainers": _lists(OTHER_CONTAINER),
        "volumes": _lists(VARIABLE),
        "restartPolicy": ANY,
        "activeDeadlineSeconds": ANY,
        "securityContext": ANY,
        "copy": ANY,
        "model_dump": ANY,
    },
)


def _made(pod: Any, **spec: Any) -> LongTaskTemplate:
    return template({"podTemplate": {"spec": pod}} | spec)


@settings(max_examples=500, deadline=None)
@given(POD)
def test_a_pod_is_told_wrong_or_can_be_built(pod: Any) -> None:
    given_ = _made(pod)
    problems = problems_of(given_)
    assert status_of(given_, "InvalidSpec", problems, at(0)).to_api()["conditions"]
    if not problems:
        json.dumps(dry_run_pod(given_), allow_nan=False).encode()
        json.dumps(build_job(task(), given_, take_snapshot(given_), {}, None), allow_nan=False).encode()


@pytest.mark.parametrize(
    ("pod", "problem"),
    [
        ({"initContainers": "fetch"}, "podTemplate.spec.initContainers must be a list, not text"),
        ({"initContainers": ["fetch"]}, "podTemplate.spec.initContainers[0] must be an object, not text"),
        ({"initContainers": {"name": "x"}}, "podTemplate.spec.initContainers must be a list, not an object"),
        ({"initContainers": [{"env": 5}]}, "podTemplate.spec.initContainers[0].env must be a list, not a number"),
        ({"volumes": {"data": {}}}, "podTemplate.spec.volumes must be a list, not an object"),
        ({"volumes": [None]}, "podTemplate.spec.volumes[0] must be an object, not null"),
        (
            {"containers": [{"name": "main", "image": "x", "env": "A=1"}]},
            "podTemplate.spec.containers[0].env must be a list, not text",
        ),
        (
            {"containers": [{"name": "main", "image": "x", "env": ["A=1"]}]},
            "podTemplate.spec.containers[0].env[0] must be an object, not text",
        ),
        (
            {"containers": [{"name": "main", "image": "x", "volumeMounts": True}]},
            "podTemplate.spec.containers[0].volumeMounts must be a list, not true or false",
        ),
    ],
    ids=str,
)
def test_a_pod_of_another_shape_is_told_with_its_place(pod: dict[str, Any], problem: str) -> None:
    assert problems_of(_made({"containers": [{"name": "main", "image": "x"}]} | pod)) == [problem]


def _deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize("levels", [150, 3000, 9990])
@pytest.mark.parametrize(
    "place", ["parametersSchema", "resultSchema", "podTemplate.spec.affinity", "podTemplate.spec.containers[0].env"]
)
def test_a_template_nested_too_deep_is_told_so(levels: int, place: str) -> None:
    spec: dict[str, Any] = {"description": "x", "podTemplate": {"spec": {"containers": [{"name": "m", "image": "x"}]}}}
    holder = spec
    if place.startswith("podTemplate"):
        holder = spec["podTemplate"]["spec"]
        holder = holder["containers"][0] if place.endswith("env") else holder
    holder[place.rpartition(".")[2]] = _deep(levels)
    given_ = template(spec)
    problems = problems_of(given_)
    assert any("is nested deeper than 100 levels" in each for each in problems), problems
    assert status_of(given_, "InvalidSpec", problems, at(0)).to_api()["conditions"][0]["status"] == "False"


@pytest.mark.parametrize("levels", [150, 9990])
def test_a_task_nested_too_deep_can_be_read_written_and_compared(levels: int) -> None:
    document = {
        "metadata": {"name": "x", "uid": "u"},
        "spec": {"templateRef": {"name": "t"}, "parameters": _deep(levels)},
        "status": {"result": {"value": _deep(levels)}},
    }
    read = LongTask.from_api(document)
    assert read == LongTask.from_api(read.to_api() | {"metadata": document["metadata"]})
