"""Routes for questions: a pod asks one, and waits for the answer."""

import asyncio
import json
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from longtask_api.checking import check_value_schema
from longtask_api.longtask import LongTask
from longtask_api.reports import MAX_QUESTIONS, InputRequest, json_or_text
from longtask_operator.cache import Cache
from longtask_operator.task_api.auth import Admit, ReportingPod
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.http_content import json_body, small_json
from longtask_operator.task_api.report_buffer import Operation, ReportBuffer
from longtask_operator.task_api.schemas import QuestionAnswer, QuestionBody, QuestionState
from longtask_runtime import clock
from longtask_runtime.validation import Validator

MAX_QUESTION_BODY = 32 * 1024
"""Bytes."""
MAX_SCHEMA = 8192
MAX_DEFAULT = 4096
"""Characters of JSON text; the CRD's limits."""
LONGEST_WAIT = 50


def router(admit: Admit, writes: ReportBuffer, cache: Cache, validator: Validator) -> APIRouter:
    """The /questions routes."""
    routes = APIRouter()

    @routes.post("/questions", response_model_exclude_unset=True, openapi_extra=json_body(QuestionBody))
    async def ask_question(request: Request, caller: Annotated[ReportingPod, Depends(admit)]) -> QuestionAnswer:
        """Ask a question. Asking again under the same id, also in a later attempt, returns the first question and its
        answer, if there is one.
        """
        body = await small_json(request, MAX_QUESTION_BODY, caller.share, QuestionBody)
        question = _question(body, clock.now())
        if body.answer_schema is not None:
            await _check(validator, body.answer_schema, body.default)
        task = await writes.change(caller, lambda task: _asking(task, question))
        return await _answer(validator, task, _find(task, body.id))

    @routes.get("/questions/{question_id}", response_model_exclude_unset=True)
    async def read_question(
        question_id: str,
        caller: Annotated[ReportingPod, Depends(admit)],
        wait_seconds: Annotated[float, Query(alias="waitSeconds", ge=0, le=LONGEST_WAIT)] = 0,
    ) -> QuestionAnswer:
        """The state of a question; while it is open, waits for at most `waitSeconds`."""
        writes.hold(caller, None)
        if all(each.id != question_id for each in caller.task.status.input_requests):
            await writes.live(caller)  # this replica may lag behind the one that stored it
        task = await until_settled(cache, caller.task.metadata.uid, question_id, wait_seconds)
        if _is_over(_find(task, question_id), clock.now()):
            task = await writes.change(caller, lambda task: _timing_out(task, question_id))
        return await _answer(validator, task, _find(task, question_id))

    return routes


async def until_settled(cache: Cache, uid: str, question_id: str, seconds: float) -> LongTask:
    """The task once its question is answered or the question's timeout is over, at the latest after `seconds`.

    Raises Refusal if there is no such question, and if the task ends first, since no answer can come then.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    task = cache.tasks.get(uid)
    while task is not None and not task.is_terminal:
        question, left = _find(task, question_id), until - loop.time()
        if left <= 0 or _state(task, question) is not QuestionState.OPEN or _is_over(question, clock.now()):
            return task
        if question.expires_time is not None:
            left = min(left, (question.expires_time - clock.now()).total_seconds())
        task = await cache.changed(task, left)
    raise Refusal(HTTPStatus.CONFLICT, "TaskEnded", "the task has ended; no answer comes any more")


async def _check(validator: Validator, schema: dict[str, Any], default: Any) -> None:
    """Raises Refusal for an invalid schema, and for a default that does not fit it. null means that nobody answered."""
    if problems := await validator.run(check_value_schema, schema):
        raise _malformed(f"schema: {'; '.join(problems)}")
    if default is not None and (found := await validator.mismatches(schema, default)):
        told = "; ".join(str(each) for each in found)
        raise _malformed(f"default: does not fit the schema: {told}; give one that fits, or null for no answer")


def _question(body: QuestionBody, now: datetime) -> InputRequest:
    schema = None if body.answer_schema is None else json.dumps(body.answer_schema, ensure_ascii=False)
    default = json.dumps(body.default, ensure_ascii=False) if body.has_default else None
    for name, text, limit in (("schema", schema, MAX_SCHEMA), ("default", default, MAX_DEFAULT)):
        if text is not None and len(text) > limit:
            raise _malformed(f"{name}: has {len(text)} characters as JSON; {limit} are allowed")
    return InputRequest(
        id=body.id,
        message=body.message,
        answer_schema=schema,
        default=default,
        created_time=now,
        expires_time=now + timedelta(seconds=body.timeout_seconds) if body.timeout_seconds else None,
    )


def _asking(task: LongTask, question: InputRequest) -> list[Operation]:
    asked = task.status.input_requests
    before = next((each for each in asked if each.id == question.id), None)
    if before is not None:
        if before.message != question.message:
            detail = f"question {question.id} was asked before with other words; give this one another id"
            raise Refusal(HTTPStatus.CONFLICT, "OtherQuestion", detail)
        return []
    if len(asked) >= MAX_QUESTIONS:
        detail = f"the task has asked {len(asked)} questions; {MAX_QUESTIONS} are allowed"
        raise Refusal(HTTPStatus.CONFLICT, "TooManyQuestions", detail)
    path, value = ("/status/inputRequests/-", question.to_api()) if asked else ("/status/inputRequests", None)
    return [{"op": "add", "path": path, "value": value or [question.to_api()]}]


def _timing_out(task: LongTask, question_id: str) -> list[Operation]:
    """Marks an open question as timed out; no operations if an answer came meanwhile."""
    index = next(i for i, each in enumerate(task.status.input_requests) if each.id == question_id)
    if _state(task, task.status.input_requests[index]) is not QuestionState.OPEN:
        return []
    return [{"op": "add", "path": f"/status/inputRequests/{index}/timedOut", "value": True}]


def _find(task: LongTask, question_id: str) -> InputRequest:
    found = next((each for each in task.status.input_requests if each.id == question_id), None)
    if found is None:
        detail = f"the task has asked no question {question_id[:64]}; POST it first"
        raise Refusal(HTTPStatus.NOT_FOUND, "NoSuchQuestion", detail)
    return found


def _state(task: LongTask, question: InputRequest) -> QuestionState:
    if task.answer_to(question.id) is not None:
        return QuestionState.ANSWERED
    return QuestionState.TIMED_OUT if question.timed_out else QuestionState.OPEN


def _is_over(question: InputRequest, now: datetime) -> bool:
    """Whether the question's timeout is over. Without a timeout it stays open."""
    return question.expires_time is not None and now >= question.expires_time


async def _answer(validator: Validator, task: LongTask, question: InputRequest) -> QuestionAnswer:
    state, text = _state(task, question), task.answer_to(question.id)
    answer: dict[str, Any] = {"id": question.id, "state": state}
    if state is QuestionState.TIMED_OUT and question.default is not None:
        answer["value"] = json.loads(question.default)
    if text is not None:
        answer["value"] = json_or_text(text)
        if question.answer_schema is not None:
            problems = await validator.mismatches(json.loads(question.answer_schema), answer["value"])
            answer |= {"problem": "; ".join(str(each) for each in problems)} if problems else {}
    return QuestionAnswer.model_validate(answer)


def _malformed(detail: str) -> Refusal:
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Malformed", detail)
