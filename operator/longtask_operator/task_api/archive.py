"""Routes from which the MCP server reads tasks whose objects are gone: their records, results and artifacts.

Each call names the caller that it reads for; another caller's record is answered like a missing one.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from longtask_api.agentcore_ids import ActorId, MemoryId
from longtask_operator.agentcore.models import ServiceError
from longtask_operator.archive import record
from longtask_operator.archive.archive import Archive
from longtask_operator.archive.models import Body, Caller, MemoryNotAllowed
from longtask_operator.store.errors import NotStored, StoreUnavailable
from longtask_operator.task_api.errors import Refusal, later
from longtask_operator.task_api.http_content import BYTES, RangeHeader, begun, part
from longtask_operator.task_api.schemas import ArchivedTask, ArchivedTasks

CURSOR = r"^\d{1,15}\.[0-9a-f-]{36}$"
AGAIN_SECONDS = 5


def router(admit: Callable[..., Awaitable[None]], archive: Archive) -> APIRouter:
    """Routes of archived records, and of the data kept with them."""
    routes = APIRouter(dependencies=[Depends(admit)])

    async def caller(
        principal: Annotated[str, Query(min_length=1, max_length=512, description="spec.requester.principal.")],
        actor_id: Annotated[ActorId | None, Query(description="spec.requester.actorId.")] = None,
        memory_id: Annotated[MemoryId | None, Query(description="The memory that is searched first.")] = None,
    ) -> Caller:
        return Caller(principal, actor_id, memory_id)

    @routes.get("")
    async def list_archived(
        asking: Annotated[Caller, Depends(caller)],
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        cursor: Annotated[str | None, Query(pattern=CURSOR)] = None,
    ) -> ArchivedTasks:
        """The caller's most recently archived tasks, as summaries: without parameters, inline results, questions,
        attempts and logs. A page may have fewer than `limit` tasks, or none; the last page has no cursor.
        """
        with _refusals():
            found = await archive.page(asking, limit, cursor)
        tasks = [record.document(task) for task in found.tasks]
        return ArchivedTasks(tasks=tasks, cursor=found.cursor, notes=found.notes)

    @routes.get("/{uid}")
    async def read_archived(uid: str, asking: Annotated[Caller, Depends(caller)]) -> ArchivedTask:
        """The task as it ended."""
        with _refusals():
            task = await archive.get(asking, uid)
        if task is None or task.status.archive is None:
            detail = (
                f"there is no record of a task {uid[:64]} of this caller: there was no such task, there was no archive "
                "when it ended, or its time there is over"
            )
            raise _not_found("NoRecord", detail)
        return ArchivedTask(task=record.document(task), archive=task.status.archive)

    @routes.get("/{uid}/result", response_class=Response, responses=BYTES)
    async def read_archived_result(
        uid: str, asking: Annotated[Caller, Depends(caller)], byte_range: RangeHeader = None
    ) -> Response:
        """The result, if it was too large for the object."""
        return await _answer(archive, asking, uid, None, byte_range)

    @routes.get("/{uid}/artifacts/{name}", response_class=Response, responses=BYTES)
    async def read_archived_artifact(
        uid: str, name: str, asking: Annotated[Caller, Depends(caller)], byte_range: RangeHeader = None
    ) -> Response:
        """An artifact that was stored through this API."""
        return await _answer(archive, asking, uid, name, byte_range)

    return routes


async def _answer(archive: Archive, asking: Caller, uid: str, artifact: str | None, byte_range: str | None) -> Response:
    with _refusals():
        body = await archive.body(asking, uid, artifact)
    if body is None:
        what = "a stored result" if artifact is None else f"a stored artifact {artifact[:64]!r}"
        raise _not_found("NotStored", f"no record of a task {uid[:64]} of this caller has {what}")
    return await part(body.reference, body.media_type, byte_range, lambda start, end: _read(body, start, end))


async def _read(body: Body, start: int, end: int | None) -> AsyncIterator[bytes]:
    with _refusals():
        return await begun(body.read(start, end))


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except MemoryNotAllowed as error:
        raise Refusal(HTTPStatus.FORBIDDEN, "MemoryNotAllowed", str(error)) from None
    except NotStored as error:
        raise _not_found("NotStored", str(error)) from None
    except StoreUnavailable as error:
        raise later("StoreUnavailable", str(error), AGAIN_SECONDS) from None
    except ServiceError as error:
        detail = f"AgentCore Memory does not give the record ({error.code}): {error}; try again later"
        raise later("MemoryUnavailable", detail, AGAIN_SECONDS) from None


def _not_found(reason: str, detail: str) -> Refusal:
    return Refusal(HTTPStatus.NOT_FOUND, reason, detail)
