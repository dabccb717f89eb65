"""Routes for the checkpoint, from which the next attempt resumes: small text in the object, all else in the store."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from longtask_api.longtask import LongTask
from longtask_api.reports import MAX_INLINE_CHECKPOINT, Checkpoint, Reference
from longtask_operator.store.store import MAX_CONFIG_MAP_BYTES
from longtask_operator.task_api.auth import Admit, ReportingPod
from longtask_operator.task_api.blobs import TaskBlobs
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.http_content import (
    BINARY,
    BINARY_MEDIA_TYPE,
    RAW_BODY,
    Begun,
    Digest,
    begin,
    checked_digest,
    digest_header,
    media_type_of,
    wanted_digest,
)
from longtask_operator.task_api.report_buffer import Operation, ReportBuffer
from longtask_operator.task_api.schemas import MAX_SEQUENCE, CheckpointAck, milliseconds
from longtask_runtime import clock

LAST: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Its bytes, with the Content-Type under which they were saved.",
        "content": BINARY,
        "headers": {
            "LongTask-Attempt": {"description": "The attempt that saved it.", "schema": {"type": "integer"}},
            "LongTask-Sequence": {"description": "Its sequence.", "schema": {"type": "integer"}},
            "Content-Digest": {"description": "sha-256=:...: (RFC 9530)", "schema": {"type": "string"}},
        },
    },
    204: {"description": "There is none yet."},
}


def router(admit: Admit, writes: ReportBuffer, blobs: TaskBlobs) -> APIRouter:
    """The /checkpoint routes."""
    routes = APIRouter()

    @routes.put("/checkpoint", openapi_extra=RAW_BODY)
    async def save_checkpoint(
        request: Request,
        caller: Annotated[ReportingPod, Depends(admit)],
        content_digest: Digest = None,
        sequence: Annotated[int | None, Query(ge=0, le=MAX_SEQUENCE)] = None,
    ) -> CheckpointAck:
        """Save a checkpoint, from which the next attempt resumes. It is stored before the answer."""
        number = milliseconds() if sequence is None else sequence
        body = await begin(request, MAX_INLINE_CHECKPOINT, caller.share)
        media_type, wanted = media_type_of(request, BINARY_MEDIA_TYPE), wanted_digest(content_digest)
        text, size, sha256, reference = _text(body), len(body.head), "", None
        if text is not None:
            sha256 = checked_digest(body.head, wanted)
        else:
            reference = await blobs.put(caller.task, "checkpoint", media_type, body, wanted)
            size, sha256 = reference.size, reference.sha256
        checkpoint = Checkpoint.model_validate(
            {
                "attempt": caller.number,
                "sequence": number,
                "media_type": media_type,
                "text": text,
                "reference": reference,
                "saved_time": clock.now(),
            }
        )
        unneeded: list[Reference | None] = []

        def newest(task: LongTask) -> list[Operation]:
            before = task.status.checkpoint
            if before is not None and _is_same(before, caller.number, number, sha256):
                unneeded[:] = [reference]
                return []
            if before is not None and (before.attempt, before.sequence) >= (caller.number, number):
                detail = f"checkpoint {number} is not newer than the one that is stored; nothing was changed"
                raise Refusal(HTTPStatus.CONFLICT, "OlderThanStored", detail)
            unneeded[:] = [before.reference if before is not None else None]
            return [{"op": "add", "path": "/status/checkpoint", "value": checkpoint.to_api()}]

        try:
            await writes.change(caller, newest)
        except Refusal:
            await blobs.drop(caller.task, reference)
            raise
        await blobs.drop(caller.task, *unneeded)
        return CheckpointAck(sequence=number, size=size, sha256=sha256)

    @routes.get("/checkpoint", response_class=Response, responses=LAST)
    async def read_checkpoint(caller: Annotated[ReportingPod, Depends(admit)]) -> Response:
        """The checkpoint that was saved last, by whichever attempt."""
        checkpoint = (await writes.live(caller)).status.checkpoint
        if checkpoint is None:
            return Response(status_code=HTTPStatus.NO_CONTENT)
        headers = {
            "Content-Type": checkpoint.media_type or BINARY_MEDIA_TYPE,
            "LongTask-Attempt": str(checkpoint.attempt),
            "LongTask-Sequence": str(checkpoint.sequence),
        }
        if checkpoint.reference is not None:
            headers |= {"Content-Digest": digest_header(checkpoint.reference.sha256)}
            headers |= {"Content-Length": str(checkpoint.reference.size)}
            await caller.share.take(min(checkpoint.reference.size, MAX_CONFIG_MAP_BYTES))
            return StreamingResponse(await blobs.get(caller.task, checkpoint.reference), headers=headers)
        body = (checkpoint.text or "").encode()
        return Response(body, headers={**headers, "Content-Digest": digest_header(checked_digest(body, None))})

    return routes


def _is_same(stored: Checkpoint, attempt: int, sequence: int, sha256: str) -> bool:
    """Whether the stored checkpoint is sent again, because the first answer was lost."""
    kept = (
        stored.reference.sha256 if stored.reference is not None else checked_digest((stored.text or "").encode(), None)
    )
    return (stored.attempt, stored.sequence, kept) == (attempt, sequence, sha256)


def _text(body: Begun) -> str | None:
    """The body as text, if it is complete and the object can hold it."""
    if body.rest is not None:
        return None
    try:
        text = body.head.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
