"""Questions of a task as agents read them, and what becomes of an answer."""

import json
from typing import Any

import pytest

from longtask_api.longtask import LongTask
from longtask_mcp.contract import answers, questions, results
from longtask_mcp.contract.arguments import ListTasks
from longtask_mcp.contract.errors import AnswerRefused, BadArguments
from tests.mcp.objects import NOW, UID, ago, task, task_page

SCHEMA = {"type": "boolean"}
DEPLOY = {
    "id": "deploy",
    "message": "Deploy to production?",
    "answerSchema": json.dumps(SCHEMA),
    "default": "false",
    "createdTime": ago(minutes=1),
    "expiresTime": ago(minutes=-4),
}
REGION = {"id": "region", "message": "Which region", "createdTime": ago(minutes=1)}
TIMED_OUT = DEPLOY | {"timedOut": True}
CALL = f'Answer with answer_task(task_id="{UID}", question_id="deploy", answer=...).'
MUST = 'The answer must fit {"type": "boolean"}.'


def asking(*asked: dict[str, Any], answers: dict[str, str] | None = None, **status: Any) -> LongTask:
    given = [{"requestId": key, "value": value} for key, value in (answers or {}).items()]
    shown = {"phase": "WaitingForInput", "attemptCount": 1, "inputRequests": list(asked), **status}
    return task({"inputResponses": given} if given else {}, shown)


def without(question: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in question.items() if key not in keys}


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        (asking(), []),
        (asking(DEPLOY, REGION), ["deploy", "region"]),
        (asking(DEPLOY, REGION, answers={"deploy": "true"}), ["region"]),
        (asking(TIMED_OUT, REGION), ["region"]),
        (asking(DEPLOY | {"expiresTime": ago(minutes=9)}), ["deploy"]),
        (asking(DEPLOY, phase="Running"), ["deploy"]),
        (asking(DEPLOY, phase="Suspended"), ["deploy"]),
        (asking(DEPLOY, phase="Succeeded"), []),
        (asking(DEPLOY, phase="Failed"), []),
        (asking(DEPLOY, phase="Cancelled"), []),
        (task({"cancelRequested": True}, {"phase": "Running", "inputRequests": [DEPLOY]}), []),
    ],
)
def test_a_question_is_open_until_it_is_answered_timed_out_or_useless(asked: LongTask, ids: list[str]) -> None:
    assert [each.id for each in questions.open_questions(asked)] == ids


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (
            asking(DEPLOY),
            f"running, waiting for input: Deploy to production? {CALL} {MUST} Without one, the work goes on with false "
            "in 4 min. Do not start it again.",
        ),
        (
            asking(without(DEPLOY, "default", "answerSchema")),
            f"running, waiting for input: Deploy to production? {CALL} The work waits for 4 min more. "
            "Do not start it again.",
        ),
        (
            asking(without(DEPLOY, "default", "answerSchema") | {"expiresTime": ago(minutes=4)}),
            f"running, waiting for input: Deploy to production? {CALL} The work waits for 0 s more. "
            "Do not start it again.",
        ),
        (
            asking(REGION, progress={"attempt": 1, "sequence": 1, "display": "60% (epoch 6/10)"}),
            f"running 60% (epoch 6/10), waiting for input: Which region. {CALL.replace('deploy', 'region')} "
            "Do not start it again.",
        ),
        (
            asking(DEPLOY | {"expiresTime": None}, REGION, phase="Suspended"),
            "running, suspended until it is resumed (resume_task), waiting for input: 2 questions. "
            f"Question deploy: Deploy to production? {CALL} {MUST} Question region: Which region. "
            f"{CALL.replace('deploy', 'region')} Do not start it again.",
        ),
        (
            asking(DEPLOY, answers={"deploy": "true"}),
            "running, its question was answered. Check again in 60 s; do not start it again.",
        ),
    ],
)
def test_an_open_question_is_told_with_how_to_answer_it(asked: LongTask, text: str) -> None:
    assert answers.status(asked, NOW).text == text


def test_results_that_wait_for_an_answer_tell_the_question() -> None:
    text = results.results(asking(REGION), NOW).text
    assert text == (
        "task not completed. Current status: running, waiting for input: Which region. "
        f"{CALL.replace('deploy', 'region')}"
    )


