"""Before anything is done about work its task is read live, and what has changed since is planned anew."""

import asyncio
import contextlib
import json
import time
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import ServerDisconnectedError

from longtask_api.longtask import LongTask, LongTaskStatus, Phase
from longtask_operator.cache import Cache
from longtask_operator.controller import Controller
from longtask_operator.metrics import METRICS
from longtask_operator.planning.actions import Change, CreateJob, DeletePod, Plan, SetSuspend
from longtask_operator.planning.build_job import take_snapshot
from longtask_operator.planning.logs import LogTail
from longtask_operator.planning.policy import BUSY_QUIET, Policy
from longtask_operator.planning.snapshots import JobSnapshot, PodEvent, PodSnapshot
from longtask_operator.reconciler import MANY_STARTS, Reconciler
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime.kube import KubeError
from longtask_runtime.validation import Validator
from tests.unit import given

LATER = given.at(3600)
"""A term that began after the task was created."""


class ApiServer:
    """Has one task, its Job and its pod, perhaps newer than a cache; `done` is what was done, as long as it can be."""

    def __init__(self, task: LongTask | None, job: JobSnapshot, *, changed: bool = False) -> None:
        self.task = task
        self.job = job
        self.changed = changed
        self.lost: Exception | None = None
        """How a write of the status ends; nobody knows whether it was stored."""
        self.done: list[Change] = []
        self.statuses: list[LongTaskStatus] = []
        self.events: list[str] = []

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        return self.task

    async def get_job(self, name: str, uid: str | None = None) -> JobSnapshot | None:
        return self.job

    async def list_pods(self, task_uid: str | None = None) -> list[PodSnapshot]:
        return [given.running_pod()]

    async def act(self, task: LongTask, change: Change) -> bool:
        if not self.changed:
            self.done.append(change)
        return not self.changed

    async def delete_pod(self, pod: PodSnapshot) -> bool:
        return await self.act(given.task(), DeletePod(pod))

    async def write_task_status(self, task: LongTask, status: LongTaskStatus) -> LongTask:
        if self.lost is not None:
            raise self.lost
        self.statuses.append(status)
        return newer(task.model_copy(update={"status": status}))

    async def post_event(self, task: LongTask, kind: str, reason: str, message: str) -> None:
        self.events.append(reason)


def newer(task: LongTask, **spec: Any) -> LongTask:
    version = str(int(task.metadata.resource_version) + 1)
    metadata = task.metadata.model_copy(update={"resource_version": version})
    return task.model_copy(update={"metadata": metadata, "spec": task.spec.model_copy(update=spec)})


def reconciler(server: ApiServer, known: LongTask, leads_since: datetime = LATER) -> tuple[Reconciler, Cache]:
    cache = Cache()
    cache.put_task(known)
    cache.put_job(given.job())
    cache.put_pod(given.running_pod())
    policy = Policy(job_retention=timedelta(hours=1))
    steps = Reconciler(
        cast(TaskNamespace, server),
        cache,
        cast(Validator, None),
        cast(Any, None),
        policy,
        lambda: given.at(0),
        lambda: leads_since,
    )
    return steps, cache


async def test_no_log_is_read_again_of_attempts_that_are_no_longer_kept() -> None:
    asked: list[str] = []

    async def read_log(pod: PodSnapshot, lines: int, limit: int) -> LogTail | None:
        asked.append(pod.name)
        return None

    kept = [
        given.attempt(number, f"{number}", 2 * number, end_time=given.at(2 * number + 1)) for number in range(3, 23)
    ]
    kept[0] = kept[0].model_copy(update={"end_time": None})
    task = given.task(given.at_work(attempt_count=22, attempts=kept))
    pods = tuple(given.ended_pod(f"{n}", 2 * n - 1, ended=2 * n + 1, exit_code=1) for n in range(1, 24))
    server = ApiServer(task, given.job())
    server.read_log = read_log  # type: ignore[attr-defined]
    await reconciler(server, task)[0]._logs_of_attempts(given.state(task, 100), pods, None, None)
    assert asked == ["pod-3", "pod-23"]


@pytest.mark.parametrize(
    ("schema", "mismatch"),
    [
        ({"type": "string", "pattern": "(a"}, None),
        ({"$ref": "https://example.com/result"}, None),
        ({"type": "string"}, '7 is not of type "string"'),
    ],
    ids=["pattern", "reference", "usable"],
)
async def test_work_is_not_failed_for_a_result_schema_that_cannot_be_used(
    schema: dict[str, Any], mismatch: str | None
) -> None:
    job, task = given.job(complete=True, result_schema=json.dumps(schema)), given.task(given.at_work())
    steps, _ = reconciler(ApiServer(task, job), task)
    with Validator() as steps._validator:
        assert await steps._mismatch(task, job, given.ended_pod(told="7")) == mismatch


