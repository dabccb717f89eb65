"""The server process: two listeners, the reflectors behind them, and graceful shutdown."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from kubernetes.aio.client import ApiClient
from mcp.server.request_state import AESGCMRequestStateCodec
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from longtask import __version__
from longtask_api import constants
from longtask_api.template import LongTaskTemplate
from longtask_mcp.answer_task import InputAnswers
from longtask_mcp.cache import Cache
from longtask_mcp.call_log import CallLog
from longtask_mcp.contract.known import known
from longtask_mcp.contract.tool_definitions import READ_ONLY
from longtask_mcp.delegation import Delegation
from longtask_mcp.feed import Feed
from longtask_mcp.identity import SCOPE_KEY, SUBJECT_KEY, BearerIdentity, Identified, Identify, anonymous
from longtask_mcp.leading import Leading
from longtask_mcp.metrics import Metrics
from longtask_mcp.oauth.resource import ProtectedResource
from longtask_mcp.oauth.verifier import TokenVerifier, verifying
from longtask_mcp.protocol_task_store import ProtocolTaskStore
from longtask_mcp.published import Published
from longtask_mcp.request_limits import Budget, Door, RequestLimits
from longtask_mcp.resumption import Resumable
from longtask_mcp.scope_limits import ScopeLimits
from longtask_mcp.server import READ_ARTIFACT, LongTaskServer
from longtask_mcp.settings import LOOPBACK_HOSTS, Settings
from longtask_mcp.start_task import TaskStarter
from longtask_mcp.task_api import TaskApi
from longtask_mcp.task_client import TaskClient, collection_path
from longtask_mcp.tasks_extension import GET, METHODS, TasksExtension
from longtask_mcp.tool_handlers import ToolHandlers
from longtask_mcp.tracing import Traced
from longtask_mcp.wait_task import TaskWaiter
from longtask_runtime import kube
from longtask_runtime.health import health_app
from longtask_runtime.reflector import Reflector, silent
from longtask_runtime.serving import serve
from longtask_runtime.tls import ServerCertificate
from longtask_runtime.validation import Validator

MCP_PATH = "/mcp"
CLOSING_SECONDS = 0.1
"""How long connections to the API server take to close; the event loop must not end before."""
BYTES_IN_ALL = 8 * 1024 * 1024
BYTES_OF_ONE = 2 * 1024 * 1024
"""Bytes of requests in memory at a time, of all callers and of one. Parsed, JSON takes up to thirty times as much."""

log = logging.getLogger(__name__)


@dataclass
class Server:
    """The components that start and stop together."""

    tasks: TaskClient
    reflectors: dict[str, Reflector]
    """By the plural name of the resource."""
    starter: TaskStarter
    metrics: Metrics
    mcp: ASGIApp
    stopping: asyncio.Event

    def not_ready(self) -> str | None:
        """Why this replica is not ready; None if it is."""
        if self.stopping.is_set():
            return "stopping"
        if not _listed(self.reflectors):
            return "tasks and templates are not listed yet"
        return _silent(self.reflectors)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then shut down: become unready, answer waits, close connections, finish starts."""
    async with _assembled(settings) as server:
        health = health_app(lambda: None, server.not_ready, server.metrics.registry)
        grace = settings.stop_timeout_seconds
        certificate = ServerCertificate(settings.tls_folder) if settings.tls_folder is not None else None
        tls = certificate.context if certificate is not None else None
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stopping.set)
        async with asyncio.TaskGroup() as group:
            following = [group.create_task(each.run()) for each in server.reflectors.values()]
            if certificate is not None:
                following.append(group.create_task(certificate.follow()))
            serving = [
                group.create_task(serve(server.mcp, settings.port, settings.host, grace, lifespan="on", tls=tls)),
                group.create_task(serve(health, settings.metrics_port, settings.host, grace)),
            ]
            await server.stopping.wait()
            log.info("stopping: not ready any more, answering waits")
            server.tasks.wake()
            await asyncio.sleep(settings.drain_seconds)
            for task in serving:
                task.cancel()
            finishing = group.create_task(server.starter.drain(grace))
            await asyncio.wait(serving)
            log.info("connections are closed; finishing starts whose callers have gone")
            await finishing
            for task in following:
                task.cancel()
    log.info("stopped")


