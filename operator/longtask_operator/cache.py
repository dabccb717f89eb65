"""Cache of the watched objects, reduced to what decisions need and indexed by task."""

import asyncio
import contextlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Any

from longtask_api.conditions import find
from longtask_api.longtask import ConditionType, Delivery, LongTask, LongTaskStatus
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.snapshots import JobSnapshot, PodSnapshot, with_earlier_facts

TOMBSTONES = 20_000


Standing = tuple[str, str]
"""The phase of a task, and the reason of its Succeeded condition."""


class Tasks(Mapping[str, LongTask]):
    """LongTasks by uid. Ended tasks, which are nearly all, are kept as JSON, which takes a tenth of the memory, and
    parsed when they are looked up.
    """

    def __init__(self) -> None:
        self._whole: dict[str, LongTask] = {}
        self._ended: dict[str, tuple[int, bytes]] = {}
        """resourceVersion and JSON of the task."""
        self._parsed: tuple[bytes, LongTask | None] = b"", None
        """The last one that was parsed: mostly several look at a task one after the other."""
        self._standing: dict[str, Standing] = {}
        self.count: Counter[Standing] = Counter()
        """Number of tasks by phase and reason."""

    def __getitem__(self, uid: str) -> LongTask:
        if uid not in self._ended:
            return self._whole[uid]
        text = self._ended[uid][1]
        last, task = self._parsed
        if task is None or last is not text:
            task = LongTask.model_validate_json(text)
            self._parsed = text, task
        return task

    def __iter__(self) -> Iterator[str]:
        yield from self._whole
        yield from self._ended

    def __len__(self) -> int:
        return len(self._whole) + len(self._ended)

    def __contains__(self, uid: object) -> bool:
        return uid in self._whole or uid in self._ended

    @property
    def unfinished(self) -> Collection[LongTask]:
        """The tasks that are not terminal."""
        return self._whole.values()

    def awaits(self, uid: str, job_uid: str) -> bool:
        """Whether the task is not terminal and its Job has this uid."""
        known = self.active(uid)
        return known is not None and known.status.job_ref is not None and known.status.job_ref.uid == job_uid

    def active(self, uid: str) -> LongTask | None:
        """The task if it has not ended."""
        return self._whole.get(uid)

    def version(self, uid: str) -> int:
        """The task's metadata.resourceVersion; 0 if it is not cached."""
        if uid in self._ended:
            return self._ended[uid][0]
        known = self._whole.get(uid)
        return int(known.metadata.resource_version) if known is not None else 0

    def put(self, task: LongTask) -> None:
        """Store the task in place of the cached one."""
        uid = task.metadata.uid
        self.drop(uid)
        standing = self._standing[uid] = _standing(task.status)
        self.count[standing] += 1
        if task.is_terminal:
            text = slim(task).model_dump_json(exclude_defaults=True).encode()
            self._ended[uid] = int(task.metadata.resource_version), text
        else:
            self._whole[uid] = task

    def drop(self, uid: str) -> None:
        """Remove the task."""
        self._whole.pop(uid, None)
        self._ended.pop(uid, None)
        if (standing := self._standing.pop(uid, None)) is not None:
            self.count[standing] -= 1
            if not self.count[standing]:
                del self.count[standing]


def _standing(status: LongTaskStatus) -> Standing:
    succeeded = find(status.conditions, ConditionType.SUCCEEDED)
    return str(status.phase or "Pending"), succeeded.reason if succeeded is not None else "New"