@pytest.mark.parametrize(("edited", "fits"), [(False, False), (True, True)], ids=["same template", "edited since"])
async def test_the_result_of_work_without_its_job_is_held_against_the_template_it_was_started_from(
    *, edited: bool, fits: bool
) -> None:
    template = given.template({"resultSchema": {"type": "object", "required": ["rows"]}})
    status = given.at_work(template_snapshot=take_snapshot(template))
    server = ApiServer(given.task(status), cast(Any, None))
    pod = given.ended_pod(told='{"oops": 1}', orphaned=True, resource_version=2)

    async def list_pods(task_uid: str | None = None) -> list[PodSnapshot]:
        return [pod]

    async def read_log(pod: PodSnapshot, lines: int, limit: int) -> LogTail | None:
        return None

    server.list_pods, server.read_log = list_pods, read_log  # type: ignore[method-assign, attr-defined]
    steps, cache = reconciler(server, given.task(status))
    cache.put_pod(pod)
    cache.drop_job(given.job())
    cache.templates["training"] = given.template({"retry": {"limit": 2}}) if edited else template
    with Validator() as steps._validator:
        await steps.reconcile(given.TASK_UID)
    assert server.statuses[-1].phase == (Phase.SUCCEEDED if fits else Phase.FAILED)


async def test_work_that_ended_without_a_job_that_was_recorded_is_not_done_twice() -> None:
    template = given.template({"resultSchema": {"type": "object", "required": ["rows"]}})
    pod = given.ended_pod(told='{"oops": 1}', orphaned=True, resource_version=2)
    server = ApiServer(given.task(), cast(Any, None))

    async def list_pods(task_uid: str | None = None) -> list[PodSnapshot]:
        return [pod]

    async def read_log(pod: PodSnapshot, lines: int, limit: int) -> LogTail | None:
        return LogTail("step 7", truncated=False)

    server.list_pods, server.read_log = list_pods, read_log  # type: ignore[method-assign, attr-defined]
    steps, cache = reconciler(server, given.task())
    cache.put_pod(pod)
    cache.drop_job(given.job())
    cache.templates["training"] = template
    with Validator() as steps._validator:
        await steps.reconcile(given.TASK_UID)
    after = server.statuses[-1]
    assert (after.job_ref, after.failure and after.failure.reason, after.failure and after.failure.log_tail) == (
        given.JOB_REF,
        "InvalidResult",
        "step 7",
    )


async def test_probes_of_work_without_its_job_are_asked_for_too() -> None:
    async def pod_events(pod: PodSnapshot) -> tuple[PodEvent, ...]:
        said = "Stopping container main"
        return (
            PodEvent(given.at(48), "Unhealthy", "Liveness probe failed: no heartbeat", True, "main"),
            PodEvent(given.at(48), "Killing", said, False, "main"),
        )

    async def read_log(pod: PodSnapshot, lines: int, limit: int) -> LogTail | None:
        return None

    task = given.task(given.at_work())
    server = ApiServer(task, cast(Any, None))
    server.pod_events, server.read_log = pod_events, read_log  # type: ignore[attr-defined]
    steps, cache = reconciler(server, task)
    cache.put_pod(given.ended_pod(probed=True, orphaned=True, resource_version=2))
    cache.drop_job(given.job())
    state = await steps._gather(task)
    assert [pod.ended_by_kubelet for pod in state.pods] == ["LivenessProbeFailed"]


@pytest.mark.parametrize(("finished", "waited"), [(50, True), (700, False)], ids=["lately", "by a clock that is ahead"])
async def test_a_log_that_cannot_be_read_is_waited_for_a_minute_at_most(finished: float, *, waited: bool) -> None:
    async def read_log(pod: PodSnapshot, lines: int, limit: int) -> LogTail | None:
        raise TimeoutError

    task, job = given.task(given.at_work()), given.job(failed_reason="Failed", finished_at=given.at(finished))
    server = ApiServer(task, job)
    server.read_log = read_log  # type: ignore[attr-defined]
    reading = reconciler(server, task)[0]._log(given.state(task, 60), job, given.ended_pod(exit_code=1))
    with pytest.raises(TimeoutError) if waited else contextlib.nullcontext():
        assert await reading is None


async def test_work_that_left_with_0_is_seen_as_its_events_tell() -> None:
    told = [
        PodEvent(given.at(48), "Unhealthy", "Liveness probe failed: no heartbeat", True, "main"),
        PodEvent(given.at(48), "Killing", "Stopping container main", False, "main"),
    ]

    async def pod_events(pod: PodSnapshot) -> tuple[PodEvent, ...]:
        return tuple(told)

    task = given.task(given.at_work())
    server = ApiServer(task, given.job())
    server.pod_events = pod_events  # type: ignore[attr-defined]
    steps, _ = reconciler(server, task)
    seen = await steps._as_it_ended(task, given.ended_pod(probed=True))
    assert seen.ended_by_kubelet == "LivenessProbeFailed"
    told.clear()
    assert (await steps._as_it_ended(task, given.ended_pod(probed=True))).ended_by_kubelet == ""


def _ended_tasks() -> float:
    return sum(
        sample.value
        for metric in METRICS.tasks_ended.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    )


@pytest.mark.parametrize(
    ("lost", "stored", "told"),
    [
        (TimeoutError(), True, 1),
        (ServerDisconnectedError(), True, 1),
        (KubeError(504, "Timeout", "the server was unable to return a response"), True, 1),
        (TimeoutError(), False, 0),
    ],
    ids=["timeout", "disconnected", "gateway", "not stored"],
)
async def test_an_end_whose_answer_was_lost_is_told_and_counted_once_it_is_seen(
    lost: Exception, *, stored: bool, told: int
) -> None:
    task = given.task(given.at_work())
    server = ApiServer(task, given.job())
    steps, cache = reconciler(server, task)
    after = given.status(Phase.FAILED, start_time=given.at(2))

    server.lost = lost
    state, counted = given.state(task, 100), _ended_tasks()
    with pytest.raises(type(lost)):
        await steps._finish(state, Plan(after))
    await steps._tell_what_was_stored(task)
    assert (server.events, _ended_tasks()) == ([], counted)
    cache.put_task(newer(task.model_copy(update={"status": after if stored else task.status})))
    for _ in range(2):
        await steps._tell_what_was_stored(cache.tasks[given.TASK_UID])
    assert (server.events, _ended_tasks()) == (["Failed"] * told, counted + told)


async def test_of_tries_that_were_not_answered_the_one_that_was_stored_is_told() -> None:
    task = given.task(given.at_work())
    server = ApiServer(task, given.job())
    steps, cache = reconciler(server, task)

    server.lost = ServerDisconnectedError()
    tries = [given.held(since, attempt_count=1, active_seconds=5) for since in (99, 100)]
    for after in tries:
        with pytest.raises(ServerDisconnectedError):
            await steps._finish(given.state(task, 100), Plan(after))
    cache.put_task(newer(task.model_copy(update={"status": tries[0]})))
    await steps._tell_what_was_stored(cache.tasks[given.TASK_UID])
    assert server.events == ["Suspended"]


async def test_an_end_that_another_leader_may_have_written_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    task = given.task(given.at_work())
    server = ApiServer(task, given.job())
    steps, cache = reconciler(server, task)
    after = given.status(Phase.FAILED, start_time=given.at(2))

    async def work(uid: str) -> None:
        with pytest.raises(ServerDisconnectedError):
            await steps._finish(given.state(task, 100), Plan(after))
        lost.set()

    lost = asyncio.Event()
    server.lost = ServerDisconnectedError()
    monkeypatch.setattr(steps, "reconcile", work)
    others = cast(Any, SimpleNamespace(consider=lambda uid: None))
    term = asyncio.create_task(
        Controller(cache, steps, others, others, others, others, 1).run([("task", given.TASK_UID)])
    )
    await lost.wait()
    term.cancel()
    await asyncio.wait([term])
    cache.put_task(newer(task.model_copy(update={"status": after})))
    counted = _ended_tasks()
    await steps._tell_what_was_stored(cache.tasks[given.TASK_UID])
    assert (server.events, _ended_tasks(), steps._unanswered) == ([], counted, {})


async def test_many_starts_within_seconds_make_it_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    server = ApiServer(given.task(), given.job())
    server.create_job = _made  # type: ignore[attr-defined]
    steps, _ = reconciler(server, given.task())
    for number in range(MANY_STARTS):
        assert not steps.is_busy, number
        await steps._start(given.state(given.task(), now), CreateJob({}))
        now += 0.05
    assert steps.is_busy
    assert (await steps._gather(given.task(given.at_work()))).busy
    now = BUSY_QUIET.total_seconds()
    assert not steps.is_busy


async def _made(action: CreateJob) -> JobSnapshot:
    return given.job()


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


