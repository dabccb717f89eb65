"""The operator's entry point: `longtask-operator`, or `python -m longtask_operator`."""

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any

import uvloop
from kubernetes.aio.client import ApiClient
from starlette.types import ASGIApp

from longtask_api.constants import AUDIENCE_REPORT, AUDIENCE_TASK_API
from longtask_operator.agentcore.client import AgentCore
from longtask_operator.archive.archive import Archive
from longtask_operator.archive.archiver import Archiver
from longtask_operator.cache import Cache
from longtask_operator.controller import Controller
from longtask_operator.delivery.dispatcher import DeliveryDispatcher
from longtask_operator.handover import CheckpointHandover
from longtask_operator.leader_election import LeaderElector
from longtask_operator.metrics import METRICS
from longtask_operator.notification.notifier import CONCURRENCY, Notifier
from longtask_operator.notification.sender import Sender
from longtask_operator.planning.notifications import Sinks
from longtask_operator.planning.policy import Policy
from longtask_operator.reconciler import Reconciler
from longtask_operator.settings import Settings
from longtask_operator.store.config_maps import ConfigMaps
from longtask_operator.store.s3 import S3, S3Settings
from longtask_operator.store.store import Store
from longtask_operator.task_api.app import REPORT_PATH, Parts, task_api
from longtask_operator.task_api.auth import PodAuthenticator, ReaderAuthenticator
from longtask_operator.task_api.blobs import TaskBlobs
from longtask_operator.task_api.limits import Limits, Rate
from longtask_operator.task_api.report_buffer import ReportBuffer
from longtask_operator.task_namespace import FIELD_MANAGER, TaskNamespace
from longtask_operator.template_controller import TemplateController
from longtask_operator.watches import Watches
from longtask_runtime import clock, environment, garbage, kube, logs, recursion
from longtask_runtime.authentication import TokenReviewer
from longtask_runtime.health import health_app
from longtask_runtime.serving import serve
from longtask_runtime.validation import Validator

logger = logging.getLogger(__name__)

HEARTBEAT = 1.0
POD_TOKEN_SECONDS = 300.0
"""How long the review of a pod's token is cached. Whether the pod may still report is checked at each call."""
STUCK_AFTER = 30.0
"""Seconds without a heartbeat of the event loop after which the liveness check fails."""


def main() -> None:
    """Run the operator until SIGTERM or SIGINT."""
    settings = environment.read(Settings)
    logs.configure(settings.log_level)
    garbage.collect_seldom()
    recursion.raise_limit()
    uvloop.run(Operator(settings).run())


