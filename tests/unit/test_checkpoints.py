"""A checkpoint that is sent again, and one that comes too late."""

from typing import Any

import pytest
from starlette.requests import Request

from longtask_api.longtask import LongTask, LongTaskStatus
from longtask_api.reports import MAX_INLINE_CHECKPOINT, Reference
from longtask_operator.cache import Cache
from longtask_operator.task_api.auth import ReportingPod
from longtask_operator.task_api.checkpoints import router
from longtask_operator.task_api.errors import Refusal
from longtask_operator.task_api.http_content import Begun, checked_digest
from longtask_operator.task_api.limits import Room, Share
from longtask_operator.task_api.report_buffer import ReportBuffer
from longtask_operator.task_api.schemas import CheckpointAck
from tests.unit.given import at_work, running_pod, task

SMALL, LARGE = b"step 7", b"7" * (MAX_INLINE_CHECKPOINT + 1)


class ApiServer:
    """Holds the task."""

    def __init__(self) -> None:
        self.task = task(at_work())

    async def report(self, known: LongTask, job_uid: str, operations: list[dict[str, Any]]) -> LongTask:
        status = self.task.status.to_api()
        status |= {each["path"].split("/")[-1]: each["value"] for each in operations if each["op"] == "add"}
        self.task = self.task.model_copy(update={"status": LongTaskStatus.from_api(status)})
        return self.task


class TaskBlobs:
    """Holds what is large."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self._puts = 0

    async def put(self, task: LongTask, what: str, media_type: str, body: Begun, sha256: str | None) -> Reference:
        content = b"".join([chunk async for chunk in body.chunks()])
        self._puts += 1
        uri = f"configmap:{what}-{self._puts}"
        self.held[uri] = content
        return Reference(uri=uri, size=len(content), sha256=checked_digest(content, sha256))

    async def drop(self, task: LongTask, *references: Reference | None) -> None:
        for reference in references:
            if reference is not None:
                del self.held[reference.uri]


class Pod:
    """Saves checkpoints of the first attempt."""

    def __init__(self) -> None:
        self.server, self.blobs = ApiServer(), TaskBlobs()
        writes = ReportBuffer(self.server, Cache(), interval=1, per_second=1)  # type: ignore[arg-type]
        routes = router(lambda: None, writes, self.blobs)  # type: ignore[arg-type, return-value]
        self._save = next(route.endpoint for route in routes.routes if "PUT" in route.methods)  # type: ignore[attr-defined]

    async def save(self, body: bytes, sequence: int) -> CheckpointAck:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        request = Request({"type": "http", "method": "PUT", "headers": []}, receive)
        caller = ReportingPod(self.server.task, 1, running_pod(), Share(Room(10**6, 10**6), "a"))
        saved: CheckpointAck = await self._save(request, caller, None, sequence)
        return saved

    @property
    def kept(self) -> bytes:
        checkpoint = self.server.task.status.checkpoint
        assert checkpoint is not None
        return self.blobs.held[checkpoint.reference.uri] if checkpoint.reference else (checkpoint.text or "").encode()


@pytest.mark.parametrize("body", [SMALL, LARGE, b""], ids=["small", "large", "empty"])
async def test_one_that_is_sent_again_is_saved_and_stored_once(body: bytes) -> None:
    pod = Pod()
    first = await pod.save(body, 1)
    assert await pod.save(body, 1) == first
    assert pod.kept == body
    assert len(pod.blobs.held) == (body == LARGE)


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("late", "sequence"), [(b"+", 2), (b"", 1)], ids=["other-content", "older"])
async def test_one_that_is_older_or_other_than_the_stored_one_is_refused(
    body: bytes, late: bytes, sequence: int
) -> None:
    pod = Pod()
    await pod.save(body, 2)
    with pytest.raises(Refusal) as refused:
        await pod.save(body + late, sequence)
    assert (refused.value.status, refused.value.reason) == (409, "OlderThanStored")
    assert pod.kept == body
    assert len(pod.blobs.held) == (body == LARGE)
