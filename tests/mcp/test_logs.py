"""Logs: from the operator while there is a pod, else what the record keeps."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from longtask_mcp.contract import arguments
from longtask_mcp.contract.errors import BadArguments
from longtask_mcp.contract.logs import MAX_LOG_BYTES, LogLines, TaskLog, kept_log, live_log
from longtask_mcp.task_api import TaskApi, Unavailable
from tests.mcp.given_task_api import GivenTaskApi, given_task_api
from tests.mcp.objects import NOW, UID, task
from tests.ports import free_port

ALL = LogLines()
FAILED = {"phase": "Failed", "failure": {"reason": "Error", "message": "x", "logTail": "last words"}}


def test_a_live_log_says_where_it_is_from() -> None:
    log = TaskLog(text="epoch 1\n", attempt=2, podName="t-1", live=True)
    answer = live_log(task(status={"phase": "Running"}), log, ALL)
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
    answer = live_log(task(), TaskLog(text="", live=True), ALL)
    assert answer.text == "Log of the running attempt: nothing was written yet."


def test_a_long_log_is_cut_at_a_line_and_says_how_to_get_the_rest() -> None:
    log = "".join(f"line {number:04} {'é' * 40}\n" for number in range(300))
    told, read = LogLines(lines=300), ""
    answer = live_log(task(status=FAILED), TaskLog(text=log), told)
    assert len(answer.envelope["text"].encode()) <= MAX_LOG_BYTES
    assert f"{answer.envelope['cut_lines']} lines before these are left out" in answer.text
    while True:
        assert answer.text.endswith(answer.envelope["text"])
        read = answer.envelope["text"] + read
        if "next" not in answer.envelope:
            break
        wanted = arguments.read(arguments.GetLogs, answer.envelope["next"]["arguments"])
        answer = live_log(task(status=FAILED), TaskLog(text=log), LogLines.of(wanted, NOW))
    assert read == log


def test_of_a_line_that_is_longer_than_an_answer_its_end_is_shown() -> None:
    answer = live_log(task(status=FAILED), TaskLog(text="a\n" + "é" * MAX_LOG_BYTES), ALL)
    assert answer.envelope["text"].startswith("...é")
    assert len(answer.envelope["text"].encode()) <= MAX_LOG_BYTES
    assert answer.envelope["next"]["arguments"]["skip_lines"] == 1


def test_only_the_lines_before_those_that_are_skipped_are_shown() -> None:
    log = TaskLog(text="1\n2\n3\n4\n5")
    assert live_log(task(), log, LogLines(lines=2, skipped=2)).envelope["text"] == "2\n3\n"
    assert live_log(task(), log, LogLines(lines=2, skipped=4)).envelope["text"] == "1\n"
    for skipped in (5, 6):
        answer = live_log(task(), log, LogLines(lines=2, skipped=skipped))
        assert answer.envelope["text"] == ""
        assert "no such line" in answer.text


@pytest.mark.parametrize(
    ("since", "moment"),
    [
        ("90s", "2026-11-22T11:58:30Z"),
        ("15 min", "2026-11-22T11:45:00Z"),
        ("2h", "2026-11-22T10:00:00Z"),
        ("1D", "2026-11-21T12:00:00Z"),
        ("999999999d", "1970-01-01T00:00:00Z"),
        ("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00Z"),
        ("2026-11-22 10:00", "2026-11-22T10:00:00Z"),
    ],
)
def test_since_is_a_duration_or_a_time(since: str, moment: str) -> None:
    wanted = LogLines.of(arguments.read(arguments.GetLogs, {"task_id": UID, "since": since}), NOW)
    assert wanted.arguments["since"] == moment


@pytest.mark.parametrize("since", ["yesterday", "5", "-5m", "5y", "2026-13-01", "1e9s"])
def test_any_other_since_is_refused_with_examples(since: str) -> None:
    with pytest.raises(BadArguments, match="since: must be a duration such as 90s"):
        LogLines.of(arguments.read(arguments.GetLogs, {"task_id": UID, "since": since}), NOW)


def test_a_kept_log_is_searched_too_and_says_that_it_has_no_times() -> None:
    failed = {"phase": "Failed", "failure": {"reason": "Error", "message": "x", "logTail": "one\nERROR two\nthree"}}
    wanted = LogLines(since=NOW, contains="error")
    answer = kept_log(task(status=failed), "its pods are gone", wanted)
    assert answer.envelope["text"] == "ERROR two\n"
    assert 'only lines that contain "error"; its lines have no times' in answer.text
    assert "since" not in answer.envelope
    none = kept_log(task(status=failed), "its pods are gone", LogLines(contains="four"))
    assert none.text.endswith(": no such line.")


def test_lines_that_the_operator_left_out_are_told() -> None:
    answer = live_log(task(), TaskLog(text="epoch 9\n", truncated=True), ALL)
    assert answer.text == (
        "Log of the last attempt; earlier lines that were asked for are left out, because they are too large together:"
        "\nepoch 9\n"
    )
    assert answer.envelope["truncated"] is True


@pytest.mark.parametrize("status", [FAILED, {"phase": "Succeeded", "logTail": "last words"}], ids=["failed", "done"])
def test_without_the_operator_the_kept_tail_is_shown_as_such(status: dict[str, Any]) -> None:
    answer = kept_log(task(status=status), "its pods are gone", ALL)
    assert answer.text == "The end of the log, as kept in the task's record (its pods are gone):\nlast words"
    assert answer.envelope["source"] == "record"


def test_that_there_is_no_log_is_an_answer() -> None:
    answer = kept_log(task(), "it has not started.", ALL)
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
        assert await api.log(UID, LogLines(50)) == TaskLog(text="hello", attempt=1, podName="t-1", live=False)
        await asyncio.to_thread(token_file.write_text, "second\n")
        await api.log(UID, LogLines(50))
    path = f"/v1/tasks/{UID}/logs"
    assert operator.seen == [
        (path, {"tail_lines": "50"}, "Bearer first"),
        (path, {"tail_lines": "50"}, "Bearer second"),
    ]


async def test_what_is_wanted_of_a_log_is_asked_of_the_operator(operator: GivenTaskApi, token_file: Path) -> None:
    operator.log = JSONResponse({"text": "hello", "attempt": 1, "podName": "t-1", "live": False})
    async with TaskApi(operator.url, token_file) as api:
        await api.log(UID, LogLines(50, 20, NOW, "ä & b"))
    [(_, query, _)] = operator.seen
    assert query == {"tail_lines": "70", "since": "2026-11-22T12:00:00Z", "contains": "ä & b"}


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
            await api.log(UID, LogLines(50))


async def test_an_operator_that_is_away_and_a_missing_token_are_told(token_file: Path, tmp_path: Path) -> None:
    async with TaskApi(f"http://127.0.0.1:{free_port()}", token_file) as api:
        with pytest.raises(Unavailable, match="the operator cannot be reached now"):
            await api.log(UID, LogLines(50))
    async with TaskApi("http://127.0.0.1:9", tmp_path / "none") as api:
        with pytest.raises(Unavailable, match="FileNotFoundError"):
            await api.log(UID, LogLines(50))
