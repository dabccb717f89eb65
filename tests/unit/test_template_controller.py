"""Whether a template is Ready."""

from typing import Any

import pytest

from longtask_api import constants
from longtask_api.template import LongTaskTemplate, spec_hash
from longtask_operator.template_controller import dry_run_pod, problems_of, ready_reason, status_of
from longtask_runtime.kube import KubeError
from tests.unit.given import at, condition, template

MAIN = {"name": "main", "image": "training:1"}


def _template(pod: dict[str, Any] | None = None, name: str = "training", **spec: Any) -> LongTaskTemplate:
    return template({"podTemplate": {"spec": {"containers": [MAIN]} | (pod or {})}} | spec, name=name)


def _with_env(*variables: str) -> dict[str, Any]:
    return MAIN | {"env": [{"name": variable, "value": "1"} for variable in variables]}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(_template(), [], id="least"),
        pytest.param(_template({"restartPolicy": "Never"}), [], id="restart-never"),
        pytest.param(_template({"containers": [_with_env("EPOCHS", "MY_LONGTASK_ID")]}), [], id="own-variables"),
        pytest.param(
            _template({"containers": [_with_env("LONGTASK_EXIT_SECONDS", "LONGTASK_FLUSH_SECONDS")]}),
            [],
            id="settings-of-the-sdk",
        ),
        pytest.param(_template({"containers": [MAIN | {"env": None}]}), [], id="empty-env"),
        pytest.param(_template(name="start"), [], id="a-name-like-a-tool"),
        pytest.param(
            _template(parametersSchema={"type": "array"}),
            ['the schema\'s type must be "object": parameters have names'],
            id="schema",
        ),
        pytest.param(
            _template(name="start-task"),
            ["the name 'start-task' is that of one of LongTask's own tools; choose another"],
            id="the-name-of-a-fixed-tool",
        ),
        pytest.param(
            _template({"containers": [_with_env("LONGTASK_ID")]}),
            ["container 'main': variable LONGTASK_ID is LongTask's own; rename it"],
            id="reserved-variable",
        ),
        pytest.param(
            _template({"initContainers": [_with_env("LONGTASK_PARAM_X") | {"name": "fetch"}]}),
            ["container 'fetch': variable LONGTASK_PARAM_X is LongTask's own; rename it"],
            id="reserved-variable-of-an-init-container",
        ),
        pytest.param(
            _template({"restartPolicy": "OnFailure"}),
            ["podTemplate.spec.restartPolicy must be Never or absent: retries are the Job's"],
            id="restart-in-place",
        ),
        pytest.param(_template(resultSchema={"type": "object"}), [], id="result-schema"),
        pytest.param(_template(resultSchema={"type": "number"}), [], id="a-result-need-not-be-an-object"),
        pytest.param(_template(resultSchema={}), [], id="any-result"),
        pytest.param(
            _template(resultSchema={"type": "objekt"}),
            [
                'resultSchema: not a JSON Schema (2020-12): type: "objekt" is not valid under any of the schemas '
                "listed in the 'anyOf' keyword"
            ],
            id="no-result-schema",
        ),
        pytest.param(
            _template(resultSchema={"$ref": "https://example.com/x"}),
            [
                "resultSchema: $ref 'https://example.com/x': only references inside the schema (#/$defs/...) are "
                "followed"
            ],
            id="a-remote-result-schema",
        ),
        pytest.param(
            _template(resultSchema={"description": "x" * (constants.MAX_SCHEMA_BYTES - 18)}), [], id="just-fits"
        ),
        pytest.param(
            _template(resultSchema={"description": "x" * (constants.MAX_SCHEMA_BYTES - 17)}),
            [f"resultSchema: has {constants.MAX_SCHEMA_BYTES + 1} bytes as JSON; 65536 are allowed"],
            id="a-result-schema-that-is-too-large",
        ),
        pytest.param(
            _template({"volumes": [{"name": "data"}, {"name": "longtask-report-token"}]}),
            ["volume 'longtask-report-token' is LongTask's own; rename it"],
            id="the-name-of-the-volume-for-the-token",
        ),
        pytest.param(_template({"volumes": None}), [], id="empty-volumes"),
    ],
)
def test_what_is_wrong_with_a_template_in_itself(given: LongTaskTemplate, expected: list[str]) -> None:
    assert problems_of(given) == expected


def test_all_problems_are_told() -> None:
    given = _template(
        {"containers": [_with_env("LONGTASK_A", "LONGTASK_B")], "restartPolicy": "Always"},
        name="list-tasks",
        parametersSchema={"type": "object", "properties": {"wait_seconds": {}}},
    )
    assert len(problems_of(given)) == 5


QUOTA = KubeError(403, "Forbidden", 'pods "x" is forbidden: exceeded quota: pods')
SECURITY = KubeError(403, "Forbidden", 'pods "x" is forbidden: violates PodSecurity "restricted:latest"')
INVALID = KubeError(422, "Invalid", "spec.containers[0].image: Required value")


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (None, ("Ready", [])),
        (QUOTA, ("Ready", [])),
        (SECURITY, ("PodSecurityViolation", [SECURITY.message])),
        (INVALID, ("InvalidPod", [INVALID.message])),
        (KubeError(400, "BadRequest", "unknown field"), ("InvalidPod", ["unknown field"])),
        (KubeError(403, "Forbidden", "denied by a webhook"), ("InvalidPod", ["denied by a webhook"])),
        (KubeError(422, "Invalid", "exceeded quota: in a name"), ("InvalidPod", ["exceeded quota: in a name"])),
    ],
)
def test_what_the_dry_run_says(refusal: KubeError | None, expected: tuple[str, list[str]]) -> None:
    assert ready_reason(refusal) == expected


