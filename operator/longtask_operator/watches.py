"""Feeds the cache and the work queue from watch events. Writes nothing to the API server."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from typing import Any, Literal

import kopf
from kubernetes.aio.client import ApiClient
from pydantic import ValidationError

from longtask_api import constants
from longtask_api.longtask import LongTask
from longtask_api.template import LongTaskTemplate
from longtask_operator.cache import Cache
from longtask_operator.metrics import METRICS
from longtask_operator.planning.snapshots import controller_uid, job_of_pod, job_snapshot, pod_snapshot
from longtask_operator.subscription import Subscription, kopf_settings, session
from longtask_runtime.reflector import Reflector, silent

logger = logging.getLogger(__name__)

Key = tuple[Literal["task", "template"], str]
"""The kind, and a task's uid or a template's name."""

Enqueue = Callable[[Key], None]


class Watches:
    """Watches the task namespace: LongTasks and templates through kopf; Jobs and pods, of which there are more events,
    through reflectors.
    """

    def __init__(self, client: ApiClient, namespace: str, cache: Cache, enqueue: Enqueue) -> None:
        group = f"/apis/{constants.API_VERSION}/namespaces/{namespace}"
        ours = {"labelSelector": constants.LABEL_TASK_UID}
        self._server: str = client.configuration.host
        self._namespace = namespace
        self._cache = cache
        self._enqueue = enqueue
        cache.on_change = lambda uid: enqueue(("task", uid))
        self._subscriptions = {
            constants.TEMPLATE_PLURAL: Subscription(
                client, f"{group}/{constants.TEMPLATE_PLURAL}", _Templates(cache, enqueue)
            ),
            constants.TASK_PLURAL: Subscription(client, f"{group}/{constants.TASK_PLURAL}", _Tasks(cache)),
        }
        self._sources: dict[str, Subscription | Reflector] = {
            **self._subscriptions,
            "jobs": Reflector(client, f"/apis/batch/v1/namespaces/{namespace}/jobs", _Jobs(cache), ours),
            "pods": Reflector(client, f"/api/v1/namespaces/{namespace}/pods", _Pods(cache), ours),
        }
        for plural, source in self._sources.items():
            METRICS.watch_age.labels(plural).set_function(source.pulse.age)

    async def run(self, started: asyncio.Event) -> None:
        """Watch until cancelled. Sets `started` when kopf has started. Returns only if kopf ends, which is an error."""
        async with asyncio.TaskGroup() as group:
            # Started before kopf: when kopf ends, it cancels all asyncio tasks that were started after it.
            tasks = [group.create_task(source.run()) for source in self._sources.values()]
            try:
                await self._kopf(started)
            finally:
                for task in tasks:
                    task.cancel()

    async def synced(self) -> None:
        """Wait until every kind of object has been listed once."""
        for source in self._sources.values():
            await source.synced.wait()

    async def resync(self) -> None:
        """Relist everything, correct the cache, and enqueue all templates, all unfinished tasks and all tasks with
        orphaned pods. This repairs what a watch or a reconcile has missed.

        Raises Expired, KubeError and network errors.
        """
        for source in self._sources.values():
            await source.fill()
        for name in self._cache.templates:
            self._enqueue(("template", name))
        for task in self._cache.tasks.unfinished:
            self._enqueue(("task", task.metadata.uid))
        for uid in self._cache.left_behind:
            self._enqueue(("task", uid))

    def keys(self) -> Iterator[Key]:
        """Keys of everything in the cache: a new leader starts with these."""
        for name in list(self._cache.templates):
            yield "template", name
        for uid in {*self._cache.tasks, *self._cache.left_behind}:
            yield "task", uid

    def silent(self) -> str | None:
        """A message that names the kinds of objects with a dead watch; None when there are none."""
        return silent({plural: source.pulse for plural, source in self._sources.items()})

    async def _kopf(self, started: asyncio.Event) -> None:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**arguments: Any) -> kopf.AiohttpSession | None:
            found = await asyncio.to_thread(credentials, self._server, **arguments)
            return session(found, self._subscriptions.values()) if found is not None else None

        # Only on.event: every other kind of kopf handler writes to the objects it handles.
        for plural, subscription in self._subscriptions.items():
            kopf.on.event(constants.GROUP, constants.VERSION, plural, registry=registry, id=plural)(
                _handler(subscription)
            )
        await kopf.operator(
            registry=registry,
            settings=kopf_settings(),
            standalone=True,
            namespaces=[self._namespace],
            ready_flag=started,
        )


def credentials(server: str, **arguments: Any) -> kopf.ConnectionInfo | None:
    """Credentials for kopf, to use with the API server at URL `server`; None without a service account and without a
    kubeconfig. In a pod kopf would connect to `kubernetes.default.svc`, which fails while the cluster's DNS is down.
    """
    found = kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)
    return None if found is None else replace(found, server=server)


def _handler(subscription: Subscription) -> Callable[..., Any]:
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        subscription.event(event)

    return handle


class _Tasks:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        return self._cache.tasks.version(metadata["uid"]) >= int(metadata["resourceVersion"])

    def take(self, document: dict[str, Any]) -> None:
        try:
            self._cache.put_task(LongTask.from_api(document))
        except ValidationError as error:
            logger.error("cannot read LongTask %s: %s", document["metadata"]["name"], error)

    def lose(self, document: dict[str, Any]) -> None:
        self._cache.drop_task(document["metadata"]["uid"])

    def keep(self, listed: Set[str], version: int) -> None:
        self._cache.keep_tasks(listed, version)


class _Templates:
    def __init__(self, cache: Cache, enqueue: Enqueue) -> None:
        self._cache = cache
        self._enqueue = enqueue

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        known = self._cache.templates.get(metadata["name"])
        return known is not None and int(known.metadata.resource_version) >= int(metadata["resourceVersion"])

    def take(self, document: dict[str, Any]) -> None:
        try:
            template = LongTaskTemplate.from_api(document)
        except ValidationError as error:
            logger.error("cannot read LongTaskTemplate %s: %s", document["metadata"]["name"], error)
            return
        self._cache.put_template(template)
        self._enqueue(("template", template.metadata.name))
        for task in self._cache.waiting_for(template.metadata.name):
            self._enqueue(("task", task.metadata.uid))

    def lose(self, document: dict[str, Any]) -> None:
        self._cache.drop_template(document["metadata"]["name"], document["metadata"]["uid"])

    def keep(self, listed: Set[str], version: int) -> None:
        self._cache.keep_templates(listed, version)


class _Jobs:
    """Jobs owned by a LongTask. Jobs that have LongTask's label but no LongTask as controller are ignored."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        owner = controller_uid(metadata, constants.TASK_KIND)
        known = self._cache.jobs.get(owner)
        if known is None or known.uid != metadata["uid"]:
            return not owner
        return known.resource_version >= int(metadata["resourceVersion"])

    def take(self, document: dict[str, Any]) -> None:
        self._cache.put_job(job_snapshot(document))

    def lose(self, document: dict[str, Any]) -> None:
        job = job_snapshot(document)
        if job.owner_uid:
            self._cache.drop_job(job)

    def keep(self, listed: Set[str], version: int) -> None:
        self._cache.keep_jobs(listed, version)


class _Pods:
    """Pods of Jobs. Pods that have LongTask's label but never had a Job are ignored."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def knows(self, metadata: Mapping[str, Any]) -> bool:
        known = self._cache.pod(metadata["uid"])
        if known is None:
            return not job_of_pod(metadata)
        return known.resource_version >= int(metadata["resourceVersion"])

    def take(self, document: dict[str, Any]) -> None:
        self._cache.put_pod(pod_snapshot(document))

    def lose(self, document: dict[str, Any]) -> None:
        pod = pod_snapshot(document, gone=True)
        if pod.job_uid:
            self._cache.put_pod(pod)
            self._cache.sweep_pods(pod.job_uid)

    def keep(self, listed: Set[str], version: int) -> None:
        self._cache.keep_pods(listed, version)
