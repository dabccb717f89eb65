"""The kopf handlers: what a watch tells goes into the cache, and the key of its task into the queue. No writes."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import kopf
from pydantic import ValidationError

from longtask_api import names
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_operator.cache import Cache
from longtask_operator.cluster import Cluster
from longtask_operator.planning.observed import job_view, pod_view, task_of_job

logger = logging.getLogger(__name__)

Key = tuple[Literal["task", "template"], str]
"""A task's uid, or a template's name."""


class NoDiffBase(kopf.DiffBaseStorage):
    """Remembers nothing of an object. kopf would copy every one at every event to compare it with its last state, for
    kinds of handlers that do not exist here; that was a quarter of the operator's CPU time."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing is essential."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is stored."""


def kopf_settings() -> kopf.OperatorSettings:
    """kopf as a source of events and nothing else: it writes nothing and remembers little."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.networking.enforce_retry_after = True
    # Each object that is touched has a task and a queue of its own in kopf for so long.
    settings.queueing.idle_timeout = 0.1
    return settings


class Watches:
    """Keeps the cache near the truth, and `enqueue` busy."""

    def __init__(self, cluster: Cluster, cache: Cache, enqueue: Callable[[Key], None]) -> None:
        self._cluster = cluster
        self._cache = cache
        self._enqueue = enqueue

    def register(self, registry: kopf.OperatorRegistry) -> None:
        """Subscribe. Only on.event: every other kind of kopf handler writes to the objects it handles."""

        @kopf.on.login(registry=registry)
        def login(**arguments: Any) -> kopf.ConnectionInfo | None:
            return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)

        for group, version, plural, handler in (
            (names.GROUP, names.VERSION, names.TEMPLATE_PLURAL, self._template_event),
            (names.GROUP, names.VERSION, names.TASK_PLURAL, self._task_event),
            ("batch", "v1", "jobs", self._job_event),
            ("", "v1", "pods", self._pod_event),
        ):
            kopf.on.event(group, version, plural, registry=registry, id=plural)(handler)

    async def resync(self) -> None:
        """List everything, put it right in the cache, and enqueue all: what a watch gap hid comes out here.

        Raises KubeError and network errors.
        """
        templates, _ = await self._cluster.list_templates()
        for document in templates:
            self._see_template(document)
        jobs, jobs_version = await self._cluster.list_jobs()
        pods, pods_version = await self._cluster.list_pods()
        tasks, tasks_version = await self._cluster.list_tasks()
        self._drop_ghost_tasks({document["metadata"]["uid"] for document in tasks}, tasks_version)
        self._drop_ghost_jobs({job.uid for job in jobs}, jobs_version)
        self._drop_ghost_pods({pod.uid for pod in pods}, pods_version)
        for job in jobs:
            self._cache.put_job(job)
        for pod in pods:
            self._cache.put_pod(pod)
        for document in tasks:
            self._see_task(document)

    def enqueue_all(self) -> None:
        """Look at everything once: what a new leader does first."""
        for name in self._cache.templates:
            self._enqueue(("template", name))
        for uid in self._cache.tasks:
            self._enqueue(("task", uid))

    def _drop_ghost_tasks(self, listed: set[str], version: int) -> None:
        """Forget what a list of that version does not hold; what is newer than the list stays."""
        for uid, task in list(self._cache.tasks.items()):
            if uid not in listed and int(task.metadata.resource_version) <= version:
                self._cache.drop_task(uid)

    def _drop_ghost_jobs(self, listed: set[str], version: int) -> None:
        for job in list(self._cache.jobs.values()):
            if job.uid not in listed and job.resource_version <= version:
                self._cache.drop_job(job)
                self._enqueue(("task", job.owner_uid))

    def _drop_ghost_pods(self, listed: set[str], version: int) -> None:
        for job_uid, pods in list(self._cache.pods.items()):
            for pod in list(pods.values()):
                if pod.uid not in listed and pod.resource_version <= version and not pod.gone:
                    self._cache.put_pod(replace(pod, gone=True))
            self._cache.sweep_pods(job_uid)

    async def _task_event(self, event: Mapping[str, Any], **_: Any) -> None:
        document = event["object"]
        uid = document["metadata"]["uid"]
        if event["type"] == "DELETED":
            self._cache.drop_task(uid)
            self._enqueue(("task", uid))
        else:
            self._see_task(document)

    async def _template_event(self, event: Mapping[str, Any], **_: Any) -> None:
        if event["type"] == "DELETED":
            self._cache.templates.pop(event["object"]["metadata"]["name"], None)
        else:
            self._see_template(event["object"])

    async def _job_event(self, event: Mapping[str, Any], **_: Any) -> None:
        document = event["object"]
        if not task_of_job(document["metadata"]):
            return
        job = job_view(document)
        if event["type"] == "DELETED":
            self._cache.drop_job(job)
        else:
            self._cache.put_job(job)
        self._enqueue(("task", job.owner_uid))

    async def _pod_event(self, event: Mapping[str, Any], **_: Any) -> None:
        document = event["object"]
        if not task_of_job(document["metadata"]):
            return
        pod = pod_view(document, gone=event["type"] == "DELETED")
        self._cache.put_pod(pod)
        if pod.gone:
            self._cache.sweep_pods(pod.job_uid)
        self._enqueue(("task", document["metadata"]["labels"][names.LABEL_TASK_UID]))

    def _see_task(self, document: Mapping[str, Any]) -> None:
        try:
            task = LongTask.from_api(document)
        except ValidationError as error:
            logger.error("cannot read LongTask %s: %s", document["metadata"]["name"], error)
            return
        if self._cache.put_task(task):
            self._enqueue(("task", task.metadata.uid))

    def _see_template(self, document: Mapping[str, Any]) -> None:
        try:
            template = LongTaskTemplate.from_api(document)
        except ValidationError as error:
            logger.error("cannot read LongTaskTemplate %s: %s", document["metadata"]["name"], error)
            return
        self._cache.put_template(template)
        self._enqueue(("template", template.metadata.name))
        for task in self._cache.waiting_for(template.metadata.name):
            self._enqueue(("task", task.metadata.uid))
