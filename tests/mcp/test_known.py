"""What the server keeps of a task is small, and enough to answer and to know a start again."""

import json
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest

from longtask_api.constants import ANNOTATION_TAKEN_BACK
from longtask_mcp.contract import answers, results
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.idempotency import Relation, Start
from longtask_mcp.contract.known import KnownTask, digest, known
from longtask_mcp.contract.own import Owners, OwnTasks, position
from tests.mcp.objects import NOW, ago, task, uid

ENDED = {"phase": "Failed", "startTime": ago(minutes=9), "completionTime": ago(minutes=5), "attemptCount": 1}
LARGE = "x" * 5000


def document(
    spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: Any
) -> dict[str, Any]:
    """A LongTask as the API server has it."""
    return {
        "metadata": {
            "name": "model-training-7x2k9",
            "uid": uid(1),
            "resourceVersion": "100",
            "creationTimestamp": ago(hours=1),
            **metadata,
        },
        "spec": {"templateRef": {"name": "model-training"}, "requester": {"principal": "alice"}, **(spec or {})},
        "status": status or {},
    }


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "Running", "progress": {"attempt": 1, "sequence": 1, "fraction": 0.5, "message": "half"}},
        {"phase": "WaitingForInput", "inputRequests": [{"id": "a", "message": "?", "createdTime": ago(minutes=1)}]},
        {**ENDED, "failure": {"reason": "Error", "message": "no", "hint": "again", "logTail": "the end"}},
        {**ENDED, "phase": "Succeeded", "result": {"value": {"score": 1}, "summary": "fine"}},
        {**ENDED, "phase": "Succeeded", "result": {"value": None}},
        {
            "phase": "Running",
            "conditions": [{"type": "Stalled", "status": "True", "reason": "x", "lastTransitionTime": ago()}],
        },
    ],
)
def test_a_small_task_answers_as_the_whole_one(status: dict[str, Any]) -> None:
    whole, kept = task(status=status, uid=uid(1)), known(document({"parameters": {"epochs": 10}}, status))
    assert kept.is_whole
    assert answers.status(kept, NOW) == answers.status(whole, NOW)
    assert results.results(kept, NOW) == results.results(whole, NOW)


@pytest.mark.parametrize(
    ("status", "lost"),
    [
        ({**ENDED, "result": {"value": {"text": LARGE}}}, LARGE),
        ({**ENDED, "result": {"text": LARGE}}, LARGE),
        ({**ENDED, "failure": {"reason": "Error", "message": "no", "logTail": LARGE}}, LARGE),
        ({**ENDED, "phase": "Succeeded", "logTail": "x" * 4000}, "x" * 4000),
    ],
)
def test_what_is_large_of_an_ended_task_is_left_out_and_said(status: dict[str, Any], lost: str) -> None:
    kept = known(document(status=status))
    assert not kept.is_whole
    assert lost not in kept.model_dump_json()
    if "result" in status:
        assert kept.status.result is not None
        assert kept.status.result.has_content


def test_what_no_answer_needs_is_not_kept() -> None:
    status = {
        "phase": "Running",
        "attempts": [{"number": 1, "podName": LARGE, "podUID": "u"}],
        "checkpoint": {"attempt": 1, "sequence": 1, "text": LARGE, "savedTime": ago()},
        "conditions": [
            {"type": "Accepted", "status": "True", "reason": "x", "message": LARGE, "lastTransitionTime": ago()}
        ],
    }
    made = document({"parameters": {"text": LARGE}}, status, annotations={"note": LARGE}, labels={"a": LARGE})
    kept = known(made)
    assert len(kept.model_dump_json()) < 2500
    assert made["spec"]["parameters"] == {"text": LARGE}


def test_a_start_knows_its_task_by_the_digest_of_the_parameters() -> None:
    start = Start(Caller("alice"), "model-training", {"epochs": 10, "rate": 1.0}, None)
    kept = known(document({"parameters": {"rate": 1, "epochs": 10.0}}, creationTimestamp=ago(seconds=5)))
    assert digest(kept) == start.digest
    assert start.relation(kept, NOW) is Relation.SAME
    other = known(document({"parameters": {"epochs": 11}}, creationTimestamp=ago(seconds=5)))
    assert start.relation(other, NOW) is Relation.UNRELATED


