"""Which scope a request needs."""

from typing import Any

import pytest

from longtask_api.mcp_names import FIXED_TOOLS
from longtask_mcp.contract.operations import Operation, operation

CANCELS = {"cancel_task", "suspend_task"}
STARTS = {"start_task", "rerun_task", "answer_task", "resume_task"}


def call(name: Any) -> dict[str, Any]:
    return {"method": "tools/call", "params": {"name": name}}


def test_every_tool_reads_starts_or_cancels() -> None:
    found = {name: operation(call(name)) for name in FIXED_TOOLS}
    assert {name for name, each in found.items() if each is Operation.CANCEL} == CANCELS
    assert {name for name, each in found.items() if each is Operation.START} == STARTS
    assert {name for name, each in found.items() if each is Operation.READ} == FIXED_TOOLS - CANCELS - STARTS


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (call("model_training"), Operation.START),
        (call("Check_Task_Status"), Operation.START),
        (call(7), Operation.START),
        (call(["list_tasks"]), Operation.START),
        ({"method": "tools/call"}, Operation.START),
        ({"method": "tools/call", "params": ["list_tasks"]}, Operation.START),
        ({"method": "tasks/get"}, Operation.READ),
        ({"method": "tasks/update"}, Operation.START),
        ({"method": "tasks/cancel"}, Operation.CANCEL),
        ({"method": "resources/read"}, Operation.READ),
        ({"method": "something/new"}, Operation.READ),
        ({"method": 7}, Operation.READ),
        ([call("cancel_task")], Operation.READ),
        (None, Operation.READ),
        ({"method": "initialize"}, None),
        ({"method": "notifications/cancelled"}, None),
        ({"method": "tools/list"}, None),
    ],
)
def test_a_request_needs_the_scope_of_what_it_does(request_: Any, expected: Operation | None) -> None:
    assert operation(request_) is expected