@pytest.mark.parametrize("status", [401, 404, 409, 429, 500, 503])
def test_an_answer_that_says_nothing_of_the_pod_is_raised(status: int) -> None:
    with pytest.raises(KubeError):
        ready_reason(KubeError(status, "Whatever", "not now"))


@pytest.mark.parametrize(
    ("problems", "value", "message"),
    [
        ([], "True", ""),
        (["a"], "False", "a"),
        (["a", "b"], "False", "a; b"),
        (list("abcde"), "False", "a; b; c; d; e"),
        (list("abcdefg"), "False", "a; b; c; d; e; and 2 more"),
    ],
)
def test_the_ready_condition_says_what_is_wrong(problems: list[str], value: str, message: str) -> None:
    given = _template()
    after = status_of(given, "Reason", problems, at(60))
    (ready,) = after.conditions
    assert (ready.type, ready.status, ready.reason, ready.message) == ("Ready", value, "Reason", message)
    assert (after.observed_generation, ready.observed_generation) == (3, 3)
    assert after.hash == spec_hash(given.spec.to_api())


def test_a_very_long_problem_is_cut() -> None:
    assert len(status_of(_template(), "InvalidSpec", ["x" * 9000], at(60)).conditions[0].message) <= 4096


@pytest.mark.parametrize(("problems", "since"), [([], 60), (["still"], 0)])
def test_the_time_of_the_condition_moves_only_with_its_value(problems: list[str], since: float) -> None:
    before = template(ready=False)
    assert before.status.conditions == [condition("Ready", "False")]
    assert status_of(before, "Reason", problems, at(60)).conditions[0].last_transition_time == at(since)


@pytest.mark.parametrize(
    ("ready", "observed", "expected"), [(True, 3, True), (True, 2, False), (False, 3, False), (None, 3, False)]
)
def test_a_template_is_ready_when_its_present_generation_was_found_so(
    ready: bool | None, observed: int, expected: bool
) -> None:
    assert template(ready=ready, observed=observed).is_ready is expected


@pytest.mark.parametrize(
    ("spec", "expected"), [({}, "Model Training"), ({"title": "Training of models"}, "Training of models")]
)
def test_the_title_is_made_from_the_name_where_the_author_gave_none(spec: dict[str, str], expected: str) -> None:
    assert template(spec, name="model-training").title == expected


def test_the_trial_pod_is_the_pod_of_a_task_without_parameters() -> None:
    schema = {"type": "object", "properties": {"epochs": {"type": "integer"}}}
    pod: Any = dry_run_pod(_template(parametersSchema=schema))
    assert pod["metadata"]["name"] == "training-trial"
    assert pod["metadata"]["labels"]["longtask.dev/template"] == "training"
    assert "longtask.dev/task-uid" not in pod["metadata"]["labels"]
    assert pod["spec"]["restartPolicy"] == "Never"
    assert [variable["name"] for variable in pod["spec"]["containers"][0]["env"]] == [
        "LONGTASK_ID",
        "LONGTASK_PARAMETERS",
        "LONGTASK_PARAM_EPOCHS",
    ]


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"properties": {"false": {"type": "integer"}}}, 'a parameter called "false": YAML reads n, no, off or false'),
        ({"properties": {"true": {"type": "integer"}}}, 'a parameter called "true": YAML reads y, yes, on or true'),
        ({"properties": {"n": {"type": "integer"}}, "required": [False]}, "required has false where a name belongs"),
    ],
    ids=["n", "y", "required"],
)
def test_a_name_that_yaml_made_a_boolean_is_told_with_what_to_write(schema: dict[str, Any], problem: str) -> None:
    (said,) = problems_of(_template(parametersSchema={"type": "object"} | schema))
    assert problem in said
    assert "in quotes" in said


def test_names_in_quotes_are_taken() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "off": {"type": "string"}}, "required": ["n"]}
    assert problems_of(_template(parametersSchema=schema)) == []


@pytest.mark.parametrize(
    ("names", "sinks", "expected"),
    [
        (None, ["ops"], None),
        (["ops"], ["ops", "bus"], ("True", "SinksConfigured", "")),
        (["ops", "hr"], ["ops", "bus"], ("False", "SinkNotConfigured", "notify: hr not in notifications.sinks")),
        (["ops"], [], ("False", "SinkNotConfigured", "which has none; tasks run")),
    ],
)
def test_a_sink_that_is_not_configured_is_said_and_stops_nobody(
    names: list[str] | None, sinks: list[str], expected: tuple[str, str, str] | None
) -> None:
    status = status_of(_template(notify=names) if names else _template(), "Ready", [], at(0), sinks)
    ready, *rest = status.conditions
    assert ready.status == "True"
    assert [(each.type, each.status, each.reason) for each in rest] == (
        [] if expected is None else [("SinksConfigured", *expected[:2])]
    )
    assert expected is None or expected[2] in rest[0].message
