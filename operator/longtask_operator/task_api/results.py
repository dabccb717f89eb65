"""Routes for the result and artifacts: a small result goes into the object, all else into the store."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from longtask_api.bounds import excess
from longtask_api.checking import mismatches, unusable
from longtask_api.longtask import LongTask
from longtask_api.reports import JSON_MEDIA_TYPE, MAX_ARTIFACTS, MAX_INLINE_RESULT, Artifact, Reference, Result
from longtask_operator.cache import Cache
from longtask_operator.planning.build_job import result_schema
from longtask_operator.planning.results import merged_artifacts, result_of
from longtask_operator.task_api.auth import Admit, ReportingPod
from longtask_operator.task_api.blobs import TaskBlobs
from longtask_operator.task_api.errors import Problem, Refusal
from longtask_operator.task_api.http_content import (
    BINARY_MEDIA_TYPE,
    RAW_BODY,
    Begun,
    Digest,
    begin,
    checked_digest,
    media_type_of,
    wanted_digest,
)
from longtask_operator.task_api.report_buffer import Operation, ReportBuffer
from longtask_operator.task_api.schemas import ArtifactAnswer, ResultAck
from longtask_runtime.validation import Validator

logger = logging.getLogger(__name__)

MAX_CHECKED_RESULT = 16 * 1024 * 1024
"""Bytes of a result that can be checked against a resultSchema, which needs all of it in memory."""
FORM = "application/x-www-form-urlencoded"
_NO_RESULT: dict[int | str, dict[str, Any]] = {
    415: {"model": Problem, "description": "A result is JSON or text; other data is an artifact."}
}
RESULT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {JSON_MEDIA_TYPE: {"schema": {}}, "text/plain": {"schema": {"type": "string"}}},
    }
}
ARTIFACT_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$"


def router(admit: Admit, results: "Results") -> APIRouter:
    """The /result and /artifacts routes."""
    routes = APIRouter()

    @routes.put("/result", openapi_extra=RESULT_BODY, response_model_exclude_none=True, responses=_NO_RESULT)
    async def hand_in_result(
        request: Request,
        caller: Annotated[ReportingPod, Depends(admit)],
        content_digest: Digest = None,
        summary: Annotated[str | None, Query(max_length=1024)] = None,
    ) -> ResultAck:
        """Hand in the result. It counts if this attempt ends with exit code 0; handing in again replaces it."""
        media_type = media_type_of(request, JSON_MEDIA_TYPE).partition(";")[0].strip().lower()
        return await results.hand_in(caller, request, Offer(media_type, wanted_digest(content_digest), summary))

    @routes.put("/artifacts/{name}", openapi_extra=RAW_BODY)
    async def keep_artifact(
        request: Request,
        caller: Annotated[ReportingPod, Depends(admit)],
        name: Annotated[str, Path(pattern=ARTIFACT_NAME)],
        content_digest: Digest = None,
    ) -> ArtifactAnswer:
        """Store a file of any type beside the result. The same name again replaces it."""
        media_type = media_type_of(request, BINARY_MEDIA_TYPE)
        return await results.keep_artifact(caller, request, name, media_type, wanted_digest(content_digest))

    return routes


@dataclass(frozen=True)
class Offer:
    """What accompanies the bytes of a result; `digest` is their expected SHA-256 (hex digits)."""

    media_type: str
    digest: str | None
    summary: str | None


@dataclass(frozen=True)
class Results:
    """Stores what is handed in, then refers to it in status, then deletes what nothing refers to any more."""

    writes: ReportBuffer
    cache: Cache
    blobs: TaskBlobs
    validator: Validator

    async def hand_in(self, caller: ReportingPod, request: Request, offer: Offer) -> ResultAck:
        """Accept the body of the request as the result. Raises Refusal."""
        if offer.media_type != JSON_MEDIA_TYPE and not offer.media_type.startswith("text/"):
            detail = f"a result is application/json or text, not {offer.media_type}; other data is an artifact"
            if offer.media_type == FORM:
                detail = f"{detail} (curl calls --data so: add --header 'Content-Type: application/json')"
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", detail)
        job = self.cache.jobs.get(caller.task.metadata.uid)
        schema = result_schema(caller.task, job, self.cache.templates.get(caller.task.spec.template_ref.name))
        if schema is None and offer.media_type != JSON_MEDIA_TYPE:
            return await self._take(caller, await begin(request, MAX_INLINE_RESULT, caller.share), offer, None)
        body = await begin(request, MAX_CHECKED_RESULT, caller.share)
        if body.rest is not None and schema is not None:
            detail = f"where its template has a resultSchema a result has at most {MAX_CHECKED_RESULT} bytes"
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", detail)
        if body.rest is not None:
            return await self._take(caller, body, offer, None)
        media_type, mismatch = await self.validator.run(_checked, schema, body.head, offer.media_type)
        return await self._take(caller, body, replace(offer, media_type=media_type), mismatch)

    async def _take(self, caller: ReportingPod, body: Begun, offer: Offer, mismatch: str | None) -> ResultAck:
        if body.rest is None and len(body.head) <= MAX_INLINE_RESULT:
            size, sha256 = len(body.head), checked_digest(body.head, offer.digest)
            result = _inline(body.head, offer.media_type)
        else:
            reference = await self.blobs.put(caller.task, "result", offer.media_type, body, offer.digest)
            result, size, sha256 = Result(reference=reference), reference.size, reference.sha256
        told = {
            "attempt": caller.number,
            "media_type": None if result.value is not None else offer.media_type,
            "summary": offer.summary or result.summary,
            "mismatch": mismatch,
        }

        def handed_in(before: Result) -> Result:
            artifacts = merged_artifacts(before.artifacts, result.artifacts)
            return result.model_copy(update={**told, "artifacts": artifacts})

        await self._store(caller, handed_in, result.reference)
        return ResultAck(size=size, sha256=sha256, mismatch=mismatch)

    async def keep_artifact(
        self, caller: ReportingPod, request: Request, name: str, media_type: str, digest: str | None
    ) -> ArtifactAnswer:
        """Store the body of the request as an artifact. Raises Refusal."""
        _make_room(caller.task.status.result or Result(), name)
        body = await begin(request, 0, caller.share)
        reference = await self.blobs.put(caller.task, f"artifact-{name}", media_type, body, digest)
        artifact = Artifact(name=name, media_type=media_type, **reference.model_dump(by_alias=False))

        def with_artifact(before: Result) -> Result:
            _make_room(before, name)
            return before.model_copy(update={"artifacts": merged_artifacts(before.artifacts, [artifact])})

        await self._store(caller, with_artifact, reference)
        return ArtifactAnswer(name=name, **reference.model_dump(by_alias=False))

    async def _store(self, caller: ReportingPod, make: Callable[[Result], Result], reference: Reference | None) -> None:
        """Replace the result by what `make` returns for the current one; its new bytes are at `reference`.

        These are deleted again only if nothing can refer to them: not when an answer was lost.
        """
        superseded: set[Reference] = set()

        def setting(task: LongTask) -> list[Operation]:
            before = task.status.result or Result()
            after = make(before)
            superseded.clear()
            superseded.update(_references(before) - _references(after))
            return [{"op": "add", "path": "/status/result", "value": after.to_api()}]

        try:
            await self.writes.change(caller, setting)
        except Refusal:
            await self.blobs.drop(caller.task, reference)
            raise
        await self.blobs.drop(caller.task, *superseded)


def _checked(schema: str | None, body: bytes, media_type: str) -> tuple[str, str | None]:
    """(media type, mismatch) of a result. Raises Refusal if it is not of the given media type.

    JSON with NaN or an infinity is kept as text with a mismatch, and an unusable schema is not enforced: neither may
    cost hours of work.
    """
    value: Any = _text(body, media_type)
    if media_type == JSON_MEDIA_TYPE:
        if problem := excess(value):
            too_much = f"the result {problem}: too much to be held against the resultSchema"
            return media_type, too_much if schema is not None else None
        try:
            value = json.loads(value, parse_constant=_refuse_constant)
        except _NotJson as constant:
            return "text/plain", f"it holds {constant}, which JSON does not have; it is kept as text"
        except ValueError as error:
            raise _malformed(JSON_MEDIA_TYPE, error) from None
    if schema is None:
        return media_type, None
    found = mismatches(json.loads(schema), value)
    if found and (why := unusable(json.loads(schema))) is not None:
        logger.warning("a result is not checked: its resultSchema %s", why)
        return media_type, None
    return media_type, "; ".join(str(each) for each in found)[:4096] or None


class _NotJson(Exception):
    """A number that Python's json writes and JSON does not have: NaN or an infinity."""


def _refuse_constant(name: str) -> Any:
    raise _NotJson(name)


def _inline(body: bytes, media_type: str) -> Result:
    text = _text(body, media_type)
    return Result(text=text) if media_type != JSON_MEDIA_TYPE or excess(text) else result_of(text)


def _text(body: bytes, media_type: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _malformed(media_type, error) from None


def _malformed(media_type: str, error: ValueError) -> Refusal:
    detail = f"the result is not {media_type} in UTF-8: {error}; nothing was stored"
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Malformed", detail)


def _make_room(result: Result, name: str) -> None:
    kept = result.artifacts or []
    if len(kept) >= MAX_ARTIFACTS and all(artifact.name != name for artifact in kept):
        detail = f"the task has {len(kept)} artifacts; {MAX_ARTIFACTS} are allowed: put several files into one archive"
        raise Refusal(HTTPStatus.CONFLICT, "TooManyArtifacts", detail)


def _references(result: Result) -> set[Reference]:
    found = {result.reference} if result.reference is not None else set()
    return found | {
        Reference(uri=each.uri, size=each.size, sha256=each.sha256)
        for each in result.artifacts or []
        if each.uri is not None and each.size is not None and each.sha256 is not None
    }
