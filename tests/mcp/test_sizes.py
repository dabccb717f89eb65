"""The largest answer of every tool about the largest tasks that the CRD allows."""

import json
from typing import Any

import pytest

from longtask_api.longtask import LongTask
from longtask_mcp.contract import answers, arguments, logs, news, results, task_list
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.news import Scope
from longtask_mcp.contract.own import OwnTasks
from longtask_mcp.contract.paging import page_of
from longtask_mcp.contract.resume_brief import brief
from tests.mcp.objects import NOW, ago, task, task_page, template, uid

MAX_BYTES = 96 * 1024
"""Of the text of an answer, and of its JSON, as docs/agents.md has it."""
MAX_OF_A_LIST = 160 * 1024
"""The same of list_tasks with its largest limit."""


def wide(characters: int) -> str:
    """A text of that many characters, each of two bytes in UTF-8."""
    return "é" * characters


TYPE = "z" * 128
STORED = {"uri": f"s3://{'y' * 2000}", "size": 10**12, "sha256": "0" * 64, "mediaType": TYPE}
ARTIFACTS: list[dict[str, Any]] = [{"name": f"{n:03}{'x' * 250}", **STORED} for n in range(64)]
RESULT = {"text": wide(16_000), "summary": wide(1024), "artifacts": ARTIFACTS, "mediaType": TYPE}
QUESTIONS = [
    {
        "id": f"{n:02}{'q' * 62}",
        "message": wide(4096),
        "answerSchema": json.dumps({"description": wide(4000)}, ensure_ascii=False),
        "default": json.dumps(wide(4000), ensure_ascii=False),
        "createdTime": ago(minutes=5),
    }
    for n in range(32)
]
PROGRESS = {
    "attempt": 1,
    "sequence": 1,
    "fraction": 0.5,
    "unit": "u" * 32,
    "message": wide(1024),
    "metrics": {f"{n:02}{'m' * 60}": 1 / 3 for n in range(32)},
    "display": "d" * 64,
}
TOLD = {"message": wide(4096), "progress": PROGRESS}
ENDED = {"attemptCount": 20, "startTime": ago(hours=2), "completionTime": ago(hours=1), **TOLD}
FAILURE = {"reason": "r" * 64, "message": wide(4096), "logTail": wide(8192), "hint": wide(1024)}
STALLED = {
    "type": "Stalled",
    "status": "True",
    "reason": "R" * 64,
    "message": wide(4096),
    "lastTransitionTime": ago(minutes=1),
}
MEMORY = {"memory": {"memoryId": "m" * 40 + "-0123456789", "actorId": "a" * 255, "sessionId": "s" * 100}}


def huge(number: int, **status: Any) -> LongTask:
    return task(MEMORY, status, uid=uid(number), name=f"{'n' * 40}{number}")


ASKING = huge(1, phase="WaitingForInput", attemptCount=2, inputRequests=QUESTIONS, **TOLD)
QUIET = huge(2, phase="Running", attemptCount=2, conditions=[STALLED], result=RESULT, **TOLD)
DONE = huge(3, phase="Succeeded", result=RESULT, **ENDED)
FAILED = huge(4, phase="Failed", result=RESULT, failure=FAILURE, **ENDED)
TASKS = [ASKING, QUIET, DONE, FAILED]
MANY = [huge(number, **TASKS[number % 4].status.to_api()) for number in range(200)]
LINES = "".join(f"{wide(500)}\n" for _ in range(2000))
BIG_LOG = logs.TaskLog(text=LINES, attempt=1, podName="p" * 200, truncated=True)
WANTED = logs.LogLines(lines=2000, contains=wide(200), since=NOW)


def about(each: LongTask) -> list[Answer]:
    source = results.stored(each, ARTIFACTS[0]["name"]) if each.status.result else None
    made = [
        answers.status(each, NOW),
        answers.started(each, "t" * 100, NOW),
        answers.waited(answers.repeated(each, "t" * 100, NOW), results.results(each, NOW)),
        answers.answered(each, "q" * 64, json.dumps(wide(4090), ensure_ascii=False), NOW),
        answers.archived(answers.led_by_nobody(answers.out_of_date(results.results(each, NOW), wide(500)), NOW, NOW)),
        logs.live_log(each, BIG_LOG, WANTED),
        logs.kept_log(each, wide(500), logs.LogLines()),
    ]
    if source is not None:
        made += [
            results.part(each, NOW, source, page_of(wide(100_000), 3)),
            results.unavailable(each, NOW, source, 3, wide(500)),
            results.unreadable(each, NOW, source, wide(500)),
        ]
    return made


@pytest.mark.parametrize("each", TASKS, ids=["asking", "stalled", "done", "failed"])
def test_an_answer_about_one_task_is_within_the_maximum(each: LongTask) -> None:
    assert max(size for answer in about(each) for size in sizes(answer)) <= MAX_BYTES


def test_answers_about_many_tasks_are_within_the_maximum() -> None:
    own, scope = OwnTasks(MANY), Scope()
    seen = news.seen_of_all(own, scope, news.first_cursor(NOW))
    told = [
        news.answer(seen, scope, None, NOW),
        brief(own, Caller("alice"), True, True, NOW),
        task_page(MANY, arguments.ListTasks(), NOW),
    ]
    assert [each.envelope["more"] > 0 for each in told] == [True, True, True]
    assert max(size for answer in told for size in sizes(answer)) <= MAX_BYTES
    assert max(sizes(task_page(MANY, arguments.ListTasks(limit=100), NOW))) <= MAX_OF_A_LIST


def test_templates_come_in_pages_that_miss_none() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": wide(3000)}}}
    all_ = [template(f"kind-{number:03}", ready=number % 5 != 0, parametersSchema=schema) for number in range(100)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        answer = task_list.template_list(all_, cursor)
        assert max(sizes(answer)) <= MAX_BYTES
        seen += [each["template"] for each in answer.envelope["templates"] + answer.envelope.get("not_available", [])]
        if "next" not in answer.envelope:
            break
        cursor = answer.envelope["next"]["arguments"]["cursor"]
        assert f"cursor={cursor!r}" in answer.text
    assert sorted(seen) == [each.metadata.name for each in all_]


def test_no_artifact_is_left_out_of_text_or_json() -> None:
    answer = answers.status(DONE, NOW)
    assert [each["name"] for each in answer.envelope["artifacts"]] == [each["name"] for each in ARTIFACTS]
    assert all(each["name"] in answer.text for each in ARTIFACTS)


def sizes(answer: Answer) -> tuple[int, int]:
    """Bytes of the text, and of the JSON."""
    return len(answer.text.encode()), len(json.dumps(answer.envelope, ensure_ascii=False).encode())