@contextlib.asynccontextmanager
async def _assembled(settings: Settings) -> AsyncIterator[Server]:
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.sleep, CLOSING_SECONDS)
        client = await stack.enter_async_context(await kube.connect("longtask-mcp"))
        validator = stack.enter_context(Validator())
        task_api = None
        if settings.task_api_url is not None:
            task_api = await stack.enter_async_context(
                TaskApi(str(settings.task_api_url), settings.task_api_token_file)
            )
        stopping = asyncio.Event()
        tasks = TaskClient(client, settings.namespace)
        templates = Cache[LongTaskTemplate]()
        reflectors = {
            plural: Reflector(client, collection_path(settings.namespace, plural), store)
            for plural, store in (
                (constants.TASK_PLURAL, Feed(known, tasks.cache)),
                (constants.TEMPLATE_PLURAL, Feed(LongTaskTemplate.from_api, templates)),
            )
        }
        metrics = Metrics(lambda: len(tasks.cache), {plural: each.pulse.age for plural, each in reflectors.items()})
        stack.enter_context(metrics.watchdog.watching())
        issuers = None
        if settings.jwt_issuers:
            issuers = await stack.enter_async_context(verifying(settings.jwt_issuers))
            metrics.follow_keys(issuers.key_ages())
        published = Published(templates)
        limit, follows = settings.max_active_tasks_per_caller, reflectors[constants.TASK_PLURAL].follows
        starter = TaskStarter(tasks, templates, published, validator, metrics, limit, follows)
        answering, waiting = InputAnswers(tasks, validator), TaskWaiter(tasks, stopping)
        leading = Leading(client, settings.lease_namespace, settings.lease_name)
        calls = ToolHandlers(
            tasks,
            templates,
            starter,
            answering,
            waiting,
            leading,
            task_api,
            out_of_date=lambda: _silent(reflectors),
        )
        methods = METHODS | {READ_ARTIFACT}
        log = CallLog(metrics, lambda name: name in methods or calls.knows(name), quiet=frozenset({GET}))
        extension = TasksExtension(ProtocolTaskStore(calls, tasks, templates, answering), log)
        server = LongTaskServer(calls, published, log, [extension], __version__)
        yield Server(
            tasks=tasks,
            reflectors=reflectors,
            starter=starter,
            metrics=metrics,
            mcp=_endpoint(server, settings, client, issuers, metrics, lambda: _listed(reflectors)),
            stopping=stopping,
        )


def _listed(reflectors: Mapping[str, Reflector]) -> bool:
    """Whether every resource has been listed once."""
    return all(each.synced.is_set() for each in reflectors.values())


def _silent(reflectors: Mapping[str, Reflector]) -> str | None:
    """Which watches are silent, as text; None if none is."""
    return silent({plural: each.pulse for plural, each in reflectors.items()})


def _endpoint(
    server: LongTaskServer,
    settings: Settings,
    client: ApiClient,
    issuers: TokenVerifier | None,
    metrics: Metrics,
    listed: Callable[[], bool],
) -> ASGIApp:
    """The MCP application behind Door (checks headers), Identified (authenticates), RequestLimits (reads bodies),
    Resumable (resumes calls), if there are keys, and ScopeLimits (checks what a call needs), if there are issuers.

    If every caller has a token, DNS rebinding gains nothing, so the Host header is checked only if hosts are
    configured; without tokens that check keeps web pages out.
    """
    application: ASGIApp = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        stateless_http=True,
        max_request_body_size=settings.max_request_bytes,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    identify: Identify = anonymous
    resource = None
    if settings.auth == "kubernetes":
        identify = BearerIdentity(client, settings.audience, settings.namespace, issuers)
    if settings.public_url is not None and settings.jwt_issuers:
        resource = ProtectedResource(settings.public_url, settings.jwt_issuers)
    delegation = Delegation(settings.trusted_principals, settings.memory_ids, settings.default_memory_id)
    if resource is not None:
        application = ScopeLimits(application, SUBJECT_KEY, resource, metrics)
    if keys := settings.resume_keys:
        codec = AESGCMRequestStateCodec(keys)
        application = Resumable(application, codec, SCOPE_KEY, READ_ONLY.__contains__, metrics)
    else:
        log.info("there are no keys (resume_keys_file): calls end with the replica that has them")
    request_limits = RequestLimits(
        application, settings.max_request_bytes, Budget(BYTES_IN_ALL, BYTES_OF_ONE), SCOPE_KEY, listed
    )
    identified = Identified(Traced(request_limits), identify, delegation, metrics, resource)
    allowed = settings.allowed_hosts or tuple(f"{host}:*" for host in LOOPBACK_HOSTS)
    any_host = not settings.allowed_hosts and settings.auth != "none"
    documents = resource.documents(MCP_PATH) if resource is not None else {}
    return Door(identified, MCP_PATH, allowed, any_host, bool(keys), documents)
