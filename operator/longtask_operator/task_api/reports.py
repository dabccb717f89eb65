"""Routes for progress and heartbeats."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from longtask_operator.task_api.auth import Admit, ReportingPod
from longtask_operator.task_api.http_content import json_body, small_json
from longtask_operator.task_api.report_buffer import ReportBuffer
from longtask_operator.task_api.schemas import AttemptAnswer, ProgressBody, ReportAck

MAX_PROGRESS_BODY = 16 * 1024
"""Bytes."""


def router(admit: Admit, writes: ReportBuffer) -> APIRouter:
    """The /attempt, /progress and /heartbeat routes."""
    routes = APIRouter()

    @routes.get("/attempt")
    async def read_attempt(caller: Annotated[ReportingPod, Depends(admit)]) -> AttemptAnswer:
        """The caller's attempt, and whether cancellation of the task was requested."""
        return AttemptAnswer(
            task_id=caller.task.metadata.uid,
            attempt=caller.number,
            cancel_requested=caller.task.spec.cancel_requested,
        )

    @routes.post(
        "/progress",
        status_code=202,
        responses={200: {"model": ReportAck, "description": "Stored before the answer, or outdated."}},
        openapi_extra=json_body(ProgressBody),
    )
    async def report_progress(
        request: Request, response: Response, caller: Annotated[ReportingPod, Depends(admit)]
    ) -> ReportAck:
        """Report progress. 202: buffered, usually written within the interval; a newer report replaces it."""
        body = await small_json(request, MAX_PROGRESS_BODY, caller.share, ProgressBody)
        held = not body.final
        newest = writes.hold(caller, body.report()) if held else await writes.write(caller, body.report())
        if newest and held:
            return ReportAck(held=True)
        response.status_code = HTTPStatus.OK
        return ReportAck(held=False, outdated=not newest)

    @routes.post("/heartbeat", status_code=202)
    async def report_heartbeat(caller: Annotated[ReportingPod, Depends(admit)]) -> ReportAck:
        """Report that the work is alive, without progress."""
        writes.hold(caller, None)
        return ReportAck(held=True)

    return routes