class Operator:
    """Wires the components together and runs them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cache = Cache()
        METRICS.look_at(self._cache.tasks.count, lambda: self._cache.templates)
        self._synced = asyncio.Event()
        self._synced_at = clock.now()
        self._stopping = False
        self._silent: Callable[[], str | None] = lambda: None
        self._beat = time.monotonic()

    async def run(self) -> None:
        """Watch, serve and, while leading, reconcile. Returns after a clean stop; raises errors that need a restart."""
        settings = self._settings
        client = await kube.connect(FIELD_MANAGER)
        elector = LeaderElector(
            client,
            settings.lease_namespace,
            settings.lease_name,
            settings.pod_name,
            settings.lease_duration_seconds,
            unfit=self._deaf,
            lost=METRICS.lease_losses.inc,
        )
        cluster = TaskNamespace(client, settings.namespace, elector.term, elector.unanswered)
        try:
            async with contextlib.AsyncExitStack() as stack:
                validator = stack.enter_context(Validator())
                store = await stack.enter_async_context(_store(client, settings))
                reconciler = Reconciler(
                    cluster,
                    self._cache,
                    validator,
                    CheckpointHandover(cluster, store),
                    _policy(settings),
                    lambda: max(elector.unbroken_since, self._synced_at),
                    lambda: elector.leads_since,
                )
                templates = TemplateController(cluster, self._cache, validator, settings.sinks)
                service = await stack.enter_async_context(_agentcore(settings))
                archive = Archive(store, service, settings.memory_ids)
                dispatcher = DeliveryDispatcher(
                    cluster,
                    self._cache,
                    service,
                    settings.memory_ids,
                    timedelta(seconds=settings.open_turn_timeout_seconds),
                )
                archiver = Archiver(cluster, self._cache, archive)
                notifier = Notifier(cluster, self._cache, _senders(settings), _kinds(settings), elector.term)
                controller = Controller(
                    self._cache, reconciler, templates, dispatcher, archiver, notifier, settings.workers
                )
                watches = Watches(client, settings.namespace, self._cache, controller.enqueue)
                writes = ReportBuffer(
                    cluster, self._cache, settings.report_interval_seconds, settings.report_writes_per_second
                )
                api = self._task_api(client, cluster, writes, store, validator, archive)
                lead = partial(
                    self._lead, dispatcher.run, archiver.run, notifier.run, lambda: controller.run(watches.keys())
                )
                stack.enter_context(METRICS.watchdog.watching())
                await self._until_stopped(watches, elector, lead, api, writes)
        finally:
            await client.close()

    def _task_api(
        self,
        client: ApiClient,
        cluster: TaskNamespace,
        writes: ReportBuffer,
        store: Store,
        validator: Validator,
        archive: Archive,
    ) -> ASGIApp:
        settings = self._settings
        pods = TokenReviewer(client, AUDIENCE_REPORT, POD_TOKEN_SECONDS)
        return task_api(
            Parts(
                cluster=cluster,
                cache=self._cache,
                pods=PodAuthenticator(
                    cluster,
                    self._cache,
                    pods,
                    settings.namespace,
                    Limits(Rate(settings.reports_per_second_per_task)),
                ),
                readers=ReaderAuthenticator(TokenReviewer(client, AUDIENCE_TASK_API), settings.task_api_readers),
                writes=writes,
                blobs=TaskBlobs(store),
                archive=archive,
                validator=validator,
            )
        )

    async def _until_stopped(
        self,
        watches: Watches,
        elector: LeaderElector,
        lead: Callable[[], Awaitable[None]],
        api: ASGIApp,
        writes: ReportBuffer,
    ) -> None:
        settings = self._settings
        stop, watching = asyncio.Event(), asyncio.Event()
        tasks = {
            asyncio.create_task(coroutine, name=name)
            for name, coroutine in {
                "heartbeat": self._heartbeats(),
                "health": serve(health_app(self._alive, self._ready), settings.health_port),
                "task-api": serve(api, settings.task_api_port),
                "reports": writes.run(),
                "resync": self._resyncs(watches),
                "leader": elector.run(lead),
            }.items()
        }
        self._silent = watches.silent
        kopf_task = asyncio.create_task(watches.run(watching), name="watches")
        stopped = asyncio.create_task(_signalled(stop, watching), name="signal")
        try:
            done, _ = await asyncio.wait({stopped, kopf_task, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            self._stopping = True
            logger.info("stopping", extra={"because": [task.get_name() for task in done]})
        finally:
            # kopf last: when it ends, it cancels all asyncio tasks that were started after it.
            try:
                await _cancelled(*tasks)
            finally:
                await writes.flush()
                await _cancelled(kopf_task, stopped)
        if stopped not in done:
            raise RuntimeError(f"{', '.join(task.get_name() for task in done)} ended without being asked to")

    async def _resyncs(self, watches: Watches) -> None:
        await watches.synced()
        self._synced_at = clock.now()
        self._synced.set()
        while True:
            await asyncio.sleep(self._settings.resync_seconds)
            try:
                await watches.resync()
            except Exception as error:
                logger.warning("resync failed; trying again later", exc_info=error)

    async def _lead(self, *works: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await self._synced.wait()
        async with _shown_as_leader(), asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work())

    async def _heartbeats(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(HEARTBEAT)

    def _alive(self) -> str | None:
        return "the event loop is stuck" if time.monotonic() - self._beat > STUCK_AFTER else None

    def _ready(self) -> str | None:
        if self._stopping:
            return "stopping"
        return self._deaf() if self._synced.is_set() else "the cache is not filled yet"

    def _deaf(self) -> str | None:
        """Which watches are dead, as a message; None if none is, or before there are watches."""
        return self._silent()


@contextlib.asynccontextmanager
async def _store(client: ApiClient, settings: Settings) -> AsyncIterator[Store]:
    """The store for large data: ConfigMaps, and a bucket if one is configured."""
    config_maps = ConfigMaps(client, settings.namespace)
    if settings.store_s3_bucket is None or settings.store_s3_region is None:
        yield Store(config_maps, None, settings.store_max_bytes)
        return
    bucket = S3Settings(
        bucket=settings.store_s3_bucket,
        region=settings.store_s3_region,
        prefix=settings.store_s3_prefix,
        endpoint_url=settings.store_s3_endpoint_url,
        path_style=settings.store_s3_path_style,
    )
    with contextlib.closing(S3(bucket, settings.namespace)) as s3:
        await s3.prepare()
        yield Store(config_maps, s3, settings.store_max_bytes)


@contextlib.asynccontextmanager
async def _agentcore(settings: Settings) -> AsyncIterator[AgentCore | None]:
    """The client for the agents' memories, if a region is configured."""
    if settings.memory_region is None:
        yield None
        return
    with contextlib.closing(AgentCore(settings.memory_region)) as service:
        await service.prepare()
        yield service


def _policy(settings: Settings) -> Policy:
    return Policy(
        job_retention=timedelta(seconds=settings.job_retention_seconds),
        report_url=_report_url(settings),
        delivery_timeout=timedelta(seconds=settings.delivery_timeout_seconds),
        archives_all=settings.store_s3_bucket is not None,
        max_active=settings.max_active_tasks_per_requester,
        sinks=_kinds(settings),
    )


def _kinds(settings: Settings) -> Sinks:
    return {name: sink.events for name, sink in settings.sinks.items()}


def _senders(settings: Settings) -> dict[str, Sender]:
    return {
        name: Sender(sink, settings.sink_secrets_folder / name, CONCURRENCY) for name, sink in settings.sinks.items()
    }


def _report_url(settings: Settings) -> str | None:
    return None if settings.task_api_url is None else f"{str(settings.task_api_url).rstrip('/')}{REPORT_PATH}"


@contextlib.asynccontextmanager
async def _shown_as_leader() -> AsyncIterator[None]:
    METRICS.leader.set(1)
    try:
        yield
    finally:
        METRICS.leader.set(0)


async def _signalled(stop: asyncio.Event, watching: asyncio.Event) -> None:
    """Return at SIGTERM or SIGINT. kopf installs its own handlers when it starts; they are replaced after that."""
    await watching.wait()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _cancelled(*tasks: asyncio.Task[None]) -> None:
    """Cancel the tasks and wait for them. Raises the first exception that one of them raised."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result


if __name__ == "__main__":
    main()
