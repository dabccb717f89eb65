"""Request and response bodies: digests (RFC 9530), ranges (RFC 9110, section 14), limits of size and time."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from fastapi import Header
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from longtask_api.bounds import MAX_DEPTH, excess
from longtask_api.reports import Reference
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.limits import Share

Body = TypeVar("Body", bound=BaseModel)

BINARY_MEDIA_TYPE = "application/octet-stream"
RangeHeader = Annotated[str | None, Header(alias="Range", max_length=128)]
BINARY = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in (BINARY_MEDIA_TYPE, "*/*")}
"""OpenAPI content of bytes of any type."""
BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All of it.",
        "content": BINARY,
        "headers": {"Content-Digest": {"description": "sha-256=:...: (RFC 9530)", "schema": {"type": "string"}}},
    },
    206: {
        "description": "The part that Range asked for.",
        "content": BINARY,
        "headers": {"Content-Range": {"description": "bytes 0-9/100 (RFC 9110)", "schema": {"type": "string"}}},
    },
}
Digest = Annotated[str | None, Header(alias="Content-Digest", max_length=1024)]
RAW_BODY: dict[str, Any] = {
    "requestBody": {
        "description": "Bytes of any type; Content-Type is kept with them.",
        "required": True,
        "content": {BINARY_MEDIA_TYPE: BINARY[BINARY_MEDIA_TYPE]},
    }
}
FIRST_SECONDS, SLOWEST = 30.0, 64 * 1024
"""Seconds allowed for a body, plus one for each SLOWEST bytes that have arrived. Only the wait for the next chunk
counts, not the time to store it."""
LEVELS_AROUND = 10
"""Levels of a body around the schema or answer in it."""
MAX_MEDIA_TYPE = 128
"""Characters; the CRD's limit."""
DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):", re.IGNORECASE)
RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI description of a body that `small_json` reads."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


@dataclass(frozen=True)
class Begun:
    """The beginning of a body; all of it if `rest` is None."""

    head: bytes
    rest: AsyncIterator[bytes] | None
    share: Share
    """Accounts for the memory of what has arrived."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """The whole body."""
        yield self.head
        if self.rest is not None:
            async for chunk in self.rest:
                yield chunk


async def begin(request: Request, limit: int, share: Share) -> Begun:
    """Read a body until it ends or has more than `limit` bytes. The call's share accounts for all bytes read.

    Raises Refusal when the caller disconnects or is too slow, and when there is no memory for the bytes.
    """
    head, stream = bytearray(), _stream(request, share)
    async for chunk in stream:
        head += chunk
        if len(head) > limit:
            return Begun(bytes(head), stream, share)
    return Begun(bytes(head), None, share)


async def small_json(request: Request, limit: int, share: Share, model: type[Body]) -> Body:
    """A body of at most `limit` bytes as the model. It is read as JSON whatever its Content-Type, since `curl -d` calls
    it a form.

    Raises Refusal, or RequestValidationError if it does not match the model.
    """
    length = request.headers.get("content-length", "")
    begun = await begin(request, limit, share) if not length.isdecimal() or int(length[:20]) <= limit else None
    if begun is None or begun.rest is not None:
        detail = f"the body has more than {limit} bytes, which is the limit here; nothing of it was taken"
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", detail)
    if problem := excess(begun.head, MAX_DEPTH + LEVELS_AROUND):
        raise Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Malformed", f"the body {problem}; nothing of it was taken")
    try:
        return model.model_validate_json(begun.head)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        unknown = f"no such field; there are {', '.join(field.alias or '' for field in model.model_fields.values())}"
        told = [{**each, "msg": unknown} if each["type"] == "extra_forbidden" else each for each in problems]
        raise RequestValidationError(told) from None


async def _stream(request: Request, share: Share) -> AsyncIterator[bytes]:
    chunks, loop = request.stream(), asyncio.get_running_loop()
    left = FIRST_SECONDS
    while True:
        asked = loop.time()
        try:
            async with asyncio.timeout(left):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise Refusal(HTTPStatus.BAD_REQUEST, "Incomplete", "the body ended before it was complete") from None
        except TimeoutError:
            detail = f"the body comes with less than {SLOWEST // 1024} KiB/s; nothing was stored, send it again"
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "TooSlow", detail, {"Connection": "close"}) from None
        left += len(chunk) / SLOWEST - (loop.time() - asked)
        await share.take(len(chunk))
        yield chunk


def media_type_of(request: Request, default: str) -> str:
    """The Content-Type, or `default`. Raises Refusal if it is longer than the record can hold."""
    media_type = request.headers.get("content-type") or default
    if len(media_type) > MAX_MEDIA_TYPE:
        detail = f"Content-Type has {len(media_type)} characters; {MAX_MEDIA_TYPE} are allowed"
        raise Refusal(HTTPStatus.BAD_REQUEST, "Malformed", detail)
    return media_type


def wanted_digest(header: str | None) -> str | None:
    """The SHA-256 (hex digits) in a Content-Digest header, if there is one. Raises Refusal if it is invalid."""
    if header is None:
        return None
    found = DIGEST.search(header)
    try:
        digest = base64.b64decode(found[1], validate=True) if found else b""
    except binascii.Error:
        digest = b""
    if len(digest) != hashlib.sha256().digest_size:
        detail = "Content-Digest has no SHA-256; it looks like sha-256=:<base64>: (RFC 9530)"
        raise Refusal(HTTPStatus.BAD_REQUEST, "Malformed", detail)
    return digest.hex()


def digest_header(sha256: str) -> str:
    """Content-Digest of bytes with this SHA-256 (hex digits)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def checked_digest(body: bytes, wanted: str | None) -> str:
    """The body's SHA-256 as hex digits. Raises Refusal if another one was expected."""
    found = hashlib.sha256(body).hexdigest()
    if wanted not in (None, found):
        raise digest_mismatch(f"the body's SHA-256 is {found}, Content-Digest says {wanted}")
    return found


def digest_mismatch(detail: str) -> Refusal:
    """The refusal of a body that does not match its digest."""
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "DigestMismatch", f"{detail}; nothing was stored, send it again")


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, end) of a Range header, end exclusive; None for the whole. Raises Refusal if it is not satisfiable."""
    found = RANGE.match(header or "")
    if found is None:
        return None
    start, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
    if start >= end:
        headers = {"Content-Range": f"bytes */{size}"}
        detail = f"the range {header} is outside of the {size} bytes"
        raise Refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "OutOfRange", detail, headers)
    return start, end


async def part(
    reference: Reference,
    media_type: str | None,
    byte_range: str | None,
    read: Callable[[int, int | None], Awaitable[AsyncIterator[bytes]]],
) -> Response:
    """The response with the bytes that a Range header selects, or all. `read` returns those from start to before end
    (None: to the last); its exceptions are raised here.
    """
    headers = {"Content-Type": media_type or BINARY_MEDIA_TYPE, "Accept-Ranges": "bytes"}
    wanted = wanted_range(byte_range, reference.size)
    if wanted is None:
        headers |= {"Content-Length": str(reference.size), "Content-Digest": digest_header(reference.sha256)}
        return StreamingResponse(await read(0, None), headers=headers)
    start, end = wanted
    headers |= {"Content-Length": str(end - start), "Content-Range": f"bytes {start}-{end - 1}/{reference.size}"}
    return StreamingResponse(await read(start, end), HTTPStatus.PARTIAL_CONTENT, headers)


async def begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same chunks, with the first fetched already: its exceptions are raised before a response starts."""
    return _following(await anext(chunks, b""), chunks)


async def _following(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk
