"""What the leader writes is held up on its way, past its term, and arrives when the world is another.

The requests are the operator's own, held back at a door before a real API server that has the chart's policy.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from kubernetes.aio.client import ApiClient, Configuration

from longtask_api import constants
from longtask_api.conditions import Condition
from longtask_api.longtask import Archive, Delivery, LongTask, LongTaskStatus, Phase
from longtask_operator.leader_election import NotLeading, Term
from longtask_operator.planning.actions import (
    CreateJob,
    DeleteJob,
    DeletePod,
    DeleteTask,
    SetSuspend,
    StopPod,
    StopRetries,
)
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime.kube import KubeError
from tests.api.objects import task
from tests.faults.proxy import Door, open_door
from tests.kube import Kube, eventually
from tests.policies import leader_policy

pytestmark = pytest.mark.cluster

MERGE: Final = "application/merge-patch+json"
NOW: Final = "2026-03-01T10:00:00Z"
TOLD: Final = Condition(
    type="Delivered", status="True", reason="Delivered", message="", last_transition_time=datetime.now(UTC)
)


@dataclass(frozen=True)
class World:
    """A task as the leader saw it when it planned: with or without a Job, whose pod no node takes."""

    kube: Kube
    task: LongTask
    manifest: dict[str, Any]
    job: JobSnapshot | None = None
    pod: PodSnapshot | None = None

    @property
    def path(self) -> str:
        return self.kube.path(constants.TASK_PLURAL, self.task.metadata.name)

    @property
    def jobs(self) -> str:
        return f"/apis/batch/v1/namespaces/{self.kube.namespace}/jobs"

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.kube.namespace}/pods"

    @property
    def targets(self) -> list[str]:
        """The paths of the Job and its pod."""
        jobs = [f"{self.jobs}/{self.job.name}"] if self.job is not None else []
        pods = [f"{self.pods}/{self.pod.name}"] if self.pod is not None else []
        return [*jobs, *pods]

    def seen(self) -> dict[str, Any]:
        """What the leader's writes could have changed, by what it is."""
        selector = f"{constants.LABEL_TASK_UID}={self.task.metadata.uid}"
        found: dict[str, Any] = {}
        for job in self.kube.get(self.jobs, labelSelector=selector).done()["items"]:
            if "deletionTimestamp" not in job["metadata"]:
                found[f"Job {job['metadata']['uid']}"] = [job["spec"]["suspend"], job["spec"]["backoffLimit"]]
        for pod in self.kube.get(self.pods, labelSelector=selector).done()["items"]:
            if "deletionTimestamp" not in pod["metadata"]:
                found[f"pod {pod['metadata']['uid']}"] = pod["spec"].get("activeDeadlineSeconds")
        answer = self.kube.get(self.path)
        if answer.code == 200:
            found[f"task {answer.body['metadata']['uid']}"] = answer.body.get("status")
        return found


Write = Callable[[TaskNamespace, World], Awaitable[object]]


async def create(cluster: TaskNamespace, world: World) -> None:
    await cluster.create_job(CreateJob(world.manifest))


async def hold(cluster: TaskNamespace, world: World) -> bool:
    return await cluster.act(world.task, SetSuspend(job_of(world), suspend=True))


async def resume(cluster: TaskNamespace, world: World) -> bool:
    return await cluster.act(world.task, SetSuspend(job_of(world), suspend=False))


async def stop_retries(cluster: TaskNamespace, world: World) -> bool:
    return await cluster.act(world.task, StopRetries(job_of(world), 0))


async def stop_pod(cluster: TaskNamespace, world: World) -> bool:
    assert world.pod is not None
    return await cluster.act(world.task, StopPod(world.pod))


async def delete_job(cluster: TaskNamespace, world: World) -> bool:
    return await cluster.act(world.task, DeleteJob(job_of(world)))


async def delete_pod(cluster: TaskNamespace, world: World) -> bool:
    assert world.pod is not None
    return await cluster.act(world.task, DeletePod(world.pod))