@pytest.mark.parametrize("parameters", [{"a": "\ud800"}, {"a": ["x" * 1000] * 300}, {"a": 2**70}])
def test_parameters_that_no_start_made_are_like_no_others(parameters: dict[str, Any]) -> None:
    assert digest(known(document({"parameters": parameters}))) == ""


def test_a_task_that_was_taken_back_is_known_as_such() -> None:
    assert known(document(annotations={ANNOTATION_TAKEN_BACK: "", "other": "x"})).is_taken_back
    assert not known(document(annotations={"other": "x"})).is_taken_back


def made(number: int, version: int = 1, **status: Any) -> KnownTask:
    created = ago(minutes=100 - number // 2)
    session = {"requester": {"principal": "alice", "sessionId": f"s{number % 2}"}}
    head = {"uid": uid(number), "name": f"t-{number}", "resourceVersion": str(version), "creationTimestamp": created}
    return known(document(session, status, **head))


def test_the_orders_follow_every_change() -> None:
    own = OwnTasks()
    tasks = {number: made(number) for number in range(20)}
    for each in tasks.values():
        own.add(each)
    for number in range(0, 20, 2):
        own.remove(tasks[number])
        end = (NOW - timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        tasks[number] = made(number, 2, phase="Succeeded", completionTime=end)
        own.add(tasks[number])
    newest = sorted(tasks.values(), key=position, reverse=True)
    assert own.page(None, None, None, 5) == (newest[:5], 15)
    assert own.page(None, None, position(newest[4]), 20) == (newest[5:], 0)
    completed = [each for each in newest if each.is_terminal]
    assert own.page("model-training", "completed", None, 3) == (completed[:3], 7)
    assert own.page("other", None, None, 3) == ([], 0)
    assert {each.metadata.uid for each in own.unfinished} == {uid(number) for number in range(1, 20, 2)}
    assert [each.metadata.uid for each in own.ended()] == [uid(number) for number in range(0, 20, 2)]
    assert len(own.ended("s0")) == 10
    assert len(own.ended("s1")) == 0
    assert len(own.started_as("s1", "model-training", None, digest(tasks[1]))) == 10
    for each in tasks.values():
        own.remove(each)
    assert json.dumps([len(own), len(own.unfinished), len(own.ended())]) == "[0, 0, 0]"
    assert own.started_as("s1", "model-training", None, digest(tasks[1])) == []


def test_every_caller_has_tasks_of_its_own() -> None:
    owners, mine = Owners(), made(1)
    owners.add(mine)
    assert list(owners.of(Caller("alice").owner)) == [mine]
    assert list(owners.of(Caller("bob").owner)) == []
    owners.remove(mine)
    assert list(owners.of(Caller("alice").owner)) == []


def test_a_task_that_is_taken_back_is_in_no_list_and_no_count() -> None:
    owners, whose = Owners(), Caller("alice").owner
    asked = {"requester": {"principal": "alice"}}
    first = known(document(asked))
    back = known(document(asked, annotations={ANNOTATION_TAKEN_BACK: ""}))
    owners.add(first)
    owners.remove(first)
    owners.add(back)
    assert (list(owners.of(whose)), list(owners.of(whose).unfinished)) == ([], [])
    owners.remove(back)


def test_a_kept_task_takes_ten_kilobytes() -> None:
    own, count = OwnTasks(), 300
    status = {**ENDED, "phase": "Succeeded", "result": {"value": [LARGE]}, "logTail": "x" * 4000, "message": "done"}
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(count):
            head = {"uid": uid(number), "name": f"t-{number}", "annotations": {"note": LARGE * 10}}
            made = document({"parameters": {"text": f"{number}{LARGE}"}}, json.loads(json.dumps(status)), **head)
            own.add(known(made))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(own) == count
    assert (after - before) / count < 10 * 1024