def test_the_envelope_has_the_open_questions_and_the_next_call() -> None:
    envelope = answers.status(asking(DEPLOY, REGION), NOW).envelope
    assert envelope["questions"] == [
        {
            "id": "deploy",
            "message": "Deploy to production?",
            "schema": SCHEMA,
            "expires_at": ago(minutes=-4),
            "default": False,
        },
        {"id": "region", "message": "Which region"},
    ]
    assert envelope["next"] == {
        "tool": "answer_task",
        "arguments": {"task_id": UID, "question_id": "deploy"},
        "after_seconds": 0,
    }
    assert envelope["phase"] == "WaitingForInput"
    assert "questions" not in answers.status(asking(DEPLOY, phase="Failed"), NOW).envelope


def test_a_default_of_null_is_told() -> None:
    assert questions.entry(asking(DEPLOY | {"default": "null"}).status.input_requests[0])["default"] is None


@pytest.mark.parametrize("text", ["{", "[1]", "NaN", '"\\ud800"', "[" * 4000])
def test_a_question_of_broken_text_does_not_break_the_answer(text: str) -> None:
    broken = asking(REGION | {"answerSchema": text, "default": text})
    entry = answers.status(broken, NOW).envelope["questions"][0]
    assert "schema" not in entry
    json.dumps(entry).encode()


def test_lists_show_the_question_in_short() -> None:
    long = REGION | {"message": "Which? " * 100}
    answer = task_page([asking(long)], ListTasks(), NOW)
    [line] = answer.text.splitlines()
    assert "running, waiting for input: Which? Which? " in line
    assert "... (700 characters); created 60 min ago" in line
    assert len(line) < 400
    [shown] = answer.envelope["tasks"][0]["questions"]
    assert shown["id"] == "region"
    assert shown["message"].endswith("... (700 characters)")
    assert len(shown["message"]) < 250
    assert "questions" not in task_page([task()], ListTasks(), NOW).envelope["tasks"][0]


def many(count: int, characters: int) -> LongTask:
    """A task that asks much."""
    schema = json.dumps({"type": "string", "description": "x" * characters})
    each = {"message": "y" * 4096, "answerSchema": schema, "createdTime": ago(minutes=1)}
    return asking(*(each | {"id": f"q{number}"} for number in range(count)))


def test_a_list_is_short_however_much_is_asked() -> None:
    [entry] = task_page([many(32, 4000)], ListTasks(), NOW).envelope["tasks"]
    assert [each["id"] for each in entry["questions"]] == ["q0", "q1", "q2"]
    assert entry["more_questions"] == 29
    assert len(json.dumps(entry)) < 2000


@pytest.mark.parametrize(
    ("asked", "told", "more"), [(many(2, 800), 2, 0), (many(32, 800), 2, 30), (many(32, 4050), 1, 31)]
)
def test_a_status_tells_as_many_questions_as_fit_and_counts_the_rest(asked: LongTask, told: int, more: int) -> None:
    answer = answers.status(asked, NOW)
    assert [each["id"] for each in answer.envelope["questions"]] == [f"q{number}" for number in range(told)]
    assert answer.envelope.get("more_questions", 0) == more
    assert (f"More open questions: {more};" in answer.text) is bool(more)
    assert answer.text.count("Answer with answer_task") == told
    assert answer.text.count("Question q") == told
    assert max(len(answer.text), len(json.dumps(answer.envelope))) < 12_000


@pytest.mark.parametrize(
    ("asked", "named", "chosen"),
    [
        (asking(DEPLOY), None, "deploy"),
        (asking(DEPLOY, REGION), "region", "region"),
        (asking(DEPLOY, answers={"deploy": "true"}), None, "deploy"),
        (asking(TIMED_OUT), None, "deploy"),
        (asking(DEPLOY, REGION, answers={"deploy": "true"}), "deploy", "deploy"),
    ],
)
def test_an_answer_is_for_the_question_that_is_meant(asked: LongTask, named: str | None, chosen: str) -> None:
    assert questions.chosen(asked, named).id == chosen