async def delete_task(cluster: TaskNamespace, world: World) -> bool:
    return await cluster.act(world.task, DeleteTask())


async def write_status(cluster: TaskNamespace, world: World) -> None:
    await cluster.write_task_status(world.task, LongTaskStatus(phase=Phase.RUNNING, message="by the one before"))


async def write_delivery(cluster: TaskNamespace, world: World) -> None:
    await cluster.write_delivery(world.task, Delivery(failures=3), TOLD)


async def write_archive(cluster: TaskNamespace, world: World) -> None:
    await cluster.write_archive(world.task, Archive(uri="s3://a/b", archived_time=datetime.now(UTC)), TOLD)


JOB, JOBS, POD, TASK, STATUS = r"/jobs/", r"/jobs(\?|$)", r"/pods/", r"/longtasks/[^/]+$", r"/longtasks/[^/]+/status"
WRITES: Final[dict[str, tuple[str, str, Write]]] = {
    "create the Job": ("POST", JOBS, create),
    "hold the Job": ("PATCH", JOB, hold),
    "resume the Job": ("PATCH", JOB, resume),
    "stop the Job's retries": ("PATCH", JOB, stop_retries),
    "stop the pod": ("PATCH", POD, stop_pod),
    "delete the Job": ("DELETE", JOB, delete_job),
    "delete the pod": ("DELETE", POD, delete_pod),
    "delete the task": ("DELETE", TASK, delete_task),
    "write the status": ("PATCH", STATUS, write_status),
    "write what the session knows": ("PATCH", STATUS, write_delivery),
    "write where the record is": ("PATCH", STATUS, write_archive),
}


def cancelled(world: World) -> None:
    changed(world, cancelRequested=True)


def ended(world: World) -> None:
    done = {"type": "Succeeded", "status": "False", "reason": "Cancelled", "message": "", "lastTransitionTime": NOW}
    status = {"phase": "Cancelled", "completionTime": NOW, "conditions": [done]}
    world.kube.request("PATCH", f"{world.path}/status", {"status": status}, MERGE).done()


def held_and_resumed(world: World) -> None:
    changed(world, suspend=True)
    changed(world, suspend=False)


def lives_longer(world: World) -> None:
    changed(world, ttlSecondsAfterFinished=5_000_000)


def may_run_longer(world: World) -> None:
    changed(world, activeDeadlineSeconds=500_000)


def deleted(world: World) -> None:
    world.kube.request("DELETE", world.path).done()
    eventually(lambda: world.kube.get(world.path).code, lambda code: code == 404)


def made_again(world: World) -> None:
    deleted(world)
    world.kube.create(world.kube.path(constants.TASK_PLURAL), task(world.task.metadata.name)).done()


CHANGES: Final = {
    each.__name__: each
    for each in (cancelled, ended, held_and_resumed, lives_longer, may_run_longer, deleted, made_again)
}
NOT_FENCED: Final = {
    (f"delete the {kind}", change)
    for kind in ("Job", "pod")
    for change in CHANGES
    if change not in (deleted.__name__, made_again.__name__)
}
"""A deletion carries no time. Where nothing has happened to its object since, it is deleted: docs/design.md says when.
"""


@pytest.fixture(scope="module")
def fenced(new_namespace: Callable[[], Kube]) -> Iterator[Kube]:
    """A namespace in which the chart's policy is in force."""
    kube = new_namespace()
    with leader_policy(kube):
        yield kube


@pytest.fixture(scope="module")
async def door() -> AsyncIterator[Door]:
    async with open_door() as door:
        yield door


@pytest.fixture
async def operator(door: Door, fenced: Kube) -> AsyncIterator[Callable[[Term], TaskNamespace]]:
    """Makes what writes as the operator does, with that much of a term, through the door."""
    client = ApiClient(Configuration(host=f"http://127.0.0.1:{door.port}"))
    yield lambda term: TaskNamespace(client, fenced.namespace, lambda: term)
    await client.close()


