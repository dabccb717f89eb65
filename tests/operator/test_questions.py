"""Questions of a running task: asked once, answered once, or timed out, over restarts of everything."""

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.kube import eventually
from tests.operator.process import OperatorProcess
from tests.operator.reporting import Answer, Caller
from tests.operator.tasks import Tasks, template_spec

pytestmark = pytest.mark.cluster

LONG = "import time; time.sleep(600)"
COLOUR = {"id": "colour", "message": "Which colour?", "schema": {"enum": ["red", "green"]}}


@pytest.fixture(scope="module", autouse=True)
def templates(tasks: Tasks) -> None:
    tasks.template("questions", template_spec())


@pytest.fixture
def running(tasks: Tasks, unique: Callable[[str], str], pod_of: Callable[[str], Caller]) -> tuple[str, Caller]:
    name = unique("question")
    tasks.run(name, "questions", LONG)
    return name, pod_of(name)


def reply(tasks: Tasks, name: str, question: str, value: str) -> None:
    """Answer as a person with kubectl does."""
    tasks.patch(name, inputResponses=[{"requestId": question, "value": value}])


def test_a_question_is_shown_answered_and_delivered(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    assert pod.post("questions", COLOUR).body == {"id": "colour", "state": "Open"}
    status = tasks.wait(name, "WaitingForInput")
    assert "Which colour?" in status["message"]
    assert json.loads(status["inputRequests"][0]["answerSchema"]) == COLOUR["schema"]
    reply(tasks, name, "colour", '"red"')
    answer = eventually(lambda: pod.get("questions/colour").body, lambda body: body["state"] != "Open")
    assert answer == {"id": "colour", "state": "Answered", "value": "red"}
    tasks.wait(name, "Running")


def test_work_whose_job_was_deleted_without_its_pod_asks_and_hears_as_any_other(
    tasks: Tasks, running: tuple[str, Caller]
) -> None:
    name, pod = running
    tasks.leave_behind(name)
    pod.post("questions", COLOUR)
    assert "Which colour?" in tasks.wait(name, "WaitingForInput")["message"]
    reply(tasks, name, "colour", '"red"')
    assert eventually(lambda: pod.get("questions/colour").body, lambda body: body["state"] != "Open")["value"] == "red"
    tasks.wait(name, "Running")


def test_waiting_ends_with_the_answer_and_not_later(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("questions", COLOUR)
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(pod.get("questions/colour?waitSeconds=50")))
    waiting.start()
    tasks.wait(name, "WaitingForInput")
    reply(tasks, name, "colour", '"green"')
    waiting.join(60)
    assert answers[0].body["value"] == "green"


def test_a_question_without_a_timeout_outlives_every_look_at_it_and_is_answered_then(
    tasks: Tasks, running: tuple[str, Caller]
) -> None:
    name, pod = running
    pod.post("questions", COLOUR)
    for path in ("questions/colour?waitSeconds=1", "questions/colour", "questions/colour?waitSeconds=0.5"):
        assert pod.get(path).body == {"id": "colour", "state": "Open"}
    reply(tasks, name, "colour", '"red"')
    answer = eventually(lambda: pod.get("questions/colour").body, lambda body: body["state"] != "Open")
    assert answer == {"id": "colour", "state": "Answered", "value": "red"}


def test_deleting_the_task_ends_the_wait_at_once_and_nobody_else_notices(
    operator: OperatorProcess, tasks: Tasks, running: tuple[str, Caller]
) -> None:
    name, pod = running
    pod.post("questions", COLOUR)
    answers: list[Answer] = []
    waiting = threading.Thread(target=lambda: answers.append(pod.get("questions/colour?waitSeconds=50")))
    waiting.start()
    tasks.wait(name, "WaitingForInput")
    tasks.delete(name)
    waiting.join(60)
    assert answers[0].refused == (409, "TaskEnded")
    operator.wait_ready(2)


def test_the_same_question_asked_again_has_the_same_answer(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("questions", COLOUR)
    assert pod.post("questions", COLOUR).body["state"] == "Open"
    assert len(tasks.status(name)["inputRequests"]) == 1
    reply(tasks, name, "colour", '"red"')
    assert eventually(lambda: pod.post("questions", COLOUR).body, lambda b: b["state"] == "Answered")["value"] == "red"
    assert pod.post("questions", {**COLOUR, "message": "Another?"}).refused == (409, "OtherQuestion")


def test_nobody_answers_in_time_and_the_default_is_taken_for_good(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("questions", {"id": "go", "message": "Go on?", "timeoutSeconds": 1, "default": {"go": None}})
    answer = pod.get("questions/go?waitSeconds=30")
    assert answer.body == {"id": "go", "state": "TimedOut", "value": {"go": None}}
    path = tasks.kube.path("longtasks", name)
    late = {"spec": {"inputResponses": [{"requestId": "go", "value": "true"}]}}
    refused = tasks.kube.request("PATCH", path, late, content="application/merge-patch+json")
    assert refused.code == 422
    assert "a question that has timed out takes no answer" in refused.body["message"]
    assert pod.get("questions/go").body["state"] == "TimedOut"


def test_a_default_of_null_says_that_there_was_no_answer_whatever_the_schema(running: tuple[str, Caller]) -> None:
    _, pod = running
    asked = {"id": "go", "message": "?", "timeoutSeconds": 1, "default": None, "schema": {"type": "boolean"}}
    assert pod.post("questions", asked).code == 200
    assert pod.get("questions/go?waitSeconds=30").body == {"id": "go", "state": "TimedOut", "value": None}


def test_what_a_question_was_first_asked_with_holds(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("questions", COLOUR)
    first = tasks.status(name)["inputRequests"]
    assert pod.post("questions", {**COLOUR, "schema": {}, "timeoutSeconds": 9, "default": 1}).code == 200
    assert tasks.status(name)["inputRequests"] == first


def test_an_answer_that_does_not_fit_says_so(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("questions", COLOUR)
    reply(tasks, name, "colour", "blue")
    answer = eventually(lambda: pod.get("questions/colour").body, lambda body: body["state"] != "Open")
    assert answer["value"] == "blue"
    assert "blue" in answer["problem"]


def test_an_answer_that_is_no_json_is_a_text(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("questions", {"id": "free", "message": "Anything?"})
    reply(tasks, name, "free", "NaN")
    answer = eventually(lambda: pod.get("questions/free").body, lambda body: body["state"] != "Open")
    assert answer == {"id": "free", "state": "Answered", "value": "NaN"}


def test_a_question_survives_the_operator(operator: OperatorProcess, tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    pod.post("questions", COLOUR)
    tasks.wait(name, "WaitingForInput")
    operator.kill()
    reply(tasks, name, "colour", '"red"')
    operator.start()
    assert eventually(lambda: pod.get("questions/colour"), lambda a: a.code == 200).body["value"] == "red"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no id": ({"message": "?"}, "id"),
    "bad id": ({"id": "a b", "message": "?"}, "id"),
    "empty message": ({"id": "a", "message": ""}, "message"),
    "no schema": ({"id": "a", "message": "?", "schema": {"type": "strin"}}, "schema"),
    "remote schema": ({"id": "a", "message": "?", "schema": {"$ref": "https://example.com/x"}}, "schema"),
    "default without timeout": ({"id": "a", "message": "?", "default": 1}, "timeoutSeconds"),
    "a default that is no answer": (
        {"id": "a", "message": "?", "timeoutSeconds": 5, "default": "x", "schema": {"type": "boolean"}},
        "default: does not fit the schema",
    ),
    "large schema": ({"id": "a", "message": "?", "schema": {"description": "x" * 9000}}, "schema"),
}


def test_bad_questions_are_refused_by_name(tasks: Tasks, running: tuple[str, Caller]) -> None:
    name, pod = running
    for body, named in BAD.values():
        answer = pod.post("questions", body)
        assert answer.code == 422, body
        assert named in answer.body["detail"]
    assert pod.get("questions/never-asked").refused == (404, "NoSuchQuestion")
    assert "inputRequests" not in tasks.status(name)


def test_a_task_asks_at_most_so_many_questions(tasks: Tasks, running: tuple[str, Caller]) -> None:
    _, pod = running

    def ask(question: str) -> Answer:
        return eventually(
            lambda: pod.post("questions", {"id": question, "message": "?"}), lambda answer: answer.code != 429
        )

    for number in range(32):
        assert ask(f"q{number}").code == 200
    refused = ask("one-more")
    assert refused.refused == (409, "TooManyQuestions")
