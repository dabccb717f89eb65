"""The FastAPI app: routes, authentication and the format of refusals."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import aiohttp
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from longtask import __version__
from longtask_api.constants import AUDIENCE_REPORT, AUDIENCE_TASK_API
from longtask_operator.archive.archive import Archive
from longtask_operator.cache import Cache
from longtask_operator.task_api import archive, checkpoints, questions, reports, results, task_reads
from longtask_operator.task_api.auth import PodAuthenticator, ReaderAuthenticator, ReportingPod
from longtask_operator.task_api.blobs import TaskBlobs
from longtask_operator.task_api.errors import Problem, Refusal, malformed, refused, unavailable, unknown
from longtask_operator.task_api.report_buffer import ReportBuffer
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime.kube import KubeError
from longtask_runtime.validation import Validator

REPORT_PATH = "/v1/report"
TASKS_PATH = "/v1/tasks"
ARCHIVE_PATH = "/v1/archive"

DESCRIPTION = """\
Pods of tasks report progress, checkpoints, questions and results here; the MCP server reads logs, large results and the
records of deleted tasks. A pod's token (LONGTASK_TOKEN_FILE, to be read for every request) identifies its task and
attempt. Work in pods calls only the routes tagged `pods`; only the MCP server calls those tagged `readers`.
"""
SERVERS = [
    {
        "url": "http://{address}",
        "description": "LONGTASK_REPORT_URL without /v1/report, with which the paths here begin.",
        "variables": {"address": {"default": "longtask-task-api.longtask-system.svc:8082"}},
    }
]
TAGS = [
    {"name": "pods", "description": "Called by work in pods, with the pod's token."},
    {"name": "readers", "description": "Called by the MCP server; a pod's token is refused."},
]
Credentials = HTTPAuthorizationCredentials | None
POD_TOKEN = HTTPBearer(
    scheme_name="pod", description=f"The pod's token with audience {AUDIENCE_REPORT}.", auto_error=False
)
READER_TOKEN = HTTPBearer(
    scheme_name="reader", description=f"A listed account's token with audience {AUDIENCE_TASK_API}.", auto_error=False
)
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_REFUSALS = {
    400: "The request is incomplete, or a header is invalid.",
    401: "The token proves no identity.",
    403: "The caller is not the newest attempt of an active task, or its pod has ended.",
    404: "Not found.",
    408: "The body arrives too slowly.",
    409: "The task has ended, or its state conflicts with the request.",
    413: "The body is too large; detail states the limit.",
    422: "The body or a parameter is invalid; detail names it.",
    429: "Too many calls; retry after the time in Retry-After.",
    503: "Temporarily unavailable; retry after the time in Retry-After.",
}


@dataclass(frozen=True)
class Parts:
    """The components that the API uses."""

    cluster: TaskNamespace
    cache: Cache
    pods: PodAuthenticator
    readers: ReaderAuthenticator
    writes: ReportBuffer
    blobs: TaskBlobs
    archive: Archive
    validator: Validator


def task_api(parts: Parts) -> FastAPI:
    """The app; every replica serves it. A caller is authenticated before any of its body is read."""
    app = FastAPI(
        title="LongTask task API",
        version=__version__,
        description=DESCRIPTION,
        servers=SERVERS,
        openapi_tags=TAGS,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_name,
        responses={
            status: {"model": Problem, "description": text}
            | ({"headers": _RETRY_AFTER} if status in (429, 503) else {})
            for status, text in _REFUSALS.items()
        },
        exception_handlers={
            Refusal: refused,
            RequestValidationError: malformed,
            HTTPException: unknown,
            **dict.fromkeys((KubeError, aiohttp.ClientError, TimeoutError), unavailable),
        },
    )

    async def attempt(token: Annotated[Credentials, Depends(POD_TOKEN)]) -> AsyncIterator[ReportingPod]:
        async with parts.pods.admitted(token.credentials if token is not None else "") as caller:
            yield caller

    async def reader(token: Annotated[Credentials, Depends(READER_TOKEN)]) -> None:
        await parts.readers.admit(token.credentials if token is not None else "")

    for made in (
        reports.router(attempt, parts.writes),
        checkpoints.router(attempt, parts.writes, parts.blobs),
        results.router(attempt, results.Results(parts.writes, parts.cache, parts.blobs, parts.validator)),
        questions.router(attempt, parts.writes, parts.cache, parts.validator),
    ):
        app.include_router(made, prefix=REPORT_PATH, tags=["pods"])
    app.include_router(
        task_reads.router(reader, parts.cluster, parts.cache, parts.blobs), prefix=TASKS_PATH, tags=["readers"]
    )
    app.include_router(archive.router(reader, parts.archive), prefix=ARCHIVE_PATH, tags=["readers"])
    _prepare(app)
    return app


def _prepare(app: FastAPI) -> None:
    """Build now what FastAPI would build for included routers in the first request, where it blocks the event loop."""
    for _ in iter_route_contexts(app.routes):
        pass


def _name(route: APIRoute) -> str:
    """The operationId, from which clients are generated: renaming a route function breaks them."""
    return route.name