@pytest.fixture
async def given(
    fenced: Kube, operator: Callable[[Term], TaskNamespace], new_name: Callable[[], str]
) -> Callable[..., Any]:
    """Makes a task, for all writes but the first with a Job at work, or held where it is to be resumed. A pod that is
    to be deleted was left behind by its Job."""

    async def make(write: str) -> World:
        cluster = operator(long_term())
        made = fenced.create(fenced.path(constants.TASK_PLURAL), task(f"fenced-{new_name()}")).done()
        manifest = job_manifest(made, suspend=write == "resume the Job")
        world = World(fenced, LongTask.from_api(made), manifest)
        if write == "create the Job":
            return world
        job = await cluster.create_job(CreateJob(manifest))
        while True:  # what the Job controller does of it is no change of the world
            pods = await cluster.list_pods(world.task.metadata.uid)
            settled = fenced.get(f"{world.jobs}/{job.name}").done()
            conditions = {each["type"] for each in settled["status"].get("conditions", [])}
            if "Suspended" in conditions or (settled["status"].get("active") == 1 and pods and pods[0].unschedulable):
                break
            await asyncio.sleep(0.05)
        if write == "delete the pod":
            fenced.request("DELETE", f"{world.jobs}/{job.name}", {"propagationPolicy": "Orphan"}).done()
            eventually(lambda: fenced.get(f"{world.jobs}/{job.name}").code, lambda code: code == 404)
            while pods := await cluster.list_pods(world.task.metadata.uid):
                held = fenced.get(f"{world.pods}/{pods[0].name}").done()["metadata"].get("finalizers")
                if pods[0].orphaned and not held:
                    return World(fenced, world.task, manifest, None, pods[0])
                await asyncio.sleep(0.05)
            return await make(write)  # the garbage collector had not seen that the pod was the Job's, and deleted it
        found = await cluster.get_job(job.name)
        return World(fenced, world.task, manifest, found, pods[0] if pods else None)

    return make


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("write", WRITES)
async def test_a_write_that_arrives_after_its_term_has_no_effect(
    given: Callable[..., Any], operator: Callable[[Term], TaskNamespace], door: Door, write: str, change: str
) -> None:
    method, path, send = WRITES[write]
    world = await given(write)
    over = datetime.now(UTC) + timedelta(seconds=1)
    after: dict[str, Any] = {}

    async def hold_back() -> None:
        CHANGES[change](world)
        await asyncio.sleep((over - datetime.now(UTC)).total_seconds())
        after.update(world.seen())

    trap = door.trap(method, path, "before", hold_back)
    with contextlib.suppress(KubeError, NotLeading):
        await send(operator(Term(60, over)), world)
    assert trap.sprung.is_set()
    now = world.seen()
    assert {key: value for key, value in now.items() if after.get(key, "nothing") != value} == {}
    lost = {key.split()[0] for key in after if key not in now}
    if (write, change) in NOT_FENCED:
        kind = write.rsplit(maxsplit=1)[-1]
        assert kind in lost
        assert lost <= {kind, "pod"}
    elif change in (deleted.__name__, made_again.__name__):
        assert "task" not in lost  # the garbage collector takes the others
    else:
        assert lost == set()


async def test_a_write_that_arrives_after_its_term_has_no_effect_where_that_term_had_written_before(
    given: Callable[..., Any], operator: Callable[[Term], TaskNamespace], door: Door
) -> None:
    world = await given("hold the Job")
    over = datetime.now(UTC) + timedelta(seconds=10)
    cluster = operator(Term(60, over))
    assert await stop_retries(cluster, world) is True
    world = replace(world, job=await cluster.get_job(job_of(world).name))
    before = world.seen()

    async def hold_back() -> None:
        await asyncio.sleep((over - datetime.now(UTC)).total_seconds())

    door.trap("PATCH", JOB, "before", hold_back)
    with pytest.raises(NotLeading, match="too late"):
        await hold(cluster, world)
    assert world.seen() == before