class Fresh(ApiServer):
    """Of a task without a Job; counts the live reads, and the Jobs that are created."""

    def __init__(self, task: LongTask) -> None:
        super().__init__(task, given.job())
        self.reads = self.created = 0

    async def get_task(self, name: str, uid: str) -> LongTask | None:
        self.reads += 1
        return await super().get_task(name, uid)

    async def create_job(self, action: CreateJob) -> JobSnapshot:
        self.created += 1
        return given.job()


def about_to_start(server: Fresh, leads_since: datetime) -> tuple[Reconciler, Cache]:
    cache = Cache()
    assert server.task is not None
    cache.put_task(server.task)
    cache.put_template(given.template())
    validator = SimpleNamespace(complete=_given_parameters)
    policy = Policy(job_retention=timedelta(hours=1))
    steps = Reconciler(
        cast(TaskNamespace, server),
        cache,
        cast(Validator, validator),
        cast(Any, None),
        policy,
        lambda: given.at(0),
        lambda: leads_since,
    )
    return steps, cache


async def _given_parameters(schema: Any, parameters: Any) -> Any:
    return parameters


@pytest.mark.parametrize(
    ("begun", "reads"),
    [
        pytest.param(-3600, 0, id="long before"),
        pytest.param(-6, 0, id="before, by any clock"),
        pytest.param(-5, 1, id="perhaps after, by another clock"),
        pytest.param(0, 1, id="in the same second"),
        pytest.param(3600, 1, id="after"),
    ],
)
async def test_a_task_is_read_before_its_job_is_made_unless_it_was_created_in_this_term(
    begun: float, reads: int
) -> None:
    server = Fresh(given.task())
    steps, _ = about_to_start(server, given.at(begun))
    await steps.reconcile(given.TASK_UID)
    assert (server.created, server.reads) == (1, reads)


async def test_a_task_that_had_to_wait_is_read_before_its_job_is_made() -> None:
    """It may have been cancelled, or deleted, and the watch may be late."""
    queued = given.task(given.status(Phase.QUEUED, job_ref=None))
    server = Fresh(newer(queued, cancel_requested=True))
    steps, cache = about_to_start(server, given.at(-3600))
    cache.tasks.put(queued)
    assert await steps.reconcile(given.TASK_UID) == 0.0
    assert (server.created, server.reads) == (0, 1)


async def test_a_job_is_not_made_again_by_a_leader_that_has_not_heard_of_it_yet() -> None:
    """The leader before made it, and it is gone by now."""
    server = Fresh(newer(given.task(given.status(Phase.RUNNING))))
    steps, cache = about_to_start(server, given.at(1))
    cache.tasks.put(given.task())
    assert await steps.reconcile(given.TASK_UID) == 0.0
    assert (server.created, server.reads) == (0, 1)


async def test_a_task_is_read_if_a_write_of_its_status_may_have_been_stored() -> None:
    """That write may have recorded a Job which is gone by now."""
    server = Fresh(given.task())
    steps, _ = about_to_start(server, given.at(-3600))
    steps._note_unanswered(given.task(), given.status(Phase.PENDING))
    await steps.reconcile(given.TASK_UID)
    assert (server.created, server.reads) == (1, 1)


LEFT_BEHIND = given.running_pod(orphaned=True)


async def test_pods_left_behind_of_a_task_that_is_gone_are_deleted() -> None:
    server = ApiServer(None, given.job())
    steps, cache = reconciler(server, HELD)
    cache.put_pod(LEFT_BEHIND)
    cache.drop_task(given.TASK_UID)
    assert await steps.reconcile(given.TASK_UID) is None
    assert server.done == [DeletePod(LEFT_BEHIND)]


async def test_pods_whose_job_goes_with_the_task_are_left_to_the_garbage_collector() -> None:
    server = ApiServer(None, given.job())
    steps, cache = reconciler(server, HELD)
    cache.drop_task(given.TASK_UID)
    assert await steps.reconcile(given.TASK_UID) is None
    assert server.done == []


async def test_pods_left_behind_of_a_task_that_is_only_not_seen_yet_are_left_alone() -> None:
    server = ApiServer(HELD, given.job())
    steps, cache = reconciler(server, HELD)
    cache.tasks.drop(given.TASK_UID)
    cache.put_pod(LEFT_BEHIND)
    assert await steps.reconcile(given.TASK_UID) == 10
    assert server.done == []


async def test_pods_left_behind_of_a_task_that_has_ended_are_deleted() -> None:
    ended = given.task(given.status(Phase.FAILED))
    server = ApiServer(ended, given.job())
    steps, cache = reconciler(server, ended)
    cache.put_pod(LEFT_BEHIND)
    cache.drop_job(given.job())
    await steps.reconcile(given.TASK_UID)
    assert DeletePod(LEFT_BEHIND) in server.done


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
