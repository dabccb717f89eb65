"""What the reconciler reads live before a task ends for good: a watch may be late."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from longtask_api.longtask import LongTask, LongTaskStatus, Phase
from longtask_operator.cache import Cache
from longtask_operator.planning.actions import Change
from longtask_operator.planning.policy import Policy
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot
from longtask_operator.reconciler import Reconciler
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime.validation import Validator
from tests.unit.given import JOB_REF, job, pod, running_pod, status, task


class LateCluster:
    """A cluster that knows more than the watches have told."""

    def __init__(self, job: JobSnapshot | None, pods: tuple[PodSnapshot, ...]) -> None:
        self.task: LongTask | None = None
        self.job = job
        self.pods = pods
        self.written: list[LongTaskStatus] = []
        self.acted: list[Change] = []

    async def get_job(self, name: str, uid: str | None = None) -> JobSnapshot | None:
        assert name == JOB_REF.name
        return self.job

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        return self.task

    async def list_pods(self, task_uid: str) -> list[PodSnapshot]:
        return list(self.pods)

    async def refusals(self, job_uid: str) -> tuple[Any, ...]:
        return ()

    async def pod_events(self, pod: PodSnapshot) -> tuple[Any, ...]:
        return ()

    async def act(self, task: LongTask, change: Change) -> bool:
        self.acted.append(change)
        return True

    async def write_task_status(self, task: LongTask, status: LongTaskStatus) -> LongTask:
        self.written.append(status)
        return task.model_copy(update={"status": status})

    async def post_event(self, task: LongTask, kind: str, reason: str, message: str) -> None:
        pass


def _reconciled(known: LongTask, seen: Mapping[str, Any], cluster: LateCluster) -> LongTaskStatus:
    cache = Cache()
    cache.put_task(known)
    cluster.task = known
    if "job" in seen:
        cache.put_job(seen["job"])
    for each in seen.get("pods", ()):
        cache.put_pod(each)
    policy = Policy(job_retention=timedelta(hours=1))
    reconciler = Reconciler(
        cast(TaskNamespace, cluster),
        cache,
        cast(Validator, None),
        cast(Any, None),
        policy,
        lambda: datetime.now(UTC),
        lambda: datetime.now(UTC),
    )
    asyncio.run(reconciler.reconcile(known.metadata.uid))
    return cluster.written[-1]


WORKS = replace(running_pod(), resource_version=7)


@pytest.mark.parametrize(
    ("known", "seen"),
    [
        pytest.param(task(cancel_requested=True), {}, id="cancelled-before-its-job-was-seen"),
        pytest.param(
            task(status(Phase.PENDING)), {"job": job(), "pods": (pod(),)}, id="its-pod-has-not-been-seen-to-start"
        ),
        pytest.param(task(status(Phase.PENDING)), {"job": job()}, id="its-pod-has-not-been-seen"),
    ],
)
def test_work_that_runs_is_not_told_to_have_ended_because_a_watch_is_late(
    known: LongTask, seen: Mapping[str, Any]
) -> None:
    after = _reconciled(known, seen, LateCluster(job(), (WORKS,)))
    assert after.phase is Phase.RUNNING
    assert after.completion_time is None


def test_a_task_that_is_cancelled_before_it_has_a_job_ends_once_a_live_read_has_found_none() -> None:
    after = _reconciled(task(cancel_requested=True), {}, LateCluster(None, ()))
    assert (after.phase, after.message) == (Phase.CANCELLED, "Cancelled: cancelled on request before it started")
