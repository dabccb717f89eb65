"""What may change in the spec of a LongTask, and what may not, in whichever way it is written."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.api.conftest import MakeTask
from tests.api.objects import FAILED, MEMORY, QUESTION, TOLD
from tests.api.writes import REMOVED, VERBS, Change

TEMPLATE = "templateRef cannot change once the task exists: create another LongTask instead"
PARAMETERS = "parameters cannot change once the task exists: create another LongTask instead"
KEY = "idempotencyKey cannot change once the task exists: create another LongTask instead"
REQUESTER = "requester cannot change once the task exists: create another LongTask instead"
TOLD_SESSION = "memory cannot change once the task exists: create another LongTask instead"
RERUN = "rerunOf cannot change once the task exists: create another LongTask instead"
CANCEL = "a cancel cannot be taken back: create another LongTask to run the work again"
ANSWERS = "an answer that was given stays as it is: answers can only be added, one for each requestId"
QUESTIONS = "an answer names, in requestId, a question of status.inputRequests, and is given before the task has ended"
TIMED_OUT = "a question that has timed out takes no answer, and one that has an answer does not time out"

ALICE = {"principal": "system:serviceaccount:agents:alice"}
FOR_ANN = ALICE | {"actorId": "ann", "sessionId": "monday-1"}
EARLIER = {"name": "training-0", "uid": "1"}
SAME = EARLIER | {"fromCheckpoint": False}
YES, NO = {"requestId": "q1", "value": "true"}, {"requestId": "q1", "value": "false"}
BLUE = {"requestId": "q2", "value": '"blue"'}
LATE = {"requestId": "late", "value": "1"}
UNKNOWN = {"requestId": "q9", "value": "1"}
ASKED = {"inputRequests": [QUESTION, QUESTION | {"id": "q2"}, QUESTION | {"id": "late", "timedOut": True}]}


@dataclass(frozen=True)
class Case:
    """A change of the spec, and what the API server says of it where it refuses."""

    what: str
    change: Change
    given: dict[str, Any] = field(default_factory=dict)
    says: str = ""
    status: dict[str, Any] | None = field(default_factory=lambda: ASKED)


REFUSED = [
    Case("another template", Change("spec.templateRef.name", "other"), says=TEMPLATE),
    Case("no template", Change("spec.templateRef", REMOVED), says="Required value"),
    Case("a parameter changed", Change("spec.parameters.epochs", 4), {"parameters": {"epochs": 3}}, PARAMETERS),
    Case("a parameter renamed", Change("spec.parameters", {"epoch": 3}), {"parameters": {"epochs": 3}}, PARAMETERS),
    Case("a parameter added", Change("spec.parameters.lr", 1), {"parameters": {"epochs": 3}}, PARAMETERS),
    Case("a parameter where none was", Change("spec.parameters.epochs", 3), says=PARAMETERS),
    Case("a parameter removed", Change("spec.parameters.epochs", REMOVED), {"parameters": {"epochs": 3}}, PARAMETERS),
    Case("parameters emptied", Change("spec.parameters", {}), {"parameters": {"epochs": 3}}, PARAMETERS),
    Case("parameters removed", Change("spec.parameters", REMOVED), {"parameters": {"epochs": 3}}, PARAMETERS),
    Case("a parameter of another type", Change("spec.parameters.n", "3"), {"parameters": {"n": 3}}, PARAMETERS),
    Case("false for null", Change("spec.parameters.on", False), {"parameters": {"on": None}}, PARAMETERS),
    Case(
        "deep in a parameter", Change("spec.parameters.a.b", [1, 3]), {"parameters": {"a": {"b": [1, 2]}}}, PARAMETERS
    ),
    Case("renamed deep", Change("spec.parameters.a", {"c": 1}), {"parameters": {"a": {"b": 1}}}, PARAMETERS),
    Case("another key", Change("spec.idempotencyKey", "two"), {"idempotencyKey": "one"}, KEY),
    Case("a key where none was", Change("spec.idempotencyKey", "one"), says=KEY),
    Case("key removed", Change("spec.idempotencyKey", REMOVED), {"idempotencyKey": "one"}, KEY),
    Case("another requester", Change("spec.requester.principal", "mallory"), {"requester": ALICE}, REQUESTER),
    Case("a requester where none was", Change("spec.requester", ALICE), says=REQUESTER),
    Case("requester removed", Change("spec.requester", REMOVED), {"requester": ALICE}, REQUESTER),
    Case("for another actor", Change("spec.requester.actorId", "bob"), {"requester": FOR_ANN}, REQUESTER),
    Case("for an actor where none was", Change("spec.requester.actorId", "ann"), {"requester": ALICE}, REQUESTER),
    Case("for no actor", Change("spec.requester.actorId", REMOVED), {"requester": FOR_ANN}, REQUESTER),
    Case("from another session", Change("spec.requester.sessionId", "tuesday"), {"requester": FOR_ANN}, REQUESTER),
    Case("another memory", Change("spec.memory.memoryId", "others-a1b2c3d4e5"), {"memory": MEMORY}, TOLD_SESSION),
    Case("another actor's memory", Change("spec.memory.actorId", "mallory"), {"memory": MEMORY}, TOLD_SESSION),
    Case("another session", Change("spec.memory.sessionId", "tuesday"), {"memory": MEMORY}, TOLD_SESSION),
    Case("a memory where none was", Change("spec.memory", MEMORY), says=TOLD_SESSION),
    Case("memory removed", Change("spec.memory", REMOVED), {"memory": MEMORY}, TOLD_SESSION),
    Case("memory removed after the end", Change("spec.memory", REMOVED), {"memory": MEMORY}, TOLD_SESSION, TOLD),
    Case("a memory after the end", Change("spec.memory", MEMORY), says=TOLD_SESSION, status=FAILED),
    Case("half a memory", Change("spec.memory.sessionId", REMOVED), {"memory": MEMORY}, "Required value"),
    Case("a rerun of another task", Change("spec.rerunOf.uid", "2"), {"rerunOf": EARLIER}, RERUN),
    Case("a rerun from the checkpoint", Change("spec.rerunOf.fromCheckpoint", True), {"rerunOf": EARLIER}, RERUN),
    Case("a rerun afterwards", Change("spec.rerunOf", EARLIER), says=RERUN),
    Case("no rerun any more", Change("spec.rerunOf", REMOVED), {"rerunOf": EARLIER}, RERUN),
    Case("a rerun without its uid", Change("spec.rerunOf.uid", REMOVED), {"rerunOf": EARLIER}, "Required value"),
    Case("cancel taken back", Change("spec.cancelRequested", False), {"cancelRequested": True}, CANCEL),
    Case("cancel removed", Change("spec.cancelRequested", REMOVED), {"cancelRequested": True}, CANCEL),
    Case("an answer changed", Change("spec.inputResponses", [NO, BLUE]), {"inputResponses": [YES, BLUE]}, ANSWERS),
    Case("an answer removed", Change("spec.inputResponses", [BLUE]), {"inputResponses": [YES, BLUE]}, ANSWERS),
    Case("an answer replaced", Change("spec.inputResponses", [BLUE]), {"inputResponses": [YES]}, ANSWERS),
    Case("answers emptied", Change("spec.inputResponses", []), {"inputResponses": [YES]}, ANSWERS),
    Case("answers removed", Change("spec.inputResponses", REMOVED), {"inputResponses": [YES]}, ANSWERS),
    Case("an answer before any question", Change("spec.inputResponses", [YES]), says=QUESTIONS, status=None),
    Case("an answer to an unknown question", Change("spec.inputResponses", [UNKNOWN]), says=QUESTIONS),
    Case("an unknown question beside a known one", Change("spec.inputResponses", [YES, UNKNOWN]), says=QUESTIONS),
    Case("one unknown more", Change("spec.inputResponses", [YES, UNKNOWN]), {"inputResponses": [YES]}, QUESTIONS),
    Case("an answer after the end", Change("spec.inputResponses", [YES]), says=QUESTIONS, status=FAILED | ASKED),
    Case("an answer too late", Change("spec.inputResponses", [LATE]), says=TIMED_OUT),
    Case("one too late beside one in time", Change("spec.inputResponses", [YES, LATE]), says=TIMED_OUT),
]

ALLOWED = [
    Case("the same template", Change("spec.templateRef", {"name": "training"})),
    Case(
        "the same parameters",
        Change("spec.parameters", {"b": [None, "é"], "a": 1}),
        {"parameters": {"a": 1, "b": [None, "é"]}},
    ),
    Case("the same key", Change("spec.idempotencyKey", "one"), {"idempotencyKey": "one"}),
    Case("the same earlier task", Change("spec.rerunOf", SAME), {"rerunOf": EARLIER}),
    Case("the same requester", Change("spec.requester", ALICE), {"requester": ALICE}),
    Case("the same actor", Change("spec.requester", FOR_ANN), {"requester": FOR_ANN}),
    Case("the same memory", Change("spec.memory", MEMORY), {"memory": MEMORY}),
    Case("a cancel", Change("spec.cancelRequested", True)),
    Case("a cancel said again", Change("spec.cancelRequested", True), {"cancelRequested": True}),
    Case("suspend", Change("spec.suspend", True)),
    Case("resume", Change("spec.suspend", False), {"suspend": True}),
    Case("the first answer", Change("spec.inputResponses", [YES])),
    Case("one more answer", Change("spec.inputResponses", [YES, BLUE]), {"inputResponses": [YES]}),
    Case("one more answer, before", Change("spec.inputResponses", [BLUE, YES]), {"inputResponses": [YES]}),
    Case("answers in another order", Change("spec.inputResponses", [BLUE, YES]), {"inputResponses": [YES, BLUE]}),
    Case("no answers removed", Change("spec.inputResponses", REMOVED), {"inputResponses": []}),
    Case(
        "the same answer after the end", Change("spec.inputResponses", [YES]), {"inputResponses": [YES]}, status=FAILED
    ),
    Case("a longer deadline", Change("spec.activeDeadlineSeconds", 7200), {"activeDeadlineSeconds": 3600}),
    Case("no deadline", Change("spec.activeDeadlineSeconds", REMOVED), {"activeDeadlineSeconds": 3600}),
    Case("a record kept longer", Change("spec.ttlSecondsAfterFinished", 7200), {"ttlSecondsAfterFinished": 60}),
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what)
def test_refused(a_task: MakeTask, verb: str, case: Case) -> None:
    stored = a_task(case.given, case.status)
    before = stored.read()

    answer = stored.write(verb, case.change)

    assert answer.code == 422, answer.body
    assert case.says in answer.refusals
    assert stored.read()["spec"] == before["spec"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", ALLOWED, ids=lambda case: case.what)
def test_allowed(a_task: MakeTask, verb: str, case: Case) -> None:
    stored = a_task(case.given, case.status)

    stored.write(verb, case.change).done()

    value = stored.read()["spec"].get(case.change.field.removeprefix("spec."))
    # server-side apply leaves an empty list that it owned no item of
    assert not value if case.change.value is REMOVED else value == case.change.value


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("field_", ["suspend", "cancelRequested"])
def test_a_task_that_has_ended_can_still_be_suspended_or_cancelled(a_task: MakeTask, verb: str, field_: str) -> None:
    """It changes nothing; a late cancel is answered, not refused."""
    stored = a_task(status=FAILED)

    stored.write(verb, Change(f"spec.{field_}", True)).done()


@pytest.mark.parametrize("verb", VERBS)
def test_a_question_that_has_an_answer_does_not_time_out(a_task: MakeTask, verb: str) -> None:
    """Whichever is written first counts: nobody is told that an answer was taken which the work never gets."""
    stored = a_task(status={"inputRequests": [QUESTION]})
    stored.write("merge patch", Change("spec.inputResponses", [YES])).done()

    answer = stored.write(verb, Change("status.inputRequests", [QUESTION | {"timedOut": True}]))

    assert answer.refusals == {TIMED_OUT: "spec.inputResponses"}


def test_a_task_may_be_created_with_answers_to_the_questions_to_come(a_task: MakeTask) -> None:
    """A record that is restored from a backup has its answers, and no status yet."""
    stored = a_task({"inputResponses": [YES, UNKNOWN]})

    stored.write("merge patch", Change("status", ASKED)).done()

    assert stored.read()["spec"]["inputResponses"] == [YES, UNKNOWN]


def test_a_question_is_answered_once(a_task: MakeTask) -> None:
    stored = a_task({"inputResponses": [YES]})

    answer = stored.write("PUT", Change("spec.inputResponses", [YES, YES]))

    assert answer.code == 422
    assert answer.refusals == {'Duplicate value: {"requestId":"q1"}': "spec.inputResponses[1]"}


def test_two_servers_answer_two_questions_by_server_side_apply_and_both_answers_stay(a_task: MakeTask) -> None:
    stored = a_task(status=ASKED)
    body = {key: value for key, value in stored.read().items() if key in ("apiVersion", "kind")}

    for manager, answer in (("one", YES), ("two", BLUE)):
        spec = {"templateRef": {"name": "training"}, "inputResponses": [answer]}
        name = {"name": stored.path.rsplit("/", 1)[1]}
        stored.kube.apply(stored.path, body | {"metadata": name, "spec": spec}, manager).done()

    assert stored.read()["spec"]["inputResponses"] == [YES, BLUE]
