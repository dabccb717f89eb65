"""The task API: what a caller needs of the pods of a task without having any right on pods."""

import logging
from typing import Annotated

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel

from longtask_operator.cache import Cache
from longtask_operator.cluster import Cluster
from longtask_operator.metrics import METRICS
from longtask_runtime.authentication import Identity, Refused, TokenReviewer, Unavailable

logger = logging.getLogger(__name__)

LOG_BYTES = 256 * 1024


class TaskLog(BaseModel):
    """The end of what a task wrote; `live` says whether it may still write more."""

    text: str
    attempt: int
    podName: str  # noqa: N815
    live: bool


def task_api(cluster: Cluster, cache: Cache, reviewer: TokenReviewer, readers: list[str]) -> FastAPI:
    """The app, for callers whose user name is in `readers`; every replica serves it."""
    app = FastAPI(title="LongTask task API", version="v1", docs_url=None, redoc_url=None)

    async def reader(authorization: Annotated[str, Header()] = "") -> Identity:
        token = authorization.removeprefix("Bearer ") if authorization.startswith("Bearer ") else ""
        try:
            identity = await reviewer.review(token)
        except Refused as refused:
            _refuse(refused.reason)
            headers = {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{refused}"'}
            raise HTTPException(401, str(refused), headers) from None
        except Unavailable as unavailable:
            headers = {"Retry-After": str(unavailable.retry_after)}
            raise HTTPException(503, "the API server cannot be asked who you are", headers) from None
        if identity.username not in readers:
            _refuse("NotAReader", identity.username)
            raise HTTPException(403, f"{identity.username} may not read tasks")
        return identity

    @app.get("/v1/tasks/{uid}/logs", dependencies=[Depends(reader)])
    async def read_log(uid: str, tail_lines: Annotated[int, Query(ge=1, le=5000)] = 200) -> TaskLog:
        """The last lines that the newest attempt wrote; at most 256 KiB of them."""
        job = cache.jobs.get(uid)
        if job is None:
            raise HTTPException(404, f"task {uid} has no Job here: it has not started, or its Job is gone")
        pods = [pod for pod in cache.pods_of(job.uid) if not pod.gone and pod.node is not None]
        for pod in reversed(pods):
            text = await cluster.read_log(pod, tail_lines, LOG_BYTES)
            if text is not None:
                earlier = [each for each in cache.pods_of(job.uid) if each.started is not None and each.uid != pod.uid]
                number = 1 + sum(each.created <= pod.created for each in earlier)
                return TaskLog(text=text, attempt=number, podName=pod.name, live=not pod.ended)
        raise HTTPException(404, f"task {uid} has no pod with a log yet, or its pods are gone")

    return app


def _refuse(reason: str, username: str | None = None) -> None:
    METRICS.refused.labels(reason).inc()
    logger.warning("task API call refused", extra={"reason": reason, "user": username})
