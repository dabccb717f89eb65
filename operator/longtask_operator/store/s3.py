"""Stores large data in a bucket of any S3-compatible service, under <prefix>/<namespace>/<task uid>/<key>; small data
without a reference, such as archived records, under a key of its own below <prefix>/<namespace>.

LongTask deletes what a newer checkpoint, result or artifact has replaced, and never what a task ended with: the
bucket's lifecycle rule decides how long results are kept. The rule should abort incomplete multipart uploads too, which
remain when a process dies during an upload.

Required rights: s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload below the prefix, and
s3:ListBucket, without which S3 answers "forbidden" for a missing object. boto3 finds the credentials.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from longtask_operator.store.errors import NotStored, StoreUnavailable
from longtask_operator.store.hashing_stream import HashingStream
from longtask_operator.store.owner import Owner
from longtask_operator.to_thread import ThreadedClient

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        CreateMultipartUploadOutputTypeDef,
        ListObjectsV2OutputTypeDef,
        UploadPartOutputTypeDef,
    )

logger = logging.getLogger(__name__)

T = TypeVar("T")

S3_SCHEME = "s3://"
KEY = r"[A-Za-z0-9][A-Za-z0-9._-]*"
"""Pattern of the last part of an object's key: no path traversal, no further folders."""
PART = 8 * 1024 * 1024
"""Bytes of each part of an upload except the last. S3 requires at least 5 MiB and allows at most 10,000 parts."""
CHUNK = 256 * 1024
"""Bytes of each read."""
THREADS = 16
PAGE = 1000
"""The largest page that S3 lists."""


@dataclass(frozen=True)
class Listed:
    """A listed object; its key is relative to the listed folder."""

    key: str
    modified: datetime


@dataclass(frozen=True)
class S3Settings:
    """Where the bucket is. `endpoint_url` None means AWS; `path_style` puts the bucket into the path of the URL."""

    bucket: str
    region: str
    prefix: str = "longtask"
    endpoint_url: str | None = None
    path_style: bool = False