@pytest.mark.parametrize(
    ("asked", "named", "told"),
    [
        (asking(), None, "No question of this task is open; its status is running. check_task_status shows the"),
        (asking(phase="Succeeded"), None, "No question of this task is open; its status is completed."),
        (asking(TIMED_OUT, REGION, answers={"region": "1"}), None, "No question of this task is open; its status is"),
        (
            asking(DEPLOY, REGION),
            None,
            "question_id: this task has asked 2 questions, name the one that you answer; nothing was answered. "
            "Open: deploy: Deploy to production?; region: Which region",
        ),
        (
            asking(DEPLOY, REGION, answers={"deploy": "true"}),
            None,
            "question_id: this task has asked 2 questions, name the one that you answer; nothing was answered. "
            "Open: region: Which region; answered before: deploy with true.",
        ),
        (asking(TIMED_OUT, REGION), None, "question_id: this task has asked 2 questions, name the one that you answer"),
        (
            asking(DEPLOY, REGION, answers={"deploy": "1"}),
            "depoly",
            "question_id: this task has not asked 'depoly'. Open: region: Which region",
        ),
        (asking(), "x" * 200, f"question_id: this task has not asked '{'x' * 100}'. No question is open."),
    ],
)
def test_an_answer_without_its_question_is_told_what_there_is(asked: LongTask, named: str | None, told: str) -> None:
    with pytest.raises(AnswerRefused) as caught:
        questions.chosen(asked, named)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            asking(DEPLOY, answers={"deploy": "true"}),
            "Question deploy was already answered with true. The first answer counts; yours was not given.",
        ),
        (
            asking(DEPLOY, answers={"deploy": "true"}, phase="Succeeded"),
            "Question deploy was already answered with true. The first answer counts; yours was not given.",
        ),
        (
            asking(TIMED_OUT),
            "Question deploy timed out: nobody answered in time, and the work went on with the default false. No "
            "answer is taken any more.",
        ),
        (
            asking(without(TIMED_OUT, "default")),
            "Question deploy timed out: nobody answered in time, and the work went on without an answer. No answer is "
            "taken any more.",
        ),
        (
            asking(DEPLOY, phase="Failed"),
            "The task has ended (failed), so no answer is taken. get_task_results shows what came of it.",
        ),
        (
            task({"cancelRequested": True}, {"phase": "Running", "inputRequests": [DEPLOY]}),
            "The task is being cancelled, so no answer is taken.",
        ),
    ],
)
def test_a_question_that_is_not_open_any_more_says_why(asked: LongTask, told: str) -> None:
    with pytest.raises(AnswerRefused) as caught:
        questions.check_open(asked, asked.status.input_requests[0])
    assert str(caught.value) == told


def test_an_open_question_takes_an_answer() -> None:
    questions.check_open(asking(DEPLOY), asking(DEPLOY).status.input_requests[0])


@pytest.mark.parametrize(
    ("answer", "meanings"),
    [
        (True, [True]),
        ("yes", ["yes"]),
        ("true", ["true", True]),
        ('{"a": [1]}', ['{"a": [1]}', {"a": [1]}]),
        ("null", ["null", None]),
        ('"x"', ['"x"', "x"]),
        ("NaN", ["NaN"]),
        ("[" * 4000, ["[" * 4000]),
        (None, [None]),
    ],
)
def test_a_string_may_spell_another_answer(answer: Any, meanings: list[Any]) -> None:
    found = list(questions.readings(answer))
    assert found == meanings
    assert [type(each) for each in found] == [type(each) for each in meanings]


@pytest.mark.parametrize(
    ("answer", "text"),
    [(None, "null"), ({"b": 1, "a": ["é", 1.5]}, '{"a":["é",1.5],"b":1}'), ("x" * 4094, f'"{"x" * 4094}"')],
)
def test_an_answer_is_kept_as_its_json_text(answer: Any, text: str) -> None:
    assert questions.text_of(answer) == text


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (float("nan"), "answer: cannot be kept as JSON"),
        (float("inf"), "answer: cannot be kept as JSON"),
        ("\ud800", "answer: cannot be kept as JSON"),
        (10**5000, "answer: cannot be kept as JSON"),
        ("x" * 4095, "answer: has 4097 characters as JSON, 4096 are allowed; nothing was sent."),
    ],
    ids=["nan", "infinity", "surrogate", "number", "size"],
)
def test_an_answer_that_cannot_be_kept_is_an_error(answer: Any, told: str) -> None:
    with pytest.raises(BadArguments, match=told):
        questions.text_of(answer)


@pytest.mark.parametrize(
    ("given", "answer", "same"),
    [
        ("true", True, True),
        ('{"b": 1, "a": 2}', {"a": 2, "b": 1}, True),
        ("true", 1, False),
        ("1", 1.5, False),
        ("yes", "yes", True),
        ("yes", "no", False),
    ],
)
def test_the_same_answer_is_known_again_however_it_was_written(given: str, answer: Any, same: bool) -> None:
    assert questions.same(given, questions.text_of(answer)) is same
