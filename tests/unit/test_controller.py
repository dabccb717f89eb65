"""How the leader's queue takes the steps of tasks."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from longtask_api.longtask import LongTask, LongTaskStatus, Phase
from longtask_operator.cache import Cache
from longtask_operator.controller import Controller
from longtask_operator.watches import Key
from tests.unit import given
from tests.unit.virtual_time import until_idle


def test_what_a_task_that_is_gone_has_left_behind_is_looked_at_again() -> None:
    """And that no task is known yet for pods that are left behind need not mean that it is gone."""
    looked: list[float] = []

    class Reconciler:
        is_busy = False

        async def reconcile(self, uid: str) -> float | None:
            looked.append(asyncio.get_running_loop().time())
            return 10.0 if len(looked) == 1 else None

        def term_is_over(self) -> None:
            pass

    async def main() -> None:
        others = cast(Any, SimpleNamespace(consider=lambda name: None))
        controller = Controller(Cache(), cast(Any, Reconciler()), others, others, others, others, 1)
        await controller.run([("task", given.TASK_UID)])

    until_idle(main)
    assert looked == [0, 10]


class Steps:
    """Keeps which task was looked at and when."""

    def __init__(self, *, is_busy: bool = False) -> None:
        self.looked: list[tuple[str, float]] = []
        self.is_busy = is_busy
        self.during: Callable[[str], object] = lambda uid: None

    async def reconcile(self, uid: str) -> float | None:
        self.looked.append((uid, asyncio.get_running_loop().time()))
        during, self.during = self.during, lambda uid: None
        during(uid)
        return None

    def term_is_over(self) -> None:
        pass


def _task(uid: str, status: LongTaskStatus | None = None) -> LongTask:
    task = given.task(status)
    return task.model_copy(update={"metadata": task.metadata.model_copy(update={"uid": uid})})


def _run(steps: Steps, cache: Cache, first: list[Key], then: Callable[[Controller], object] = lambda _: None) -> None:
    async def main() -> None:
        others = cast(Any, SimpleNamespace(consider=lambda name: None))
        controller = Controller(cache, cast(Any, steps), cast(Any, steps), others, others, others, 1)
        asyncio.get_running_loop().call_later(1, then, controller)
        await controller.run(first)

    until_idle(main)


def test_what_somebody_waits_for_comes_first() -> None:
    cache, steps = Cache(), Steps()
    queued, ended = given.status(Phase.QUEUED), given.status(Phase.FAILED)
    tasks = {"new": None, "queued": queued, "ended": ended, "bound": given.at_work(), "created": None, "starts": None}
    for uid, status in tasks.items():
        cache.put_task(_task(uid, status))
    for uid in ("bound", "created", "starts"):
        cache.put_job(given.job(owner_uid=uid, uid=f"job-of-{uid}"))
    cache.put_pod(given.running_pod("a", task_uid="bound", job_uid="job-of-bound"))
    cache.put_pod(given.pod("b", task_uid="created", job_uid="job-of-created"))
    cache.put_pod(given.running_pod("c", task_uid="starts", job_uid="job-of-starts"))
    ordinary, urgent = ["gone", "queued", "ended", "bound", "created"], ["starts", "new"]
    _run(steps, cache, [("task", uid) for uid in (*ordinary, *urgent)])
    assert [uid for uid, _ in steps.looked] == [*urgent, *ordinary]


def test_a_template_comes_before_tasks() -> None:
    cache, steps = Cache(), Steps()
    cache.put_task(_task("bound", given.at_work()))
    _run(steps, cache, [("task", "bound"), ("template", "training")])
    assert [uid for uid, _ in steps.looked] == ["training", "bound"]


def test_while_many_tasks_start_the_changes_of_one_are_looked_at_together() -> None:
    cache, steps = Cache(), Steps(is_busy=True)
    cache.put_task(_task("new"))
    cache.put_task(_task("bound", given.at_work()))

    def change(controller: Controller) -> None:
        for name in ("bound", "new", "bound"):
            controller.enqueue(("task", name))
        asyncio.get_running_loop().call_later(0.4, controller.enqueue, ("task", "bound"))

    _run(steps, cache, [], change)
    assert steps.looked == [("new", 1), ("bound", 1.5)]


def test_a_task_that_goes_during_its_step_is_looked_at_again_however_many_start() -> None:
    cache, steps = Cache(), Steps(is_busy=True)
    cache.put_task(_task("bound", given.at_work()))
    steps.during = cache.drop_task

    def follow(controller: Controller) -> None:
        cache.on_change = lambda uid: controller.enqueue(("task", uid))
        controller.enqueue(("task", "bound"))

    _run(steps, cache, [], follow)
    assert [uid for uid, _ in steps.looked] == ["bound", "bound"]
