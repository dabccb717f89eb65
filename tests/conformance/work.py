"""Templates whose tasks do what the scenarios expect of their tools; a test plays their pods and the operator."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from longtask_api.base import rfc3339
from longtask_api.longtask import LongTask
from tests.mcp.world import World

TEMPLATES: Mapping[str, Mapping[str, Any]] = {
    "slow-compute": {"seconds": {"type": "number"}, "label": {"type": "string"}},
    "failing-job": {},
    "protocol-error-job": {},
    "confirm-delete": {"filename": {"type": "string"}},
    "multi-input": {},
    "test-tool-with-task": {"user_name": {"type": "string"}},
}
CONFIRM = '{"type": "object", "properties": {"confirm": {"type": "boolean"}}}'
NAME = '{"type": "object", "properties": {"name": {"type": "string"}}}'
QUESTIONS = {
    "confirm-delete": {"confirm": CONFIRM},
    "multi-input": {"first": NAME, "second": NAME},
}
SECONDS = {"failing-job": 1.0, "protocol-error-job": 0.5}


@asynccontextmanager
async def working(world: World) -> AsyncIterator[None]:
    """The templates are there, and their tasks are done."""
    for name, properties in TEMPLATES.items():
        tool = {"answer": "Task"} if name == "failing-job" else {}
        await world.template(name, parametersSchema={"type": "object", "properties": properties}, tool=tool)
    running = asyncio.create_task(_work(world))
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def _work(world: World) -> None:
    while True:
        for task in await world.tasks():
            if not task.is_terminal and task.spec.template_ref.name in TEMPLATES:
                await world.set_status(task.metadata.uid, attemptCount=1, **_next(task, datetime.now(UTC)))
        await asyncio.sleep(0.1)


def _next(task: LongTask, now: datetime) -> dict[str, Any]:
    template, parameters = task.spec.template_ref.name, task.spec.parameters
    questions = QUESTIONS.get(template, {})
    if task.spec.cancel_requested:
        return _ended(now, phase="Cancelled", failure={"reason": "Cancelled", "message": "cancelled"})
    if questions.keys() > {each.request_id for each in task.spec.input_responses}:
        asked = [
            {"id": key, "message": f"{key}?", "answerSchema": schema, "createdTime": rfc3339(now)}
            for key, schema in questions.items()
        ]
        return {"phase": "WaitingForInput", **({} if task.status.input_requests else {"inputRequests": asked})}
    seconds = float(parameters.get("seconds", SECONDS.get(template, 0.0)))
    if now < (task.metadata.creation_timestamp or now) + timedelta(seconds=seconds):
        return {"phase": "Running"}
    if template in SECONDS:
        return _ended(now, phase="Failed", failure={"reason": "Error", "message": "exit code 1"})
    return _ended(now, phase="Succeeded", result={"attempt": 1, "value": f"done for {parameters}"})


def _ended(now: datetime, **status: Any) -> dict[str, Any]:
    return {"startTime": rfc3339(now), "completionTime": rfc3339(now), **status}
