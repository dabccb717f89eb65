"""Errors as programs read them: a code that keeps its meaning, when to call again, and which arguments are wrong."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, get_args

import pytest

from longtask_mcp.contract import errors
from longtask_mcp.contract.errors import AgentError, BadArguments, Code, Problem, StartRefused
from tests.mcp.replica import ERAS, Agent

Agents = Callable[..., AbstractAsyncContextManager[Agent]]
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text()


def kinds(kind: type[AgentError] = AgentError) -> Iterator[type[AgentError]]:
    for each in kind.__subclasses__():
        yield each
        yield from kinds(each)


def test_the_page_has_every_code_and_no_other() -> None:
    table = PAGE.split("| `error_code` |")[1].split("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    assert sorted(code for cell in cells for code in re.findall(r"`(\w+)`", cell)) == sorted(get_args(Code))


def test_every_kind_of_error_has_a_code_of_the_table() -> None:
    assert {kind.__name__ for kind in kinds()} >= {"BadArguments", "TaskNotFound", "KubernetesUnavailable"}
    assert {kind.code for kind in kinds()} <= set(get_args(Code))
    assert all(kind.__module__ == errors.__name__ for kind in kinds())


@pytest.mark.parametrize(
    ("error", "content"),
    [
        (AgentError("x"), {"error_code": "internal_error", "message": "x"}),
        (
            StartRefused("full", "too_many_tasks", 60),
            {"error_code": "too_many_tasks", "message": "full", "retry_after_seconds": 60},
        ),
        (
            BadArguments(Problem("page", "is 0"), Problem("task_id", "is missing")),
            {
                "error_code": "invalid_arguments",
                "message": "page: is 0; task_id: is missing",
                "fields": [{"path": "page", "problem": "is 0"}, {"path": "task_id", "problem": "is missing"}],
            },
        ),
    ],
    ids=["least", "again", "fields"],
)
def test_the_json_says_what_the_text_says(error: AgentError, content: dict[str, Any]) -> None:
    assert error.envelope == content


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "code", "paths"),
    [
        ("get_task_results", {"task_id": "x", "page": 0, "odd": 1}, "invalid_arguments", ["page", "odd"]),
        ("get_task_logs", {"task_id": "8f3c0000-0000-4000-8000-000000000001", "tail_lines": 0}, None, ["tail_lines"]),
        ("wait_any", {"cursor": "x"}, None, ["cursor"]),
        ("list_tasks", {"cursor": "x"}, None, ["cursor"]),
        ("model_training", {"model_name": "m", "epochs": 0}, "invalid_parameters", ["epochs"]),
        ("start_task", {"template": "model-training", "parameters": {"lr": 1}}, "invalid_parameters", None),
    ],
)
async def test_a_program_finds_the_arguments_that_are_wrong(
    as_alice: Agents, era: str, tool: str, arguments: dict[str, Any], code: str | None, paths: list[str] | None
) -> None:
    async with as_alice(era) as session:
        reply = await session.call(tool, **arguments)
    assert reply.error
    assert reply.envelope["error_code"] == (code or "invalid_arguments")
    assert reply.envelope["message"] == reply.text
    fields = reply.envelope["fields"]
    assert paths is None or [each["path"] for each in fields] == paths
    assert all(each["problem"] in reply.text for each in fields)