@dataclass
class Cache:
    """The objects of the task namespace: tasks by uid, templates by name."""

    tasks: Tasks = field(default_factory=Tasks)
    templates: dict[str, LongTaskTemplate] = field(default_factory=dict)
    jobs: dict[str, JobSnapshot] = field(default_factory=dict)
    """By the uid of the owning task."""
    pods: dict[str, dict[str, PodSnapshot]] = field(default_factory=lambda: defaultdict(dict))
    """By the uid of the owning Job, then by pod uid. Pods that are gone are kept until their Job is gone and their task
    has ended: they show how the attempts ended."""
    on_change: Callable[[str], object] = lambda uid: None
    """Called with the uid of a task whenever it, its Job or one of its pods has changed, whatever the source; of Jobs
    and pods only if something has changed that their snapshots show."""
    _buried: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _job_of_pod: dict[str, str] = field(default_factory=dict)
    _orphans: dict[str, PodSnapshot] = field(default_factory=dict)
    """Orphaned pods, which exist without their Job, by uid."""
    _waiting: dict[str, asyncio.Event] = field(default_factory=dict)

    def put_task(self, task: LongTask) -> bool:
        """Store the task. False if the cached version is newer, or the task was deleted."""
        uid = task.metadata.uid
        if uid in self._buried or self.tasks.version(uid) > int(task.metadata.resource_version):
            return False
        news = self.tasks.version(uid) != int(task.metadata.resource_version)
        self.tasks.put(task)
        if task.is_terminal and task.status.job_ref is not None:
            self.sweep_pods(task.status.job_ref.uid)
        if news:
            self._wake(uid)
        return True

    def put_template(self, template: LongTaskTemplate) -> None:
        """Store the template, unless the cached version is newer."""
        known = self.templates.get(template.metadata.name)
        if known is None or int(known.metadata.resource_version) <= int(template.metadata.resource_version):
            self.templates[template.metadata.name] = template

    def put_job(self, job: JobSnapshot) -> None:
        """Store the Job, unless the cached version is newer or the Job was deleted. Two Jobs of a task would share a
        name.
        """
        known = self.jobs.get(job.owner_uid)
        older = known is not None and known.uid == job.uid and known.resource_version > job.resource_version
        if job.uid not in self._buried and not older:
            self.jobs[job.owner_uid] = job
            if known is None or replace(known, resource_version=job.resource_version) != job:
                self.on_change(job.owner_uid)

    def put_pod(self, pod: PodSnapshot) -> None:
        """Store the pod, unless the cached version is newer or already gone."""
        known = self.pods[pod.job_uid].get(pod.uid)
        if known is None or (known.resource_version <= pod.resource_version and not known.gone):
            pod = self.pods[pod.job_uid][pod.uid] = with_earlier_facts(pod, known)
            self._job_of_pod[pod.uid] = pod.job_uid
            if pod.orphaned and not pod.gone:
                self._orphans[pod.uid] = pod
            else:
                self._orphans.pop(pod.uid, None)
            if known is None or replace(known, resource_version=pod.resource_version) != pod:
                self.on_change(pod.task_uid)

    def pod(self, uid: str) -> PodSnapshot | None:
        """The pod with this uid; for a while also one that is gone."""
        return self.pods.get(self._job_of_pod.get(uid, ""), {}).get(uid)

    def was_deleted(self, uid: str) -> bool:
        """Whether the object with this uid is known to be gone, not just unknown."""
        return uid in self._buried

    async def changed(self, task: LongTask, at_most: float) -> LongTask | None:
        """Return the task as soon as it differs from `task`, or after `at_most` seconds; None when it is gone.

        It returns without waiting only when the cached task differs already, so a loop that continues with the returned
        task cannot spin.
        """
        uid = task.metadata.uid
        if self.tasks.get(uid) is task:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._waiting.setdefault(uid, asyncio.Event()).wait(), at_most)
        return self.tasks.get(uid)

    def about(self, uid: str) -> Mapping[str, str]:
        """Log fields that identify the task."""
        task = self.tasks.get(uid)
        return {"task_uid": uid} if task is None else {"task": task.metadata.name, "task_uid": uid}

    def drop_task(self, uid: str) -> None:
        """Record the task's deletion; a late event must not bring it back."""
        known = self.tasks.get(uid)
        self._bury(uid)
        self.tasks.drop(uid)
        if known is not None and known.status.job_ref is not None:
            self.sweep_pods(known.status.job_ref.uid)
        self._wake(uid)

    def drop_template(self, name: str, uid: str) -> None:
        """Record the template's deletion, unless another template has its name already."""
        known = self.templates.get(name)
        if known is not None and known.metadata.uid == uid:
            del self.templates[name]

    def drop_job(self, job: JobSnapshot) -> None:
        """Record the Job's deletion; its pods are evicted when their own DELETED events arrive."""
        self._bury(job.uid)
        known = self.jobs.get(job.owner_uid)
        if known is not None and known.uid == job.uid:
            del self.jobs[job.owner_uid]
        self.sweep_pods(job.uid)
        self.on_change(job.owner_uid)

    def sweep_pods(self, job_uid: str) -> None:
        """Evict the pods of a deleted Job once all of them are gone and no unfinished task needs their outcome."""
        pods = self.pods.get(job_uid, {}).values()
        if job_uid in self._buried and all(pod.gone and not self.tasks.awaits(pod.task_uid, job_uid) for pod in pods):
            for uid in self.pods.pop(job_uid, {}):
                self._job_of_pod.pop(uid, None)

    def pods_of(self, job_uid: str) -> tuple[PodSnapshot, ...]:
        """The pods of a Job, oldest first, including those that are gone."""
        pods: Iterable[PodSnapshot] = self.pods.get(job_uid, {}).values()
        return tuple(sorted(pods, key=lambda pod: (pod.created, pod.name)))

    def orphans_of(self, task_uid: str) -> tuple[PodSnapshot, ...]:
        """The orphaned pods of a task, oldest first, without those that are gone."""
        found = [pod for pod in self._orphans.values() if pod.task_uid == task_uid]
        return tuple(sorted(found, key=lambda pod: (pod.created, pod.name)))

    @property
    def left_behind(self) -> set[str]:
        """The uids of the tasks with orphaned pods; the tasks themselves need not exist."""
        return {pod.task_uid for pod in self._orphans.values()}

    def waiting_for(self, template_name: str) -> list[LongTask]:
        """Tasks without a Job that use the template."""
        return [
            task
            for task in self.tasks.unfinished
            if task.spec.template_ref.name == template_name and task.status.job_ref is None
        ]

    def keep_tasks(self, listed: Set[str], version: int) -> None:
        """Drop the tasks that are missing from a complete list of that version, unless they are newer than it."""
        for uid in [uid for uid in self.tasks if uid not in listed and self.tasks.version(uid) <= version]:
            self.drop_task(uid)

    def keep_templates(self, listed: Set[str], version: int) -> None:
        """Drop the templates that are missing from such a list."""
        for template in list(self.templates.values()):
            if template.metadata.uid not in listed and int(template.metadata.resource_version) <= version:
                self.drop_template(template.metadata.name, template.metadata.uid)

    def keep_jobs(self, listed: Set[str], version: int) -> None:
        """Drop the Jobs that are missing from such a list, also those known only from their pods."""
        for job in [each for each in self.jobs.values() if each.uid not in listed and each.resource_version <= version]:
            self.drop_job(job)
        for job_uid, pods in list(self.pods.items()):
            newest = max((pod.resource_version for pod in pods.values()), default=0)
            if job_uid not in listed and newest <= version:
                self._bury(job_uid)
                self.sweep_pods(job_uid)

    def keep_pods(self, listed: Set[str], version: int) -> None:
        """Mark the pods that are missing from such a list as gone."""
        for pod in [pod for pods in self.pods.values() for pod in pods.values()]:
            if pod.uid not in listed and pod.resource_version <= version and not pod.gone:
                self.put_pod(replace(pod, gone=True))
                self.sweep_pods(pod.job_uid)

    def _wake(self, uid: str) -> None:
        self.on_change(uid)
        waiting = self._waiting.pop(uid, None)
        if waiting is not None:
            waiting.set()

    def _bury(self, uid: str) -> None:
        self._buried[uid] = None
        if len(self._buried) > TOMBSTONES:
            self._buried.popitem(last=False)


def slim(task: LongTask) -> LongTask:
    """An ended task without parameters, result, log and messages, which no decision needs. Others are unchanged."""
    if not task.is_terminal:
        return task
    delivery = task.status.delivery
    dropped: dict[str, Any] = {
        "message": None,
        "conditions": [each.model_copy(update={"message": ""}) for each in task.status.conditions],
        "progress": None,
        "checkpoint": None,
        "input_requests": [],
        "result": None,
        "failure": None,
        "log_tail": None,
        "attempts": [],
        "delivery": _slim(delivery) if delivery is not None else None,
        "notifications": [each.model_copy(update={"message": None}) for each in task.status.notifications],
    }
    unlabelled: dict[str, Any] = {"labels": {}, "annotations": {}}
    unasked: dict[str, Any] = {"parameters": {}, "input_responses": []}
    return task.model_copy(
        update={
            "metadata": task.metadata.model_copy(update=unlabelled),
            "spec": task.spec.model_copy(update=unasked),
            "status": task.status.model_copy(update=dropped),
        }
    )


def _slim(delivery: Delivery) -> Delivery:
    events = [event.model_copy(update={"payload": None}) for event in delivery.events]
    return delivery.model_copy(update={"events": events})