class S3:
    """The objects of one task namespace. Every call to the service runs in a thread."""

    def __init__(self, settings: S3Settings, namespace: str) -> None:
        self._bucket = settings.bucket
        self._folder = f"{settings.prefix}/{namespace}"
        self._client = ThreadedClient(partial(_client, settings), THREADS, "s3")

    async def prepare(self) -> None:
        """Create the client, so that the first call does not take a second longer. Raises for an invalid endpoint."""
        await self._client.prepare()

    def close(self) -> None:
        """Shut down threads and connections."""
        self._client.close()

    async def put(self, owner: Owner, key: str, media_type: str, incoming: HashingStream) -> str:
        """Store a stream under the key, replacing earlier data; returns the URI.

        The object's metadata has the SHA-256 if that is known before the first byte is sent: when the caller gave it,
        or a single part is enough. Raises StoreUnavailable, and what `incoming` raises.
        """
        path = f"{self._folder}/{owner.uid}/{key}"
        if await incoming.ahead(PART) >= PART:
            await self._put_parts(path, media_type, incoming)
        else:
            body = await incoming.read(PART)
            told = {"sha256": incoming.sha256()}
            await self._call(
                lambda s3: s3.put_object(
                    Bucket=self._bucket, Key=path, ContentType=media_type, Metadata=told, Body=body
                )
            )
        return f"{S3_SCHEME}{self._bucket}/{path}"

    async def get(self, owner: Owner, uri: str, start: int, end: int, size: int) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` to before `end` of an object that must have `size` bytes in all.

        Raises NotStored, also if it has another size, and StoreUnavailable.
        """
        path, part = self._path(owner, uri), f"bytes={start}-{end - 1}"
        answer = await self._call(lambda s3: s3.get_object(Bucket=self._bucket, Key=path, Range=part))
        body = answer["Body"]
        # A service without support for Range answers with the whole object.
        ranged = answer.get("ContentRange")
        skipped, left = 0 if ranged is None else start, end - start
        try:
            found = answer["ContentLength"] if ranged is None else int(ranged.rpartition("/")[2])
            if found != size:
                raise NotStored(f"{uri} has {found} bytes now, not the {size} that were stored: it was replaced")
            while left and (chunk := await self._call(lambda _: body.read(CHUNK))):
                wanted = chunk[start - skipped :][:left] if skipped < start else chunk[:left]
                skipped = min(start, skipped + len(chunk))
                left -= len(wanted)
                if wanted:
                    yield wanted
        finally:
            body.close()

    async def delete(self, owner: Owner, uri: str) -> None:
        """Delete the object; no error if it is gone already. Raises NotStored if it belongs to another task, and
        StoreUnavailable.
        """
        path = self._path(owner, uri)
        await self._call(lambda s3: s3.delete_object(Bucket=self._bucket, Key=path))

    async def write(self, key: str, media_type: str, data: bytes) -> str:
        """Store a small object under a key below <prefix>/<namespace>, replacing an earlier one; returns the URI.

        Raises StoreUnavailable.
        """
        path = self._below(key)
        await self._call(lambda s3: s3.put_object(Bucket=self._bucket, Key=path, ContentType=media_type, Body=data))
        return f"{S3_SCHEME}{self._bucket}/{path}"

    async def read(self, key: str) -> tuple[bytes, str, datetime]:
        """Bytes, URI and modification time of an object that `write` stored. Raises NotStored and StoreUnavailable."""
        path = self._below(key)
        answer = await self._call(lambda s3: s3.get_object(Bucket=self._bucket, Key=path))
        with contextlib.closing(answer["Body"]) as body:
            return await self._call(lambda _: body.read()), f"{S3_SCHEME}{self._bucket}/{path}", answer["LastModified"]

    async def listed(self, folder: str, limit: int) -> tuple[list[Listed], bool]:
        """At most `limit` objects of a folder below <prefix>/<namespace>, in the order of their keys, and whether these
        are all. Raises StoreUnavailable.
        """
        prefix = after = f"{self._below(folder)}/"
        found: list[Listed] = []
        while len(found) < limit:
            wanted = partial(_list_objects, self._bucket, prefix, after, min(PAGE, limit - len(found)))
            answer = await self._call(wanted)
            page = answer.get("Contents", [])
            found += [Listed(each["Key"].removeprefix(prefix), each["LastModified"]) for each in page]
            if not answer["IsTruncated"]:
                return found, True
            after = page[-1]["Key"]
        return found, False

    def _below(self, key: str) -> str:
        if not re.fullmatch(rf"{KEY}(/{KEY})*", key):
            raise ValueError(f"{key!r} is no key: parts of letters, digits, dots, underscores and dashes only")
        return f"{self._folder}/{key}"

    async def _put_parts(self, path: str, media_type: str, incoming: HashingStream) -> None:
        creating = asyncio.ensure_future(
            self._call(
                lambda s3: s3.create_multipart_upload(
                    Bucket=self._bucket,
                    Key=path,
                    ContentType=media_type,
                    Metadata={"sha256": incoming.expected} if incoming.expected else {},
                )
            )
        )
        parts: list[CompletedPartTypeDef] = []
        try:
            upload = (await asyncio.shield(creating))["UploadId"]
            while await incoming.ahead(PART):
                number = len(parts) + 1
                put = partial(_upload_part, self._bucket, path, upload, number, await incoming.read(PART))
                parts.append({"PartNumber": number, "ETag": (await self._call(put))["ETag"]})
            incoming.sha256()
            await self._call(
                lambda s3: s3.complete_multipart_upload(
                    Bucket=self._bucket, Key=path, UploadId=upload, MultipartUpload={"Parts": parts}
                )
            )
        except BaseException:  # cancellation too
            await self._abort(path, creating)
            raise

    async def _abort(self, path: str, creating: "asyncio.Task[CreateMultipartUploadOutputTypeDef]") -> None:
        """Abort an upload, if it was started."""
        try:
            upload = (await creating)["UploadId"]
        except StoreUnavailable:
            return
        try:
            await self._call(lambda s3: s3.abort_multipart_upload(Bucket=self._bucket, Key=path, UploadId=upload))
        except StoreUnavailable as error:
            logger.warning("an incomplete upload is left to the bucket's lifecycle rule: %s", error)

    def _path(self, owner: Owner, uri: str) -> str:
        """The object's key. Raises NotStored if this store did not write it for the owner."""
        folder = f"{self._folder}/{owner.uid}/"
        bucket, _, path = uri.removeprefix(S3_SCHEME).partition("/")
        if bucket != self._bucket or not path.startswith(folder) or not re.fullmatch(KEY, path.removeprefix(folder)):
            raise NotStored(
                f"{uri} is not kept for task {owner.name}: that would be below {S3_SCHEME}{self._bucket}/{folder}; "
                "it can be read here only while operator.store.s3 names the bucket and prefix it was written to"
            )
        return path

    async def _call(self, operation: "Callable[[S3Client], T]") -> T:
        try:
            return await self._client.call(operation)
        except ClientError as error:
            raise self._refusal(error) from error
        except BotoCoreError as error:
            raise StoreUnavailable(f"S3 bucket {self._bucket} cannot be used: {error}; try again later") from error

    def _refusal(self, error: ClientError) -> NotStored | StoreUnavailable:
        code = error.response.get("Error", {}).get("Code")
        if code in ("NoSuchKey", "InvalidRange"):
            return NotStored(
                f"the object is no longer in S3 bucket {self._bucket} as it was stored (by its lifecycle rule, "
                f"perhaps); start the task again to have it made anew: {error}"
            )
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.TOO_MANY_REQUESTS:
            advice = "whoever installed LongTask should look at operator.store.s3 and the operator's credentials"
        else:
            advice = "try again later"
        return StoreUnavailable(f"S3 bucket {self._bucket} refuses: {error}; {advice}")


def _list_objects(bucket: str, prefix: str, after: str, limit: int, s3: "S3Client") -> "ListObjectsV2OutputTypeDef":
    return s3.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=after, MaxKeys=limit)


def _upload_part(
    bucket: str, path: str, upload: str, number: int, body: bytes, s3: "S3Client"
) -> "UploadPartOutputTypeDef":
    return s3.upload_part(Bucket=bucket, Key=path, UploadId=upload, PartNumber=number, Body=body)


def _client(settings: S3Settings) -> "S3Client":
    config = Config(
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=2 * THREADS,
        # Other services do not support AWS's newer checksums. S3 verifies a signed body as well.
        s3={"addressing_style": "path" if settings.path_style else "auto", "payload_signing_enabled": True},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client(
        "s3", region_name=settings.region, endpoint_url=settings.endpoint_url, config=config
    )
