"""Before anything is done about work its task is read live, and what has changed since is planned anew."""

from datetime import timedelta
from typing import Any, cast

import pytest

from longtask_api.longtask import LongTask, LongTaskStatus, Phase
from longtask_operator.cache import Cache
from longtask_operator.cluster import Cluster
from longtask_operator.planning.observed import JobView, PodView
from longtask_operator.planning.world import Change, Policy, SetSuspend
from longtask_operator.reconciler import Reconciler
from longtask_runtime.validation import Validator
from tests.unit import given


class ApiServer:
    """Has one task, its Job and its pod, perhaps newer than a cache; `done` is what was done, as long as it can be."""

    def __init__(self, task: LongTask | None, job: JobView, *, changed: bool = False) -> None:
        self.task = task
        self.job = job
        self.changed = changed
        self.done: list[Change] = []
        self.statuses: list[LongTaskStatus] = []

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        return self.task

    async def get_job(self, name: str, uid: str | None = None) -> JobView | None:
        return self.job

    async def list_pods(self, task_uid: str | None = None) -> list[PodView]:
        return [given.running_pod()]

    async def act(self, task: LongTask, change: Change) -> bool:
        if not self.changed:
            self.done.append(change)
        return not self.changed

    async def write_task_status(self, task: LongTask, status: LongTaskStatus) -> LongTask:
        self.statuses.append(status)
        return newer(task.model_copy(update={"status": status}))

    async def post_event(self, *_: object) -> None:
        return None


def newer(task: LongTask, **spec: Any) -> LongTask:
    version = str(int(task.metadata.resource_version) + 1)
    metadata = task.metadata.model_copy(update={"resource_version": version})
    return task.model_copy(update={"metadata": metadata, "spec": task.spec.model_copy(update=spec)})


def reconciler(server: ApiServer, known: LongTask) -> tuple[Reconciler, Cache]:
    cache = Cache()
    cache.put_task(known)
    cache.put_job(given.job())
    cache.put_pod(given.running_pod())
    policy = Policy(job_retention=timedelta(hours=1))
    return Reconciler(cast(Cluster, server), cache, cast(Validator, None), policy, lambda: given.at(0)), cache


HELD = given.task(given.status(Phase.RUNNING), suspend=True)


async def test_what_is_planned_from_the_newest_task_is_done() -> None:
    server = ApiServer(HELD, given.job())
    await reconciler(server, HELD)[0].reconcile(given.TASK_UID)
    assert server.done == [SetSuspend(given.job(), suspend=True)]


async def test_nothing_is_done_for_a_task_that_says_something_else_by_now() -> None:
    server = ApiServer(newer(HELD, suspend=False), given.job())
    steps, cache = reconciler(server, HELD)
    assert await steps.reconcile(given.TASK_UID) == 0.0
    assert cache.tasks[given.TASK_UID].spec.suspend is False
    await steps.reconcile(given.TASK_UID)
    assert not any(isinstance(change, SetSuspend) for change in server.done)


async def test_nothing_is_done_for_a_task_that_is_gone() -> None:
    server = ApiServer(None, given.job())
    steps, cache = reconciler(server, HELD)
    assert await steps.reconcile(given.TASK_UID) is None
    assert (server.done, len(cache.tasks)) == ([], 0)


@pytest.mark.parametrize("suspend", [True, False])
async def test_what_has_changed_since_it_was_planned_is_looked_at_anew(*, suspend: bool) -> None:
    found = given.job(suspend=suspend, resource_version=given.job().resource_version + 1)
    server = ApiServer(HELD, found, changed=True)
    steps, cache = reconciler(server, HELD)
    assert await steps.reconcile(given.TASK_UID) == 0.0
    assert cache.jobs[given.TASK_UID] == found
    assert server.statuses == []