@pytest.mark.parametrize("write", [write for write in WRITES if write != "create the Job"])
async def test_a_write_has_no_effect_on_what_has_changed_since_it_was_planned(
    given: Callable[..., Any], operator: Callable[[Term], TaskNamespace], write: str
) -> None:
    _, path, send = WRITES[write]
    world = await given(write)
    for target in world.targets if path in (JOB, POD) else [world.path]:
        world.kube.request("PATCH", target, {"metadata": {"annotations": {"note": "another"}}}, MERGE).done()
    before = world.seen()
    if path == STATUS:
        with pytest.raises(KubeError, match="409 Conflict"):
            await send(operator(long_term()), world)
    else:
        assert await send(operator(long_term()), world) is False
    assert world.seen() == before


@pytest.mark.parametrize("write", WRITES)
async def test_a_write_within_its_term_has_its_effect(
    given: Callable[..., Any], operator: Callable[[Term], TaskNamespace], write: str
) -> None:
    world = await given(write)
    before = world.seen()
    await WRITES[write][2](operator(long_term()), world)
    assert world.seen() != before


@pytest.mark.parametrize("write", WRITES)
async def test_nothing_is_sent_without_a_term(given: Callable[..., Any], door: Door, fenced: Kube, write: str) -> None:
    def over() -> Term:
        raise NotLeading("another one leads")

    async def never() -> None:
        raise AssertionError("it was sent")

    world = await given(write)
    method, path, send = WRITES[write]
    client = ApiClient(Configuration(host=f"http://127.0.0.1:{door.port}"))
    trap = door.trap(method, path, "before", never)
    with pytest.raises(NotLeading, match="another one leads"):
        await send(TaskNamespace(client, fenced.namespace, over), world)
    door.forget(trap)
    await client.close()


@pytest.mark.parametrize("write", ["hold the Job", "stop the pod"])
async def test_the_times_of_others_say_nothing_of_a_write_of_the_leader(
    given: Callable[..., Any], operator: Callable[[Term], TaskNamespace], write: str
) -> None:
    """Anybody who may change an object may give its field managers any time."""
    world = await given(write)
    [path] = [each for each in world.targets if re.search(WRITES[write][1], each)]
    first, *others = world.kube.get(path).done()["metadata"]["managedFields"]
    entry = first | {"manager": "somebody", "operation": "Update", "time": "2100-01-01T00:00:00Z"}
    change = {"metadata": {"managedFields": [entry, *others]}}
    changed = world.kube.request("PATCH", path, change, MERGE).done()
    assert "2100-01-01T00:00:00Z" in [each.get("time") for each in changed["metadata"]["managedFields"]]
    version = int(changed["metadata"]["resourceVersion"])
    if write == "hold the Job":
        world = replace(world, job=replace(job_of(world), resource_version=version))
    else:
        assert world.pod is not None
        world = replace(world, pod=replace(world.pod, resource_version=version))
    assert await WRITES[write][2](operator(long_term()), world) is True


async def test_what_others_change_later_is_not_refused(given: Callable[..., Any]) -> None:
    world = await given("hold the Job")
    change = {"metadata": {"labels": {"team": "research"}}}
    for path in world.targets:
        world.kube.request("PATCH", path, change, MERGE).done()


def changed(world: World, **spec: Any) -> None:
    world.kube.request("PATCH", world.path, {"spec": spec}, MERGE).done()


def job_of(world: World) -> JobSnapshot:
    assert world.job is not None
    return world.job


def long_term() -> Term:
    return Term(60, datetime.now(UTC) + timedelta(seconds=60))


def job_manifest(owner: dict[str, Any], *, suspend: bool) -> dict[str, Any]:
    name, uid = owner["metadata"]["name"], owner["metadata"]["uid"]
    labels = {constants.LABEL_TASK: name, constants.LABEL_TASK_UID: uid}
    reference = {"apiVersion": constants.API_VERSION, "kind": constants.TASK_KIND, "name": name, "uid": uid}
    pod = {
        "restartPolicy": "Never",
        "nodeSelector": {"api-test": "nowhere"},
        "containers": [{"name": "main", "image": "training:1"}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": constants.job_name(name, uid),
            "labels": labels,
            "ownerReferences": [{**reference, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"suspend": suspend, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
