"""The fence around status: what has ended stays as it ended, a task has one Job, and reports never go back."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.conftest import MakeTask
from tests.api.objects import (
    CANCELLED_AT_ONCE,
    CHECKPOINT,
    EVENT,
    FAILED,
    JOB,
    LATER,
    PROGRESS,
    QUESTION,
    REFERENCE,
    RUNNING,
    SUCCEEDED,
    TOLD,
    WRITTEN,
    condition,
    task,
)
from tests.api.writes import REMOVED, VERBS, Change
from tests.kube import Kube

PHASE = (
    "the task has ended: its phase never changes again and its status stays; "
    "create another LongTask to run the work again"
)
CONDITION = "the task has ended: its Succeeded condition never changes again"
JOB_REF = "jobRef never changes once it is set: a task has one Job"
RESULT_BACK = "a result never goes back to an earlier attempt's"
RESULT_GONE = "a result that was handed in is not taken back: only another one takes its place"
QUESTION_GONE = "a question that was asked stays, and one that timed out stays so"
EVENT_CHANGED = "what was recorded of an event of the session stays as it is: it may have been written already"

ACCEPTED, HAS_SUCCEEDED = SUCCEEDED["conditions"]
DELIVERED = condition("Delivered", reason="EventWritten")
NOT_DELIVERED = condition("Delivered", "False", "Throttled")
OTHER_JOB = {"name": "training-1-00000000", "uid": "00000000-2222-4333-8444-555555555555"}
PENDING = {"phase": "Pending", "message": "waiting for the operator"}
SUCCEEDED_AS_TEXT = SUCCEEDED | {"result": {"text": "0.10"}}
SUCCEEDED_WITH_NULL = SUCCEEDED | {"result": {"value": None}}
DELIVERY_FAILED = SUCCEEDED | {"conditions": [ACCEPTED, HAS_SUCCEEDED, NOT_DELIVERED]}
ENDED_WITHOUT_CONDITIONS = {"phase": "Cancelled", "message": "cancelled"}
QUEUED = {"phase": "Queued", "conditions": [condition("Accepted")]}
STATE = CHECKPOINT["text"]
BY_REFERENCE = {key: value for key, value in CHECKPOINT.items() if key != "text"} | {"reference": REFERENCE}
COLOUR = QUESTION | {"id": "q2", "message": "Which colour?"}
TIMED_OUT = QUESTION | {"timedOut": True}
ASKED_TWICE = RUNNING | {"inputRequests": [TIMED_OUT, COLOUR]}
HALF_WAY = EVENT | {"name": "progress-50", "clientToken": "cd34" * 16}
ABOUT_TO_TELL = SUCCEEDED | {"delivery": {"events": [EVENT]}}
RETRYING = SUCCEEDED | {"delivery": {"events": [EVENT], "failures": 2}}
TOLD_ONCE = SUCCEEDED | {"delivery": {"events": [WRITTEN]}}
ABOUT_TO_TELL_HALF_WAY = RUNNING | {"delivery": {"events": [HALF_WAY]}}
HANDED_IN = RUNNING | {"result": {"attempt": 2, "value": 1}}


def back(field: str) -> str:
    """What is said of a report that is older than the one that is stored."""
    return f"{field} never goes back or away: its (attempt, sequence) is at least what is stored"


def frozen(field: str) -> str:
    """What is said of a field that nobody may change after the end."""
    return f"the task has ended: its {field} never changes again"


def events(*listed: dict[str, Any]) -> Change:
    """The events of the session are these."""
    return Change("status.delivery.events", list(listed))


@dataclass(frozen=True)
class Case:
    """A change of the status, and what the API server says of it where it refuses."""

    what: str
    given: dict[str, Any]
    change: Change
    says: str = ""


REFUSED = [
    # phase and status as a whole
    Case("succeeded, then running", SUCCEEDED, Change("status.phase", "Running"), PHASE),
    Case("succeeded, then failed", SUCCEEDED, Change("status.phase", "Failed"), PHASE),
    Case("failed, then succeeded", FAILED, Change("status.phase", "Succeeded"), PHASE),
    Case("cancelled, then pending", CANCELLED_AT_ONCE, Change("status.phase", "Pending"), PHASE),
    Case("phase of a success removed", SUCCEEDED, Change("status.phase", REMOVED), PHASE),
    Case("phase of a failure removed", FAILED, Change("status.phase", REMOVED), PHASE),
    Case("phase of a cancelled task removed", CANCELLED_AT_ONCE, Change("status.phase", REMOVED), PHASE),
    Case("status of a success removed", SUCCEEDED, Change("status", REMOVED), PHASE),
    Case("status of a failure removed", FAILED, Change("status", REMOVED), PHASE),
    Case("status of a cancelled task removed", CANCELLED_AT_ONCE, Change("status", REMOVED), PHASE),
    Case("status removed, result", SUCCEEDED, Change("status", REMOVED), frozen("result")),
    Case("status removed, failure", FAILED, Change("status", REMOVED), frozen("failure")),
    Case("status removed, condition", SUCCEEDED, Change("status", REMOVED), CONDITION),
    # result
    Case("result changed", SUCCEEDED, Change("status.result.value.score", 0.88), frozen("result")),
    Case("deep in the result", SUCCEEDED, Change("status.result.value.epochs", [{"loss": 0.5}]), frozen("result")),
    Case("result's value renamed", SUCCEEDED, Change("status.result.value", {"x": 0.87}), frozen("result")),
    Case("result's value removed", SUCCEEDED, Change("status.result.value", REMOVED), frozen("result")),
    Case("result's summary changed", SUCCEEDED, Change("status.result.summary", "score 1"), frozen("result")),
    Case("an artifact less", SUCCEEDED, Change("status.result.artifacts", []), frozen("result")),
    Case("result removed", SUCCEEDED, Change("status.result", REMOVED), frozen("result")),
    Case("null for a text", SUCCEEDED_AS_TEXT, Change("status.result", {"value": None}), frozen("result")),
    Case("text for a null", SUCCEEDED_WITH_NULL, Change("status.result.text", "0.10"), frozen("result")),
    Case("a result where none was", CANCELLED_AT_ONCE, Change("status.result", {"value": 1}), frozen("result")),
    # failure
    Case("failure changed", FAILED, Change("status.failure.reason", "Error"), frozen("failure")),
    Case("log tail removed", FAILED, Change("status.failure.logTail", REMOVED), frozen("failure")),
    Case("failure removed", FAILED, Change("status.failure", REMOVED), frozen("failure")),
    Case("a failure where none was", SUCCEEDED, Change("status.failure", FAILED["failure"]), frozen("failure")),
    # what the work told, completionTime and jobRef after the end
    Case("more progress", SUCCEEDED, Change("status.progress.sequence", 6), frozen("progress")),
    Case("other progress", SUCCEEDED, Change("status.progress.message", "late"), frozen("progress")),
    Case("the end's progress removed", SUCCEEDED, Change("status.progress", REMOVED), frozen("progress")),
    Case("progress where none was", CANCELLED_AT_ONCE, Change("status.progress", PROGRESS), frozen("progress")),
    Case("a later checkpoint", FAILED, Change("status.checkpoint", CHECKPOINT), frozen("checkpoint")),
    Case("another checkpoint", SUCCEEDED, Change("status.checkpoint.sequence", 6), frozen("checkpoint")),
    Case("the last checkpoint removed", SUCCEEDED, Change("status.checkpoint", REMOVED), frozen("checkpoint")),
    Case(
        "a question after the end",
        SUCCEEDED,
        Change("status.inputRequests", [*SUCCEEDED["inputRequests"], COLOUR]),
        frozen("inputRequests"),
    ),
    Case(
        "the first question after the end", FAILED, Change("status.inputRequests", [QUESTION]), frozen("inputRequests")
    ),
    Case("questions removed after the end", SUCCEEDED, Change("status.inputRequests", []), frozen("inputRequests")),
    Case(
        "a question times out after the end",
        FAILED | {"inputRequests": [QUESTION]},
        Change("status.inputRequests", [TIMED_OUT]),
        frozen("inputRequests"),
    ),
    Case("another end", SUCCEEDED, Change("status.completionTime", LATER), frozen("completionTime")),
    Case("end removed", SUCCEEDED, Change("status.completionTime", REMOVED), frozen("completionTime")),
    Case("an end where none was", CANCELLED_AT_ONCE, Change("status.completionTime", LATER), frozen("completionTime")),
    Case("another Job after the end", SUCCEEDED, Change("status.jobRef", OTHER_JOB), frozen("jobRef")),
    Case("a Job after the end", CANCELLED_AT_ONCE, Change("status.jobRef", JOB), frozen("jobRef")),
    Case("message", SUCCEEDED, Change("status.message", "completed; delivered"), frozen("message")),
    Case("message removed", SUCCEEDED, Change("status.message", REMOVED), frozen("message")),
    Case("the log's end changed", SUCCEEDED, Change("status.logTail", "epoch 10/10"), frozen("logTail")),
    Case("a log's end where none was", FAILED, Change("status.logTail", "epoch 7/10"), frozen("logTail")),
    Case(
        "an attempt's end",
        FAILED,
        Change("status.attempts", [FAILED["attempts"][0] | {"endTime": LATER}]),
        frozen("attempts"),
    ),
    Case("an attempt more", CANCELLED_AT_ONCE, Change("status.attempts", FAILED["attempts"]), frozen("attempts")),
    Case("attempts removed", FAILED, Change("status.attempts", REMOVED), frozen("attempts")),
    Case("attempts counted", CANCELLED_AT_ONCE, Change("status.attemptCount", 1), frozen("attemptCount")),
    Case("disruptions counted", FAILED, Change("status.disruptionCount", 1), frozen("disruptionCount")),
    Case("another start", SUCCEEDED, Change("status.startTime", LATER), frozen("startTime")),
    Case("start removed", SUCCEEDED, Change("status.startTime", REMOVED), frozen("startTime")),
    Case("longer active", SUCCEEDED, Change("status.activeSeconds", 721), frozen("activeSeconds")),
    # the Succeeded condition after the end
    Case(
        "succeeded, then not",
        SUCCEEDED,
        Change("status.conditions", [ACCEPTED, condition("Succeeded", "False", "Error")]),
        CONDITION,
    ),
    Case(
        "succeeded for another reason",
        SUCCEEDED,
        Change("status.conditions", [ACCEPTED, HAS_SUCCEEDED | {"reason": "Other"}]),
        CONDITION,
    ),
    Case(
        "succeeded at another time",
        SUCCEEDED,
        Change("status.conditions", [ACCEPTED, HAS_SUCCEEDED | {"lastTransitionTime": LATER}]),
        CONDITION,
    ),
    Case("Succeeded removed", SUCCEEDED, Change("status.conditions", [ACCEPTED]), CONDITION),
    Case("Succeeded removed for another", SUCCEEDED, Change("status.conditions", [ACCEPTED, DELIVERED]), CONDITION),
    Case("conditions emptied", SUCCEEDED, Change("status.conditions", []), CONDITION),
    Case("conditions removed", SUCCEEDED, Change("status.conditions", REMOVED), CONDITION),
    Case(
        "Succeeded where it was not",
        ENDED_WITHOUT_CONDITIONS,
        Change("status.conditions", [HAS_SUCCEEDED]),
        CONDITION,
    ),
    # at any time
    Case("another Job", RUNNING, Change("status.jobRef", OTHER_JOB), JOB_REF),
    Case("another Job of the same name", RUNNING, Change("status.jobRef.uid", OTHER_JOB["uid"]), JOB_REF),
    Case("Job removed", RUNNING, Change("status.jobRef", REMOVED), JOB_REF),
    Case("status of a running task removed", RUNNING, Change("status", REMOVED), JOB_REF),
    Case("an earlier report", RUNNING, Change("status.progress.sequence", 4), back("progress")),
    Case(
        "a report of an earlier attempt",
        RUNNING,
        Change("status.progress", PROGRESS | {"attempt": 1, "sequence": 99}),
        back("progress"),
    ),
    Case("progress removed", RUNNING, Change("status.progress", REMOVED), back("progress")),
    Case("status removed, progress", RUNNING, Change("status", REMOVED), back("progress")),
    Case("an earlier checkpoint", RUNNING, Change("status.checkpoint.sequence", 4), back("checkpoint")),
    Case(
        "a checkpoint of an earlier attempt",
        RUNNING,
        Change("status.checkpoint", BY_REFERENCE | {"attempt": 1, "sequence": 99}),
        back("checkpoint"),
    ),
    Case("checkpoint removed", RUNNING, Change("status.checkpoint", REMOVED), back("checkpoint")),
    Case("status removed, checkpoint", RUNNING, Change("status", REMOVED), back("checkpoint")),
    Case("a result of an earlier attempt", HANDED_IN, Change("status.result", {"attempt": 1, "value": 2}), RESULT_BACK),
    Case("a result removed", HANDED_IN, Change("status.result", REMOVED), RESULT_GONE),
    Case("status removed, result handed in", HANDED_IN, Change("status", REMOVED), RESULT_GONE),
    Case("a question removed", ASKED_TWICE, Change("status.inputRequests", [TIMED_OUT]), QUESTION_GONE),
    Case("a question replaced", RUNNING, Change("status.inputRequests", [COLOUR]), QUESTION_GONE),
    Case("questions emptied", RUNNING, Change("status.inputRequests", []), QUESTION_GONE),
    Case("questions removed", RUNNING, Change("status.inputRequests", REMOVED), QUESTION_GONE),
    Case("status removed, questions", RUNNING, Change("status", REMOVED), QUESTION_GONE),
    Case("time given back", ASKED_TWICE, Change("status.inputRequests", [QUESTION, COLOUR]), QUESTION_GONE),
    Case(
        "time given back by name",
        ASKED_TWICE,
        Change("status.inputRequests", [QUESTION | {"timedOut": False}, COLOUR]),
        QUESTION_GONE,
    ),
    # what the session is told
    Case("another place", ABOUT_TO_TELL, events(EVENT | {"eventTime": "2026-03-01T10:06:59.002Z"}), EVENT_CHANGED),
    Case("another payload", ABOUT_TO_TELL, events(EVENT | {"payloadSHA256": "00" * 32}), EVENT_CHANGED),
    Case("another token", ABOUT_TO_TELL, events(EVENT | {"clientToken": "00" * 32}), EVENT_CHANGED),
    Case("another name", ABOUT_TO_TELL, events(EVENT | {"name": "result-2"}), EVENT_CHANGED),
    Case("another id", TOLD_ONCE, events(WRITTEN | {"eventId": "1#a"}), EVENT_CHANGED),
    Case("id removed", TOLD_ONCE, events(EVENT), EVENT_CHANGED),
    Case("an event replaced", ABOUT_TO_TELL_HALF_WAY, events(EVENT), EVENT_CHANGED),
    Case("an event less", TOLD, events(WRITTEN), EVENT_CHANGED),
    Case("events emptied", ABOUT_TO_TELL, events(), EVENT_CHANGED),
    Case("events removed", RETRYING, Change("status.delivery.events", REMOVED), EVENT_CHANGED),
    Case("delivery removed", ABOUT_TO_TELL, Change("status.delivery", REMOVED), EVENT_CHANGED),
    Case("delivery removed before the end", ABOUT_TO_TELL_HALF_WAY, Change("status.delivery", REMOVED), EVENT_CHANGED),
    Case("status removed, events", ABOUT_TO_TELL_HALF_WAY, Change("status", REMOVED), EVENT_CHANGED),
]

ALLOWED = [
    Case("pending, then running", PENDING, Change("status.phase", "Running")),
    Case("running, then succeeded", RUNNING, Change("status.phase", "Succeeded")),
    Case("running, then failed", RUNNING, Change("status.phase", "Failed")),
    Case("running, then cancelled", RUNNING, Change("status.phase", "Cancelled")),
    Case("phase of a running task removed", RUNNING, Change("status.phase", REMOVED)),
    Case("status of a pending task removed", PENDING, Change("status", REMOVED)),
    Case("the first Job", PENDING, Change("status.jobRef", JOB)),
    Case("the same Job", RUNNING, Change("status.jobRef", JOB)),
    Case("the first progress", PENDING, Change("status.progress", PROGRESS)),
    Case("a later report", RUNNING, Change("status.progress.sequence", 6)),
    Case("the same report in other words", RUNNING, Change("status.progress.message", "val 0.82")),
    Case(
        "the first report of a later attempt",
        RUNNING,
        Change("status.progress", PROGRESS | {"attempt": 3, "sequence": 0}),
    ),
    Case("the first checkpoint", PENDING, Change("status.checkpoint", CHECKPOINT)),
    Case("a later checkpoint", RUNNING, Change("status.checkpoint.sequence", 6)),
    Case("a large checkpoint", RUNNING, Change("status.checkpoint", BY_REFERENCE | {"sequence": 6})),
    Case("the same checkpoint again", RUNNING, Change("status.checkpoint.text", STATE)),
    Case(
        "the first checkpoint of a later attempt",
        RUNNING,
        Change("status.checkpoint", CHECKPOINT | {"attempt": 3, "sequence": 0}),
    ),
    Case("the first question", PENDING, Change("status.inputRequests", [QUESTION])),
    Case("one more question", RUNNING, Change("status.inputRequests", [QUESTION, COLOUR])),
    Case("a question times out", RUNNING, Change("status.inputRequests", [TIMED_OUT])),
    Case(
        "the other question times out",
        ASKED_TWICE,
        Change("status.inputRequests", [TIMED_OUT, COLOUR | {"timedOut": True}]),
    ),
    Case(
        "the same question in other words", RUNNING, Change("status.inputRequests", [QUESTION | {"message": "Well?"}])
    ),
    Case("a result before the end", RUNNING, Change("status.result", {"value": 1})),
    Case("the same attempt's other result", HANDED_IN, Change("status.result", {"attempt": 2, "text": "one"})),
    Case("a later attempt's result", HANDED_IN, Change("status.result", {"attempt": 3, "reference": REFERENCE})),
    Case("the termination message for what was handed in", HANDED_IN, Change("status.result", {"text": "done"})),
    Case("a failure before the end", RUNNING, Change("status.failure", {"reason": "Error", "message": "exit 1"})),
    Case("another result before the end", RUNNING | {"result": {"value": 1}}, Change("status.result", {"value": 2})),
    Case("conditions before the end", RUNNING, Change("status.conditions", [condition("Succeeded", "True", "Done")])),
    # after the end
    Case("the same status again", SUCCEEDED, Change("status", SUCCEEDED)),
    Case("the same phase again", CANCELLED_AT_ONCE, Change("status.phase", "Cancelled")),
    Case("the same result again", SUCCEEDED, Change("status.result", SUCCEEDED["result"])),
    Case("a fraction of 1 as 1.0", SUCCEEDED, Change("status.progress.fraction", 1.0)),
    Case("a generation observed", SUCCEEDED, Change("status.observedGeneration", 2)),
    Case("delivery", SUCCEEDED, Change("status.conditions", [ACCEPTED, HAS_SUCCEEDED, DELIVERED])),
    Case("a delivery that failed", FAILED, Change("status.conditions", [*FAILED["conditions"], NOT_DELIVERED])),
    Case("a delivery in the end", DELIVERY_FAILED, Change("status.conditions", [ACCEPTED, HAS_SUCCEEDED, DELIVERED])),
    Case("delivery written first", SUCCEEDED, Change("status.conditions", [DELIVERED, HAS_SUCCEEDED, ACCEPTED])),
    Case("another condition removed", SUCCEEDED, Change("status.conditions", [HAS_SUCCEEDED])),
    Case("an event about to be written", SUCCEEDED, Change("status.delivery", {"events": [EVENT]})),
    Case("an event while the work goes on", RUNNING, Change("status.delivery", {"events": [HALF_WAY]})),
    Case("one event more", ABOUT_TO_TELL_HALF_WAY, events(HALF_WAY, EVENT)),
    Case("an event that is written", ABOUT_TO_TELL, events(WRITTEN)),
    Case("the same events in another order", TOLD, events(*reversed(TOLD["delivery"]["events"]))),
    Case("a call that failed", ABOUT_TO_TELL, Change("status.delivery.failures", 1)),
    Case("the next call", ABOUT_TO_TELL, Change("status.delivery.nextRetryTime", LATER)),
    Case("a long-term record", ABOUT_TO_TELL, Change("status.delivery.recordId", TOLD["delivery"]["recordId"])),
    Case("an archive", SUCCEEDED, Change("status.archive", TOLD["archive"])),
    Case("delivery without other conditions", ENDED_WITHOUT_CONDITIONS, Change("status.conditions", [DELIVERED])),
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what)
def test_refused(a_task: MakeTask, verb: str, case: Case) -> None:
    stored = a_task(status=case.given)
    before = stored.read()

    answer = stored.write(verb, case.change)

    assert answer.code == 422, answer.body
    assert case.says in answer.refusals
    assert stored.read() == before


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", ALLOWED, ids=lambda case: case.what)
def test_allowed(a_task: MakeTask, verb: str, case: Case) -> None:
    stored = a_task(status=case.given)

    after = stored.write(verb, case.change).done()

    wanted = case.change.made_in(after)
    assert after.get("status", {}) == wanted.get("status", {})


@pytest.mark.parametrize("given", [SUCCEEDED, FAILED, CANCELLED_AT_ONCE], ids=lambda given: given["phase"])
@pytest.mark.parametrize("value", [None, {}], ids=["null", "{}"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_task_that_has_ended_takes_no_empty_status(
    a_task: MakeTask, verb: str, value: dict[str, Any] | None, given: dict[str, Any]
) -> None:
    stored = a_task(status=given)
    before = stored.read()

    answer = stored.write(verb, Change("status", value))

    assert answer.code == 422, answer.body
    # server-side apply makes null of both, and the type refuses that
    assert PHASE in answer.refusals or (verb == "server-side apply" and "status" in answer.refusals.values())
    assert stored.read() == before


def test_the_merge_patch_that_names_an_empty_status_changes_nothing(a_task: MakeTask) -> None:
    stored = a_task(status=SUCCEEDED)
    before = stored.read()

    stored.kube.request("PATCH", f"{stored.path}/status", {"status": {}}, content="application/merge-patch+json").done()

    assert stored.read() == before


@pytest.mark.parametrize("verb", ["merge patch", "JSON patch", "PUT"])
@pytest.mark.parametrize("change", [Change("status.phase", "Failed"), Change("status", None)])
def test_a_write_to_the_object_itself_does_not_reach_the_status(a_task: MakeTask, verb: str, change: Change) -> None:
    stored = a_task(status=SUCCEEDED)
    before = stored.read()

    VERBS[verb](stored.kube, stored.path, before, change).done()

    assert stored.read() == before


def test_a_task_cannot_be_created_as_finished(kube: Kube) -> None:
    body = task("born-finished") | {"status": SUCCEEDED}

    created = kube.create(kube.path("longtasks"), body).done()

    assert "status" not in created
