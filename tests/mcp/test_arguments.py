"""Arguments that do not fit are told by name."""

from typing import Any

import pytest

from longtask_mcp.contract import arguments
from longtask_mcp.contract.errors import BadArguments
from tests.mcp.objects import UID


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        (arguments.OneTask, {}, "task_id: is missing"),
        (arguments.OneTask, {"task_id": " "}, "task_id: must not be empty"),
        (arguments.OneTask, {"task_id": None}, "task_id: must be a string, not null"),
        (arguments.OneTask, {"task_id": 7}, "task_id: must be a string, not 7"),
        (arguments.OneTask, {"task_id": "a", "wait": 1}, "wait: no such argument; allowed are task_id"),
        (arguments.ListTemplates, {"a": 1}, "a: no such argument; allowed are cursor"),
        (arguments.Reserved, {"wait_seconds": 51}, "wait_seconds: must be at most 50, not 51"),
        (arguments.Reserved, {"wait_seconds": -1}, "wait_seconds: must be at least 0, not -1"),
        (arguments.Reserved, {"wait_seconds": float("nan")}, "wait_seconds: must be a finite number"),
        (arguments.Reserved, {"wait_seconds": "soon"}, 'wait_seconds: must be a number, not "soon"'),
        (arguments.Reserved, {"wait_seconds": [1]}, "wait_seconds: must be a number, not an array"),
        (
            arguments.Reserved,
            {"idempotency_key": "k" * 129},
            "idempotency_key: has 129 characters; at most 128 are allowed",
        ),
        (arguments.StartTask, {"template": "x", "parameters": []}, "parameters: must be a JSON object, not an array"),
        (arguments.StartTask, {"template": "x", "parameters": "[1]"}, 'parameters: must be a JSON object, not "[1]"'),
        (arguments.StartTask, {"template": "x", "parameters": "a=1"}, 'parameters: must be a JSON object, not "a=1"'),
        (arguments.GetResults, {"task_id": "a", "page": 0}, "page: must be at least 1, not 0"),
        (arguments.WaitForTask, {"task_id": "a", "timeout_seconds": 60}, "timeout_seconds: must be at most 50, not 60"),
        (arguments.GetLogs, {"task_id": "a", "tail_lines": 2001}, "tail_lines: must be at most 2000, not 2001"),
        (arguments.GetLogs, {"task_id": "a", "tail_lines": 1.5}, "tail_lines: must be a whole number, not 1.5"),
        (arguments.ListTasks, {"status": "done"}, 'status: must be "started", "running", "input_required"'),
        (arguments.ListTasks, {"limit": 101}, "limit: must be at most 100, not 101"),
        (arguments.ListTasks, {"include_archived": "maybe"}, 'include_archived: must be true or false, not "maybe"'),
    ],
)
def test_what_does_not_fit_is_named(model: type[arguments.Arguments], given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadArguments) as caught:
        arguments.read(model, given)
    assert told in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadArguments, match=r"task_id: is missing; page: .*; x: no such argument"):
        arguments.read(arguments.GetResults, {"page": 0, "x": 1})


def test_defaults() -> None:
    assert arguments.read(arguments.Reserved, {}) == arguments.Reserved(wait_seconds=0, idempotency_key=None)
    assert arguments.read(arguments.WaitForTask, {"task_id": "a"}).timeout_seconds == 50


MODELS = (
    arguments.ListTemplates,
    arguments.RerunTask,
    arguments.Reserved,
    arguments.StartTask,
    arguments.OneTask,
    arguments.GetResults,
    arguments.AnswerTask,
    arguments.WaitForTask,
    arguments.GetLogs,
    arguments.ListTasks,
    arguments.ResumeBrief,
)


@pytest.mark.parametrize("blank", [None, "", "  "])
@pytest.mark.parametrize("model", MODELS)
def test_an_argument_that_may_be_left_out_may_be_null_or_blank(model: type[arguments.Arguments], blank: Any) -> None:
    needed = {name: "x" for name, known in model.model_fields.items() if known.is_required()}
    optional = {name: blank for name, known in model.model_fields.items() if not known.is_required()}
    assert arguments.read(model, needed | optional) == arguments.read(model, needed)


def test_null_as_text_is_no_value_and_may_be_a_name() -> None:
    assert arguments.read(arguments.ListTasks, {"cursor": "null", "limit": "null"}) == arguments.ListTasks()
    assert arguments.read(arguments.Reserved, {"idempotency_key": "null"}).idempotency_key == "null"


def test_null_is_an_answer() -> None:
    assert arguments.read(arguments.AnswerTask, {"task_id": "a", "answer": None}).answer is None


@pytest.mark.parametrize(
    "given",
    [UID, f" {UID}\n", UID.upper(), f'"{UID}"', f"`{UID}`"],
)
def test_a_task_id_is_trimmed_and_folded(given: str) -> None:
    assert arguments.read(arguments.OneTask, {"task_id": given}).task_id == UID


@pytest.mark.parametrize("given", ["d-steps", "d_steps", " D_Steps "])
def test_a_template_may_be_named_as_its_tool(given: str) -> None:
    assert arguments.read(arguments.StartTask, {"template": given}).template == "d-steps"
    assert arguments.read(arguments.ListTasks, {"template": given}).template == "d-steps"


def test_parameters_may_be_json_text() -> None:
    wanted = arguments.read(arguments.StartTask, {"template": "x", "parameters": '{"a": [1, null]}'})
    assert wanted.parameters == {"a": [1, None]}


def test_an_idempotency_key_is_taken_as_it_is() -> None:
    assert arguments.read(arguments.Reserved, {"idempotency_key": ' "K" '}).idempotency_key == ' "K" '
