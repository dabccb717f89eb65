"""The app: who may call what, and how refusals look."""

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
Where the pods of tasks report progress, checkpoints, questions and results, and where the MCP server reads logs, large
results, and the records of tasks that are gone. A pod's token (LONGTASK_TOKEN_FILE, read for every request) says which
task and attempt it is. `pods` is all that the work calls; nobody but the MCP server needs `readers`.
"""
SERVERS = [
    {
        "url": "http://{address}",
        "description": "LONGTASK_REPORT_URL without its end: the paths here begin with /v1/report already.",
        "variables": {"address": {"default": "longtask-task-api.longtask-system.svc:8082"}},
    }
]
TAGS = [
    {"name": "pods", "description": "What the work calls, with its pod's token."},
    {"name": "readers", "description": "What the MCP server calls; a pod's token is refused."},
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
    400: "The request is cut off, or a header cannot be read.",
    401: "The token proves no identity.",
    403: "The caller is not the live, newest attempt of a task that runs.",
    404: "There is no such thing.",
    408: "The body comes too slowly.",
    409: "The task has ended, or holds something that excludes this.",
    413: "The body is too large; detail says the limit.",
    422: "The body, or a parameter, does not fit; detail names it.",
    429: "Too many calls; Retry-After says when to go on.",
    503: "Not now; Retry-After says when to try again.",
}


@dataclass(frozen=True)
class Parts:
    """What the API works with."""

    cluster: TaskNamespace
    cache: Cache
    pods: PodAuthenticator
    readers: ReaderAuthenticator
    writes: ReportBuffer
    shelf: TaskBlobs
    archive: Archive
    validator: Validator


def task_api(parts: Parts) -> FastAPI:
    """The app; every replica serves it. Who calls is known before anything of a body is read."""
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
        checkpoints.router(attempt, parts.writes, parts.shelf),
        results.router(attempt, results.Results(parts.writes, parts.cache, parts.shelf, parts.validator)),
        questions.router(attempt, parts.writes, parts.cache, parts.validator),
    ):
        app.include_router(made, prefix=REPORT_PATH, tags=["pods"])
    app.include_router(
        task_reads.router(reader, parts.cluster, parts.cache, parts.shelf), prefix=TASKS_PATH, tags=["readers"]
    )
    app.include_router(archive.router(reader, parts.archive), prefix=ARCHIVE_PATH, tags=["readers"])
    _prepare(app)
    return app


def _prepare(app: FastAPI) -> None:
    """Make what FastAPI makes of included routers when it first needs it: in a request, everybody would wait for it."""
    for _ in iter_route_contexts(app.routes):
        pass


def _name(route: APIRoute) -> str:
    """Of an operation in generated clients: the function's, so a function that is renamed breaks them."""
    return route.name
