"""Refusals of the task API: a status, a one-word reason, and a sentence that says what to do."""

import logging
from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

logger = logging.getLogger(__name__)


class Problem(BaseModel):
    """The body of every refusal."""

    reason: str = Field(description="What kind of refusal, in one word.")
    detail: str = Field(description="What happened, to what, and what to do now.")


class Refusal(Exception):
    """Ends a call with this response: a status, a one-word reason, and a sentence that says what to do."""

    def __init__(self, status: HTTPStatus, reason: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The refusal as an HTTP response."""
        problem = Problem(reason=self.reason, detail=self.detail)
        return JSONResponse(problem.model_dump(), self.status, self.headers)


def later(reason: str, detail: str, seconds: int = 1, headers: Mapping[str, str] | None = None) -> Refusal:
    """A temporary refusal (503): the caller may retry after this many seconds."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, reason, detail, {"Retry-After": str(seconds), **(headers or {})})


async def refused(_: Request, error: Exception) -> Response:
    """Exception handler for Refusal."""
    assert isinstance(error, Refusal)  # noqa: S101 - how handlers are registered
    return error.response()


async def malformed(_: Request, error: Exception) -> Response:
    """Exception handler for requests that do not match the models."""
    assert isinstance(error, RequestValidationError)  # noqa: S101
    told = [f"{_place(each['loc'])}: {each['msg']}" for each in error.errors()]
    return Refusal(HTTPStatus.UNPROCESSABLE_ENTITY, "Malformed", "; ".join(told)[:4096]).response()


async def unknown(request: Request, error: Exception) -> Response:
    """Exception handler for the router's refusals: an unknown path, or another method."""
    assert isinstance(error, HTTPException)  # noqa: S101
    status, headers = HTTPStatus(error.status_code), {**(error.headers or {})}
    reason, place = "".join(word.capitalize() for word in status.phrase.split()), request.url.path[:200]
    detail = {
        HTTPStatus.NOT_FOUND: f"there is nothing at {place}; docs/task-api.json has the paths, which begin with "
        "/v1/report as LONGTASK_REPORT_URL ends with it: write it once, and no / at the end",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{place} does not take {request.method}, but {headers.get('Allow')}",
    }.get(status, str(error.detail))
    return Refusal(status, reason, detail, headers).response()


async def unavailable(request: Request, error: Exception) -> Response:
    """Exception handler for an API server that is unreachable or fails. A write may have been applied."""
    logger.warning("task API call failed", extra={"path": request.url.path}, exc_info=error)
    return later("Unavailable", "the API server does not answer as it should; try again in a second").response()


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "body") or "the body"
