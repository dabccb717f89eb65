"""Authenticates callers: the pod of the newest attempt of a task in progress, or a reader such as the MCP server."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from longtask_api.longtask import LongTask
from longtask_operator.cache import Cache
from longtask_operator.metrics import METRICS
from longtask_operator.planning.snapshots import PodSnapshot
from longtask_operator.task_api.errors import Refusal, later
from longtask_operator.task_api.limits import Limits, Share
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime.authentication import Identity, Memory, Refused, TokenReviewer, Unavailable

logger = logging.getLogger(__name__)

POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
"""Extra fields of a TokenReview, for a token that is bound to a pod (KEP-1205)."""


@dataclass(frozen=True)
class ReportingPod:
    """A pod that may report: attempt `number` of the task, its newest."""

    task: LongTask
    number: int
    pod: PodSnapshot
    share: Share
    """The memory that this call may use."""


Admit = Callable[..., AsyncIterator[ReportingPod]]
"""A dependency of the routes for pods: yields the ReportingPod that calls, or raises Refusal."""


class ReaderAuthenticator:
    """Authenticates callers that may read any task's log and results."""

    def __init__(self, reviewer: TokenReviewer, usernames: list[str]) -> None:
        self._reviewer = reviewer
        self._usernames = frozenset(usernames)

    async def admit(self, token: str) -> None:
        """Raises Refusal unless the token belongs to one of the readers."""
        identity = await _identity(self._reviewer, token)
        if identity.username not in self._usernames:
            raise _counted(
                Refusal(HTTPStatus.FORBIDDEN, "NotAReader", f"{identity.username} may not read tasks"),
                identity.username,
            )


class PodAuthenticator:
    """Proves that a caller is the pod that works on a task now. A token alone does not: the API server accepts one of a
    pod that has ended.
    """

    def __init__(
        self, cluster: TaskNamespace, cache: Cache, reviewer: TokenReviewer, namespace: str, limits: Limits
    ) -> None:
        self._cluster = cluster
        self._cache = cache
        self._reviewer = reviewer
        self._accounts = f"system:serviceaccount:{namespace}:"
        self._limits = limits
        self._looked_up: Memory[str, PodSnapshot | None] = Memory()

    @asynccontextmanager
    async def admitted(self, token: str) -> AsyncIterator[ReportingPod]:
        """The calling pod, during one call whose body has not been read yet. Raises Refusal, also above a limit."""
        task, number, pod = await self._known(token)
        uid = task.metadata.uid
        self._limits.rate.take(uid)
        with self._limits.calls.one(uid), self._limits.room.share(uid) as share:
            yield ReportingPod(task, number, pod, share)

    async def _known(self, token: str) -> tuple[LongTask, int, PodSnapshot]:
        identity = await _identity(self._reviewer, token)
        uid, name = (next(iter(identity.extra.get(key, ())), "") for key in (POD_UID, POD_NAME))
        try:
            if not uid or not identity.username.startswith(self._accounts):
                raise _forbidden("NotATaskPod", f"{identity.username} is not a pod of the task namespace")
            return self._attempt(await self._pod(uid, name))
        except Refusal as refusal:
            raise _counted(refusal, identity.username, pod=name) from None

    async def _pod(self, uid: str, name: str) -> PodSnapshot:
        pod = self._cache.pod(uid)
        if pod is None or (pod.phase == "Pending" and not pod.gone):
            # The watch may lag. Lookups are cached, so a foreign caller that keeps calling causes few of them.
            live = await self._looked_up.get(uid, lambda: self._cluster.get_pod(name, uid))
            if live is not None:
                self._cache.put_pod(live)
            pod = self._cache.pod(uid)
        if pod is None:
            raise _forbidden("NotATaskPod", f"pod {name} does not work for a LongTask")
        return pod

    def _task(self, pod: PodSnapshot) -> LongTask:
        task = self._cache.tasks.get(pod.task_uid)
        if task is None and self._cache.was_deleted(pod.task_uid):
            raise Refusal(HTTPStatus.CONFLICT, "TaskEnded", f"task {pod.task_uid} is gone; nothing is taken for it")
        if task is None:
            raise later("AttemptNotKnown", f"task {pod.task_uid} is not known here yet; try again in a second")
        if task.is_terminal:
            detail = f"the task has ended ({task.status.phase}); nothing is taken for it any more"
            raise Refusal(HTTPStatus.CONFLICT, "TaskEnded", detail)
        return task

    def _attempt(self, pod: PodSnapshot) -> tuple[LongTask, int, PodSnapshot]:
        task = self._task(pod)
        if pod.ended:
            raise _forbidden("PodNotRunning", f"pod {pod.name} has ended; only a running one may report")
        reference, attempts = task.status.job_ref, task.status.attempts
        if reference is None:
            raise later("AttemptNotKnown", "the task's Job is not recorded yet; try again in a second")
        if reference.uid != pod.job_uid:
            raise _forbidden("NotItsJob", f"pod {pod.name} does not belong to the task's Job {reference.name}")
        known = next((attempt for attempt in attempts if attempt.pod_uid == pod.uid), None)
        if known is None:
            detail = f"pod {pod.name} ({pod.phase}) is not recorded as an attempt yet; try again in a second"
            raise later("AttemptNotKnown", detail)
        if known is not attempts[-1]:
            detail = f"pod {pod.name} is attempt {known.number}; attempt {attempts[-1].number} has replaced it"
            raise _forbidden("NotTheNewestAttempt", detail)
        if known.end_time is not None:
            raise _forbidden("PodNotRunning", f"attempt {known.number} has ended ({known.reason})")
        return task, known.number, pod


async def _identity(reviewer: TokenReviewer, token: str) -> Identity:
    try:
        return await reviewer.review(token)
    except Refused as refused:
        headers = {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{refused}"'}
        raise _counted(Refusal(HTTPStatus.UNAUTHORIZED, str(refused.reason), str(refused), headers)) from None
    except Unavailable as unavailable:
        text = "the API server cannot be asked who you are; try again in a few seconds"
        raise later("Unavailable", text, unavailable.retry_after) from None


def _forbidden(reason: str, detail: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, reason, detail)


def _counted(refusal: Refusal, username: str | None = None, pod: str | None = None) -> Refusal:
    """Count and log the refusal, without the token. A 503, which is temporary, is neither counted nor logged."""
    if refusal.status != HTTPStatus.SERVICE_UNAVAILABLE:
        METRICS.refused.labels(refusal.reason).inc()
        logger.warning("task API call refused", extra={"reason": refusal.reason, "user": username, "pod": pod})
    return refusal
