"""What the watches have told, as little of it as decisions need, found by task."""

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
    """LongTasks by uid. Those that have ended, nearly all, are kept as text, which takes a tenth of the memory, and
    read again when they are asked for.
    """

    def __init__(self) -> None:
        self._whole: dict[str, LongTask] = {}
        self._ended: dict[str, tuple[int, bytes]] = {}
        """The version, and the task as JSON."""
        self._standing: dict[str, Standing] = {}
        self.count: Counter[Standing] = Counter()
        """How many there are of each phase and reason."""

    def __getitem__(self, uid: str) -> LongTask:
        if uid in self._ended:
            return LongTask.model_validate_json(self._ended[uid][1])
        return self._whole[uid]

    def __iter__(self) -> Iterator[str]:
        yield from self._whole
        yield from self._ended

    def __len__(self) -> int:
        return len(self._whole) + len(self._ended)

    def __contains__(self, uid: object) -> bool:
        return uid in self._whole or uid in self._ended

    @property
    def unfinished(self) -> Collection[LongTask]:
        """Those that have not ended."""
        return self._whole.values()

    def awaits(self, uid: str, job_uid: str) -> bool:
        """Whether the task has not ended, and that Job does its work."""
        known = self._whole.get(uid)
        return known is not None and known.status.job_ref is not None and known.status.job_ref.uid == job_uid

    def version(self, uid: str) -> int:
        """Its metadata.resourceVersion; 0 where it is not known."""
        if uid in self._ended:
            return self._ended[uid][0]
        known = self._whole.get(uid)
        return int(known.metadata.resource_version) if known is not None else 0

    def put(self, task: LongTask) -> None:
        """Keep it in place of what is known of it."""
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
        """Forget it."""
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
    """All objects of the task namespace, by uid; templates by name."""

    tasks: Tasks = field(default_factory=Tasks)
    templates: dict[str, LongTaskTemplate] = field(default_factory=dict)
    jobs: dict[str, JobSnapshot] = field(default_factory=dict)
    """By the uid of the owning task."""
    pods: dict[str, dict[str, PodSnapshot]] = field(default_factory=lambda: defaultdict(dict))
    """By the uid of the owning Job, then by pod uid; pods that are gone stay until their Job is, and their task has
    ended: they tell how."""
    told: Callable[[str], object] = lambda uid: None
    """Called with the uid of each task of which there is news, from wherever it comes."""
    _buried: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _job_of_pod: dict[str, str] = field(default_factory=dict)
    _orphans: dict[str, PodSnapshot] = field(default_factory=dict)
    """Pods that are there and have no Job any more, by their uid."""
    _waiting: dict[str, asyncio.Event] = field(default_factory=dict)

    def put_task(self, task: LongTask) -> bool:
        """Whether it was news: an older version than the known one is not."""
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
        """Keep it, unless a newer version is known."""
        known = self.templates.get(template.metadata.name)
        if known is None or int(known.metadata.resource_version) <= int(template.metadata.resource_version):
            self.templates[template.metadata.name] = template

    def put_job(self, job: JobSnapshot) -> None:
        """Keep it, unless a newer version is known. Two Jobs of one task cannot be: they share a name."""
        known = self.jobs.get(job.owner_uid)
        older = known is not None and known.uid == job.uid and known.resource_version > job.resource_version
        if job.uid not in self._buried and not older:
            self.jobs[job.owner_uid] = job
            if known is None or known != job:
                self.told(job.owner_uid)

    def put_pod(self, pod: PodSnapshot) -> None:
        """Keep it, unless a newer version is known."""
        known = self.pods[pod.job_uid].get(pod.uid)
        if known is None or (known.resource_version <= pod.resource_version and not known.gone):
            self.pods[pod.job_uid][pod.uid] = with_earlier_facts(pod, known)
            self._job_of_pod[pod.uid] = pod.job_uid
            if pod.orphaned and not pod.gone:
                self._orphans[pod.uid] = pod
            else:
                self._orphans.pop(pod.uid, None)
            if known != pod:
                self.told(pod.task_uid)

    def pod(self, uid: str) -> PodSnapshot | None:
        """The pod of that uid; also one that is gone, for a while."""
        return self.pods.get(self._job_of_pod.get(uid, ""), {}).get(uid)

    def was_deleted(self, uid: str) -> bool:
        """Whether the object of that uid is known to be gone, and not just unknown."""
        return uid in self._buried

    async def changed(self, task: LongTask, at_most: float) -> LongTask | None:
        """The task as soon as it is no longer as given, or after `at_most` seconds; None when it is gone.

        Only an answer that differs from what was given comes without a wait, so a loop that goes on with the answer
        cannot spin.
        """
        uid = task.metadata.uid
        if self.tasks.get(uid) is task:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._waiting.setdefault(uid, asyncio.Event()).wait(), at_most)
        return self.tasks.get(uid)

    def about(self, uid: str) -> Mapping[str, str]:
        """What a line of the log has that is about the task."""
        task = self.tasks.get(uid)
        return {"task_uid": uid} if task is None else {"task": task.metadata.name, "task_uid": uid}

    def drop_task(self, uid: str) -> None:
        """It is gone for good; a late event must not bring it back."""
        known = self.tasks.get(uid)
        self._bury(uid)
        self.tasks.drop(uid)
        if known is not None and known.status.job_ref is not None:
            self.sweep_pods(known.status.job_ref.uid)
        self._wake(uid)

    def drop_template(self, name: str, uid: str) -> None:
        """It is gone; another one may have its name already."""
        known = self.templates.get(name)
        if known is not None and known.metadata.uid == uid:
            del self.templates[name]

    def drop_job(self, job: JobSnapshot) -> None:
        """It is gone; so are its pods, once they say so."""
        self._bury(job.uid)
        known = self.jobs.get(job.owner_uid)
        if known is not None and known.uid == job.uid:
            del self.jobs[job.owner_uid]
        self.sweep_pods(job.uid)
        self.told(job.owner_uid)

    def sweep_pods(self, job_uid: str) -> None:
        """Forget the pods of a Job that is gone, once all of them are gone too and no task asks how they ended."""
        pods = self.pods.get(job_uid, {}).values()
        if job_uid in self._buried and all(pod.gone and not self.tasks.awaits(pod.task_uid, job_uid) for pod in pods):
            for uid in self.pods.pop(job_uid, {}):
                self._job_of_pod.pop(uid, None)

    def pods_of(self, job_uid: str) -> tuple[PodSnapshot, ...]:
        """The pods of a Job, oldest first, those that are gone included."""
        pods: Iterable[PodSnapshot] = self.pods.get(job_uid, {}).values()
        return tuple(sorted(pods, key=lambda pod: (pod.created, pod.name)))

    def orphans_of(self, task_uid: str) -> tuple[PodSnapshot, ...]:
        """The pods of a task that their Job has left behind, oldest first, without those that are gone."""
        found = [pod for pod in self._orphans.values() if pod.task_uid == task_uid]
        return tuple(sorted(found, key=lambda pod: (pod.created, pod.name)))

    @property
    def left_behind(self) -> set[str]:
        """The uids of the tasks that have such pods; they need not be there themselves."""
        return {pod.task_uid for pod in self._orphans.values()}

    def waiting_for(self, template_name: str) -> list[LongTask]:
        """Tasks without a Job that name the template."""
        return [
            task
            for task in self.tasks.unfinished
            if task.spec.template_ref.name == template_name and task.status.job_ref is None
        ]

    def keep_tasks(self, listed: Set[str], version: int) -> None:
        """Drop the tasks that a complete list of that version does not have, unless they are newer."""
        for uid in [uid for uid in self.tasks if uid not in listed and self.tasks.version(uid) <= version]:
            self.drop_task(uid)

    def keep_templates(self, listed: Set[str], version: int) -> None:
        """Drop the templates that such a list does not have."""
        for template in list(self.templates.values()):
            if template.metadata.uid not in listed and int(template.metadata.resource_version) <= version:
                self.drop_template(template.metadata.name, template.metadata.uid)

    def keep_jobs(self, listed: Set[str], version: int) -> None:
        """Drop the Jobs that such a list does not have, and the pods of Jobs that were never seen."""
        for job in [each for each in self.jobs.values() if each.uid not in listed and each.resource_version <= version]:
            self.drop_job(job)
        for job_uid, pods in list(self.pods.items()):
            newest = max((pod.resource_version for pod in pods.values()), default=0)
            if job_uid not in listed and newest <= version:
                self._bury(job_uid)
                self.sweep_pods(job_uid)

    def keep_pods(self, listed: Set[str], version: int) -> None:
        """Mark the pods that such a list does not have as gone."""
        for pod in [pod for pods in self.pods.values() for pod in pods.values()]:
            if pod.uid not in listed and pod.resource_version <= version and not pod.gone:
                self.put_pod(replace(pod, gone=True))
                self.sweep_pods(pod.job_uid)

    def _wake(self, uid: str) -> None:
        self.told(uid)
        waiting = self._waiting.pop(uid, None)
        if waiting is not None:
            waiting.set()

    def _bury(self, uid: str) -> None:
        self._buried[uid] = None
        if len(self._buried) > TOMBSTONES:
            self._buried.popitem(last=False)


def slim(task: LongTask) -> LongTask:
    """A finished task without its parameters, result, log and words: no decision needs them any more."""
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
