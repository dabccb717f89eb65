"""What the watches have told, as little of it as decisions need, found by task."""

import asyncio
import contextlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from longtask_api.longtask import Delivery, LongTask
from longtask_api.template import LongTaskTemplate
from longtask_operator.planning.observed import JobView, PodView

TOMBSTONES = 20_000


@dataclass
class Cache:
    """All objects of the task namespace, by uid; templates by name."""

    tasks: dict[str, LongTask] = field(default_factory=dict)
    templates: dict[str, LongTaskTemplate] = field(default_factory=dict)
    jobs: dict[str, JobView] = field(default_factory=dict)
    """By the uid of the owning task."""
    pods: dict[str, dict[str, PodView]] = field(default_factory=lambda: defaultdict(dict))
    """By the uid of the owning Job, then by pod uid; pods that are gone stay until their Job is."""
    _buried: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _job_of_pod: dict[str, str] = field(default_factory=dict)
    _waiting: dict[str, asyncio.Event] = field(default_factory=dict)

    def put_task(self, task: LongTask) -> bool:
        """Whether it was news: an older version than the known one is not."""
        known = self.tasks.get(task.metadata.uid)
        if task.metadata.uid in self._buried or (
            known is not None and int(known.metadata.resource_version) > int(task.metadata.resource_version)
        ):
            return False
        self.tasks[task.metadata.uid] = slim(task)
        self._wake(task.metadata.uid)
        return True

    def put_template(self, template: LongTaskTemplate) -> None:
        """Keep it, unless a newer version is known."""
        known = self.templates.get(template.metadata.name)
        if known is None or int(known.metadata.resource_version) <= int(template.metadata.resource_version):
            self.templates[template.metadata.name] = template

    def put_job(self, job: JobView) -> None:
        """Keep it, unless a newer version is known. Two Jobs of one task cannot be: they share a name."""
        known = self.jobs.get(job.owner_uid)
        older = known is not None and known.uid == job.uid and known.resource_version > job.resource_version
        if job.uid not in self._buried and not older:
            self.jobs[job.owner_uid] = job

    def put_pod(self, pod: PodView) -> None:
        """Keep it, unless a newer version is known."""
        known = self.pods[pod.job_uid].get(pod.uid)
        if known is None or (known.resource_version <= pod.resource_version and not known.gone):
            self.pods[pod.job_uid][pod.uid] = pod
            self._job_of_pod[pod.uid] = pod.job_uid

    def pod(self, uid: str) -> PodView | None:
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

    def drop_task(self, uid: str) -> None:
        """It is gone for good; a late event must not bring it back."""
        self._bury(uid)
        self.tasks.pop(uid, None)
        self._wake(uid)

    def drop_job(self, job: JobView) -> None:
        """It is gone; so are its pods, once they say so."""
        self._bury(job.uid)
        known = self.jobs.get(job.owner_uid)
        if known is not None and known.uid == job.uid:
            del self.jobs[job.owner_uid]
        self.sweep_pods(job.uid)

    def sweep_pods(self, job_uid: str) -> None:
        """Forget the pods of a Job that is gone, once all of them are gone too."""
        if job_uid in self._buried and all(pod.gone for pod in self.pods.get(job_uid, {}).values()):
            for uid in self.pods.pop(job_uid, {}):
                self._job_of_pod.pop(uid, None)

    def pods_of(self, job_uid: str) -> tuple[PodView, ...]:
        """The pods of a Job, oldest first, those that are gone included."""
        pods: Iterable[PodView] = self.pods.get(job_uid, {}).values()
        return tuple(sorted(pods, key=lambda pod: (pod.created, pod.name)))

    def waiting_for(self, template_name: str) -> list[LongTask]:
        """Tasks without a Job that name the template."""
        return [
            task
            for task in self.tasks.values()
            if task.spec.template_ref.name == template_name and task.status.job_ref is None and not task.is_terminal
        ]

    def _wake(self, uid: str) -> None:
        waiting = self._waiting.pop(uid, None)
        if waiting is not None:
            waiting.set()

    def _bury(self, uid: str) -> None:
        self._buried[uid] = None
        if len(self._buried) > TOMBSTONES:
            self._buried.popitem(last=False)


def slim(task: LongTask) -> LongTask:
    """A finished task without its parameters, result and log: no decision needs them any more."""
    if not task.is_terminal:
        return task
    empty: Mapping[str, Any] = {}
    return task.model_copy(
        update={
            "spec": task.spec.model_copy(update={"parameters": empty}),
            "status": task.status.model_copy(
                update={
                    "result": None,
                    "failure": None,
                    "log_tail": None,
                    "attempts": [],
                    "delivery": _slim(task.status.delivery),
                }
            ),
        }
    )


def _slim(delivery: Delivery | None) -> Delivery | None:
    if delivery is None:
        return None
    events = [event.model_copy(update={"payload": None}) for event in delivery.events]
    return delivery.model_copy(update={"events": events})
