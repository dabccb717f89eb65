"""The Job of a task."""

import json
from copy import deepcopy
from typing import Any

import pytest

from longtask_api.longtask import StallPolicy, TemplateSnapshot
from longtask_api.template import LongTaskTemplate, spec_hash
from longtask_operator.planning.build_job import build_job, compact_json, environment, result_schema, take_snapshot
from longtask_operator.planning.snapshots import controller_uid, job_snapshot, task_of_job
from tests.unit.given import JOB_REF, TASK_UID, at_work, job, task, template

MAIN = {"name": "main", "image": "training:1"}


def _template(
    pod: dict[str, Any] | None = None, properties: dict[str, Any] | None = None, **spec: Any
) -> LongTaskTemplate:
    pod_template = {"spec": {"containers": [MAIN]} | (pod or {})}
    schema = {"type": "object", "properties": properties or {}}
    return template({"podTemplate": pod_template, "parametersSchema": schema} | spec)


def _job(
    source: LongTaskTemplate | None = None, parameters: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    source = source or _template()
    return build_job(task(**spec), source, take_snapshot(source), parameters or {}, report_url=None)


def _pod(source: LongTaskTemplate) -> dict[str, Any]:
    spec: dict[str, Any] = _job(source)["spec"]["template"]["spec"]
    return spec


def _variables(properties: dict[str, Any], parameters: dict[str, Any]) -> dict[str, str]:
    return {v["name"]: v["value"] for v in environment("uid-1", _template(properties=properties), parameters)}


def test_the_job_is_named_after_the_task_and_a_part_of_its_uid() -> None:
    assert _job()["metadata"]["name"] == JOB_REF.name
    assert _job()["metadata"]["namespace"] == "tasks"


def test_the_job_is_controlled_by_the_task() -> None:
    assert _job()["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "longtask.dev/v1alpha1",
            "kind": "LongTask",
            "name": "training-1",
            "uid": TASK_UID,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert controller_uid(_job()["metadata"], "LongTask") == TASK_UID


def test_job_and_pod_are_found_by_their_labels() -> None:
    expected = {
        "app.kubernetes.io/managed-by": "longtask",
        "longtask.dev/task": "training-1",
        "longtask.dev/task-uid": TASK_UID,
        "longtask.dev/template": "training",
    }
    assert _job()["metadata"]["labels"] == expected
    assert _job()["spec"]["template"]["metadata"]["labels"] == expected
    assert task_of_job(_job()["metadata"])


def test_the_authors_labels_and_annotations_reach_the_pod_and_never_replace_ours() -> None:
    metadata = {
        "labels": {"team": "a", "longtask.dev/task-uid": "of-somebody-else"},
        "annotations": {"sidecar.istio.io/inject": "false", "kubectl.kubernetes.io/default-container": "log"},
    }
    source = template({"podTemplate": {"metadata": metadata, "spec": {"containers": [MAIN]}}})
    built = _job(source)["spec"]["template"]["metadata"]
    assert built["labels"]["team"] == "a"
    assert built["labels"]["longtask.dev/task-uid"] == TASK_UID
    assert built["annotations"] == {
        "sidecar.istio.io/inject": "false",
        "kubectl.kubernetes.io/default-container": "main",
    }


def test_a_disruption_is_no_failure_of_the_job() -> None:
    assert _job()["spec"]["podFailurePolicy"] == {
        "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    }


def test_no_second_pod_starts_while_the_first_may_live() -> None:
    spec = _job()["spec"]
    assert spec["podReplacementPolicy"] == "Failed"
    assert (spec["parallelism"], spec["completions"]) == (1, 1)


@pytest.mark.parametrize(
    ("source", "spec", "field", "expected"),
    [
        (_template(), {}, "backoffLimit", 0),
        (_template(retry={"limit": 7}), {}, "backoffLimit", 7),
        (_template(), {}, "suspend", False),
        (_template(), {"suspend": True}, "suspend", True),
    ],
)
def test_what_the_job_takes_from_template_and_task(
    source: LongTaskTemplate, spec: dict[str, Any], field: str, expected: Any
) -> None:
    assert _job(source, **spec)["spec"][field] == expected


@pytest.mark.parametrize("field", ["activeDeadlineSeconds", "ttlSecondsAfterFinished"])
def test_the_job_has_no_clock_of_its_own(field: str) -> None:
    assert field not in _job()["spec"]


def test_the_deadline_of_an_attempt_is_the_pods() -> None:
    assert _pod(_template({"activeDeadlineSeconds": 60}))["activeDeadlineSeconds"] == 60


def test_the_pod_is_never_restarted_in_place() -> None:
    assert _pod(_template({"restartPolicy": "OnFailure"}))["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("container", "expected"), [({}, "FallbackToLogsOnError"), ({"terminationMessagePolicy": "File"}, "File")]
)
def test_the_log_explains_a_failure_unless_the_author_says_otherwise(container: dict[str, str], expected: str) -> None:
    built = _pod(
        _template({"containers": [MAIN | container], "initContainers": [MAIN | {"name": "fetch"} | container]})
    )
    assert built["containers"][0]["terminationMessagePolicy"] == expected
    assert built["initContainers"][0]["terminationMessagePolicy"] == expected


def test_every_container_gets_the_variables_before_its_own() -> None:
    own = {"name": "EPOCHS", "value": "$(LONGTASK_PARAM_EPOCHS)"}
    containers = [MAIN | {"env": [own]}, {"name": "sidecar", "image": "sidecar:1"}]
    pod = {"containers": containers, "initContainers": [MAIN | {"name": "fetch", "env": [own]}]}
    source = _template(pod, {"epochs": {}})
    built = _job(source, {"epochs": 3})["spec"]["template"]["spec"]
    ours = ["LONGTASK_ID", "LONGTASK_PARAMETERS", "LONGTASK_PARAM_EPOCHS"]
    names = [[variable["name"] for variable in c["env"]] for c in [*built["initContainers"], *built["containers"]]]
    assert names == [[*ours, "EPOCHS"], [*ours, "EPOCHS"], ours]


def test_the_authors_own_values_stay_as_they_are() -> None:
    own = {"name": "EPOCHS", "value": "$(LONGTASK_PARAM_EPOCHS)"}
    assert _pod(_template({"containers": [MAIN | {"env": [own]}]}))["containers"][0]["env"][-1] == own


def test_all_else_of_the_authors_pod_is_kept() -> None:
    pod = {"serviceAccountName": "trainer", "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}]}
    resources = {"limits": {"memory": "2Gi", "nvidia.com/gpu": 1}}
    built = _pod(_template(pod | {"containers": [MAIN | {"resources": resources}]}))
    assert built["volumes"][:-1] == pod["volumes"]
    assert built["serviceAccountName"] == "trainer"
    assert built["containers"][0]["resources"] == resources
    assert built["containers"][0]["image"] == "training:1"


def test_building_leaves_template_and_task_as_they_were() -> None:
    source = _template({"containers": [MAIN | {"env": [{"name": "A", "value": "1"}]}], "initContainers": [MAIN]})
    before = deepcopy(source.to_api())
    first, second = _job(source, {"epochs": 3}), _job(source, {"epochs": 3})
    assert source.to_api() == before
    assert first == second


def test_the_snapshot_travels_on_the_job() -> None:
    source = _template(
        startTimeoutSeconds=5, activeDeadlineSeconds=6, maxActiveDeadlineSeconds=7, ttlSecondsAfterFinished=8
    )
    document = _job(source)
    document["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-03-01T10:00:00Z"}
    snapshot = job_snapshot(document).snapshot
    assert snapshot == take_snapshot(source)
    assert snapshot is not None
    assert (snapshot.start_timeout_seconds, snapshot.active_deadline_seconds) == (5, 6)
    assert (snapshot.max_active_deadline_seconds, snapshot.ttl_seconds_after_finished) == (7, 8)


@pytest.mark.parametrize("stall", [None, {"timeoutSeconds": 60, "action": "Retry", "expectReports": True}])
def test_the_snapshot_says_when_the_work_counts_as_stalled(stall: dict[str, Any] | None) -> None:
    snapshot = take_snapshot(_template(stall=stall))
    assert snapshot.stall == (None if stall is None else StallPolicy.from_api(stall))


@pytest.mark.parametrize(
    ("schema", "text"), [(None, None), ({"title": "ü", "type": "number"}, '{"title":"ü","type":"number"}')]
)
def test_the_result_schema_travels_on_the_job(schema: dict[str, Any] | None, text: str | None) -> None:
    annotations = _job(_template(resultSchema=schema))["metadata"]["annotations"]
    assert annotations.get("longtask.dev/result-schema") == text


SCHEMA: dict[str, Any] = {"type": "object"}


@pytest.mark.parametrize(
    ("of_job", "of_template", "edited", "expected"),
    [
        pytest.param('{"type":"array"}', SCHEMA, False, '{"type":"array"}', id="that of the Job"),
        pytest.param(None, SCHEMA, False, None, id="the Job has none"),
        pytest.param("gone", SCHEMA, False, compact_json(SCHEMA), id="no Job: that of the template"),
        pytest.param("gone", SCHEMA, True, None, id="no Job, the template was edited"),
        pytest.param("gone", None, False, None, id="no Job, the template has none"),
    ],
)
def test_what_a_result_is_measured_by(
    of_job: str | None, of_template: dict[str, Any] | None, edited: bool, expected: str | None
) -> None:
    made = template({"resultSchema": of_template} if of_template is not None else {})
    snapshot = take_snapshot(made)
    of = task(at_work(template_snapshot=replace_hash(snapshot) if edited else snapshot))
    assert result_schema(of, None if of_job == "gone" else job(result_schema=of_job), made) == expected
    assert result_schema(of, None, None) is None
    assert result_schema(task(), None, made) is None


def replace_hash(snapshot: TemplateSnapshot) -> TemplateSnapshot:
    return snapshot.model_copy(update={"hash": "0" * len(snapshot.hash)})


def test_the_snapshot_says_which_template_it_was() -> None:
    source = _template(retry={"maxDisruptions": 4})
    snapshot = take_snapshot(source)
    assert (snapshot.generation, snapshot.max_disruptions) == (3, 4)
    assert snapshot.hash == spec_hash(source.spec.to_api()) != take_snapshot(_template()).hash


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("adam", "adam"),
        ("", ""),
        ("two\nlines", "two\nlines"),
        (3, "3"),
        (-(2**62), str(-(2**62))),
        (0.5, "0.5"),
        (1e-07, "1e-07"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        ("$(SECRET)", "$$(SECRET)"),
        ("$", "$$"),
        ("$$", "$$$$"),
        ("$$(SECRET)", "$$$$(SECRET)"),
        ("a$b$", "a$$b$$"),
        ("${SECRET}", "$${SECRET}"),
    ],
)
def test_how_a_scalar_parameter_arrives(value: Any, expected: str) -> None:
    assert _variables({"x": {}}, {"x": value})["LONGTASK_PARAM_X"] == expected


@pytest.mark.parametrize("value", [[], [1], {}, {"a": 1}])
def test_a_parameter_that_is_no_scalar_arrives_in_the_json_only(value: Any) -> None:
    assert _variables({"x": {}}, {"x": value}).keys() == {"LONGTASK_ID", "LONGTASK_PARAMETERS"}


def test_a_declared_parameter_that_was_not_given_arrives_empty() -> None:
    variables = _variables({"x": {"type": "string"}}, {})
    assert variables["LONGTASK_PARAM_X"] == ""
    assert variables["LONGTASK_PARAMETERS"] == "{}"


def test_all_parameters_arrive_as_json() -> None:
    given = {"name": "é\U0001f600", "n": 1.0, "list": [1, {"a": None}], "none": None}
    text = _variables({}, given)["LONGTASK_PARAMETERS"]
    assert json.loads(text) == given
    assert "é\U0001f600" in text
    assert ", " not in text


def test_dollars_in_the_json_are_doubled_too() -> None:
    assert _variables({}, {"x": "$(SECRET)"})["LONGTASK_PARAMETERS"] == '{"x":"$$(SECRET)"}'


def test_the_order_is_ours_then_as_declared() -> None:
    properties: dict[str, Any] = {"b": {}, "a": {}}
    assert list(_variables(properties, {"z": 1, "a": 2, "b": 3})) == [
        "LONGTASK_ID",
        "LONGTASK_PARAMETERS",
        "LONGTASK_PARAM_B",
        "LONGTASK_PARAM_A",
    ]


def test_a_schema_without_properties_has_no_variables_of_its_own() -> None:
    names = [v["name"] for v in environment("uid-1", template({"parametersSchema": {"type": "object"}}), {"x": 1})]
    assert names == ["LONGTASK_ID", "LONGTASK_PARAMETERS"]


def test_the_task_knows_its_id() -> None:
    assert _variables({}, {})["LONGTASK_ID"] == "uid-1"


def test_a_parameter_that_is_not_declared_never_takes_the_variable_of_one_that_is() -> None:
    variables = _variables({"model-name": {"enum": ["small"]}}, {"model-name": "small", "MODEL_NAME": "large"})
    assert variables["LONGTASK_PARAM_MODEL_NAME"] == "small"


@pytest.mark.parametrize("name", ["a=b", "a\nb", "é", ""])
def test_a_parameter_whose_name_fits_no_variable_arrives_in_the_json_only(name: str) -> None:
    assert _variables({}, {name: 1}).keys() == {"LONGTASK_ID", "LONGTASK_PARAMETERS"}


def test_an_init_container_with_an_empty_env_is_like_one_without() -> None:
    built = _pod(_template({"initContainers": [MAIN | {"name": "fetch", "env": None}]}))
    assert [variable["name"] for variable in built["initContainers"][0]["env"]] == [
        "LONGTASK_ID",
        "LONGTASK_PARAMETERS",
    ]
