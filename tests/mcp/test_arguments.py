"""Arguments that do not fit are told by name."""

from typing import Any

import pytest

from longtask_mcp.contract import arguments
from longtask_mcp.contract.errors import BadArguments


@pytest.mark.parametrize(
    ("model", "given", "told"),
    [
        (arguments.OneTask, {}, "task_id: Field required"),
        (arguments.OneTask, {"task_id": ""}, "task_id: String should have at least 1 character"),
        (arguments.OneTask, {"task_id": 7}, "task_id: Input should be a valid string"),
        (arguments.OneTask, {"task_id": "a", "wait": 1}, "wait: no such argument; allowed are task_id"),
        (arguments.Nothing, {"a": 1}, "a: no such argument; allowed are none"),
        (arguments.Reserved, {"wait_seconds": 51}, "wait_seconds: Input should be less than or equal to 50"),
        (arguments.Reserved, {"wait_seconds": -1}, "wait_seconds: Input should be greater than or equal to 0"),
        (arguments.Reserved, {"wait_seconds": float("nan")}, "wait_seconds: Input should be a finite number"),
        (arguments.Reserved, {"idempotency_key": ""}, "idempotency_key: String should have at least 1 character"),
        (arguments.Reserved, {"idempotency_key": "k" * 129}, "idempotency_key: String should have at most 128"),
        (arguments.StartTask, {"template": "x", "parameters": []}, "parameters: Input should be a valid dictionary"),
        (arguments.GetResults, {"task_id": "a", "page": 0}, "page: Input should be greater than or equal to 1"),
        (arguments.WaitForTask, {"task_id": "a", "timeout_seconds": 60}, "timeout_seconds: Input should be less"),
        (arguments.GetLogs, {"task_id": "a", "tail_lines": 2001}, "tail_lines: Input should be less than or equal"),
        (arguments.ListTasks, {"status": "done"}, "status: Input should be 'started', 'running', 'completed'"),
        (arguments.ListTasks, {"limit": 101}, "limit: Input should be less than or equal to 100"),
    ],
)
def test_what_does_not_fit_is_named(model: type[arguments.Arguments], given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadArguments) as caught:
        arguments.read(model, given)
    assert told in str(caught.value)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(BadArguments, match=r"task_id: .*; page: .*; x: no such argument"):
        arguments.read(arguments.GetResults, {"page": 0, "x": 1})


def test_defaults() -> None:
    assert arguments.read(arguments.Reserved, {}) == arguments.Reserved(wait_seconds=0, idempotency_key=None)
    assert arguments.read(arguments.WaitForTask, {"task_id": "a"}).timeout_seconds == 50
