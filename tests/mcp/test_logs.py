"""Logs: from the operator while there is a pod, else what the record keeps."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from longtask_mcp.contract.logs import MAX_LOG_CHARACTERS, TaskLog, kept_log, live_log
from longtask_mcp.task_api import TaskApi, Unavailable
from tests.mcp.given_task_api import GivenTaskApi, given_task_api
from tests.mcp.objects import UID, task
from tests.ports import free_port

FAILED = {"phase": "Failed", "failure": {"reason": "Error", "message": "x", "logTail": "last words"}}


def test_a_live_log_says_where_it_is_from() -> None:
    answer = live_log(task(status={"phase": "Running"}), TaskLog(text="epoch 1\n", attempt=2, podName="t-1", live=True))
    assert answer.text == "Log of the running attempt (attempt 2, pod t-1):\nepoch 1\n"
    assert answer.envelope == {
        "task_id": UID,
        "status": "running",
        "source": "live",
        "attempt": 2,
        "pod_name": "t-1",
        "text": "epoch 1\n",
    }


def test_an_empty_log_is_said() -> None:
    answer = live_log(task(), TaskLog(text="", live=True))
    assert answer.text == "Log of the running attempt: nothing was written yet."


def test_a_long_log_is_cut_at_its_beginning_and_says_how_much() -> None:
    answer = live_log(task(status=FAILED), TaskLog(text="a" * 7 + "b" * MAX_LOG_CHARACTERS))
    assert answer.envelope["text"] == "b" * MAX_LOG_CHARACTERS
    assert answer.envelope["cut_characters"] == 7
    assert answer.text.startswith("Log of the last attempt; the first 7 characters are left out")


def test_lines_that_the_operator_left_out_are_told() -> None:
    answer = live_log(task(), TaskLog(text="epoch 9\n", truncated=True))
    assert answer.text == (
        "Log of the last attempt; earlier lines that were asked for are left out, because they are too large together:"
        "\nepoch 9\n"
    )
    assert answer.envelope["truncated"] is True


@pytest.mark.parametrize("status", [FAILED, {"phase": "Succeeded", "logTail": "last words"}], ids=["failed", "done"])
def test_without_the_operator_the_kept_tail_is_shown_as_such(status: dict[str, Any]) -> None:
    answer = kept_log(task(status=status), "its pods are gone")
    assert answer.text == "The end of the log, as kept in the task's record (its pods are gone):\nlast words"
    assert answer.envelope["source"] == "record"


def test_that_there_is_no_log_is_an_answer() -> None:
    answer = kept_log(task(), "it has not started.")
    assert answer.text == "No log: it has not started. The task is started."
    assert answer.envelope["source"] == "none"


@pytest.fixture
async def operator() -> AsyncIterator[GivenTaskApi]:
    async with given_task_api() as operator:
        yield operator


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("first\n")
    return path


async def test_the_log_is_asked_for_with_the_token_as_it_is_now(operator: GivenTaskApi, token_file: Path) -> None:
    operator.log = JSONResponse({"text": "hello", "attempt": 1, "podName": "t-1", "live": False})
    async with TaskApi(f"{operator.url}/", token_file) as api:
        assert await api.log(UID, 50) == TaskLog(text="hello", attempt=1, podName="t-1", live=False)
        await asyncio.to_thread(token_file.write_text, "second\n")
        await api.log(UID, 50)
    path = f"/v1/tasks/{UID}/logs"
    assert operator.seen == [
        (path, {"tail_lines": "50"}, "Bearer first"),
        (path, {"tail_lines": "50"}, "Bearer second"),
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (JSONResponse({"detail": "its pods are gone"}, 404), "its pods are gone"),
        (JSONResponse([], 500), "the operator answered 500"),
        (Response("<html>", 502), "the operator answered 502"),
        (JSONResponse({"lines": []}), "the operator's answer is not readable"),
    ],
)
async def test_why_there_is_no_log_is_told(
    operator: GivenTaskApi, token_file: Path, answer: Response, told: str
) -> None:
    operator.log = answer
    async with TaskApi(operator.url, token_file) as api:
        with pytest.raises(Unavailable, match=told):
            await api.log(UID, 50)


async def test_an_operator_that_is_away_and_a_missing_token_are_told(token_file: Path, tmp_path: Path) -> None:
    async with TaskApi(f"http://127.0.0.1:{free_port()}", token_file) as api:
        with pytest.raises(Unavailable, match="the operator cannot be reached now"):
            await api.log(UID, 50)
    async with TaskApi("http://127.0.0.1:9", tmp_path / "none") as api:
        with pytest.raises(Unavailable, match="FileNotFoundError"):
            await api.log(UID, 50)
