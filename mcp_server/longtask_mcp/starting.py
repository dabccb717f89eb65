"""Starting a task once, however often and through however many replicas it is asked for."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from longtask_api import names
from longtask_api.longtask import LongTask, Requester
from longtask_api.parameters import InvalidParameters
from longtask_api.template import LongTaskTemplate
from longtask_api.tools import LABEL_REQUESTER, requester_label
from longtask_mcp.cache import Cache
from longtask_mcp.contract.callers import Caller
from longtask_mcp.contract.catalogue import not_ready_reason
from longtask_mcp.contract.errors import AgentError, StartRefused
from longtask_mcp.contract.facts import CHECK_SECONDS, shortened
from longtask_mcp.contract.idempotency import Relation, Start, canonical
from longtask_mcp.contract.meaning import meant
from longtask_mcp.metrics import Metrics
from longtask_mcp.published import Published
from longtask_mcp.tasks import AlreadyExists, Tasks
from longtask_runtime.validation import Validator

MAX_NAMES = 1000
"""Names that one start tries against the API server before it gives up."""
SHOWN_CHARACTERS = 500

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """The task of a start; `repeated` when an earlier call had already created it."""

    task: LongTask
    template: LongTaskTemplate
    repeated: bool


class Starter:
    """Creates tasks. A start that has begun goes on when the caller disconnects."""

    def __init__(
        self,
        tasks: Tasks,
        templates: Cache[LongTaskTemplate],
        published: Published,
        validator: Validator,
        metrics: Metrics,
        max_active_tasks: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tasks = tasks
        self._templates = templates
        self._published = published
        self._validator = validator
        self._metrics = metrics
        self._max_active_tasks = max_active_tasks
        self._now = now
        self._in_flight: set[asyncio.Task[Started]] = set()

    async def start(self, caller: Caller, template: str, parameters: dict[str, Any], key: str | None) -> Started:
        """Start a task, or find the one that this start already made.

        Raises StartRefused, and KubernetesUnavailable or KubernetesRefused.
        """
        running = asyncio.ensure_future(self._counted(caller, template, parameters, key))
        self._in_flight.add(running)
        running.add_done_callback(self._finished)
        return await asyncio.shield(running)

    async def drain(self, at_most: float) -> None:
        """Wait for the starts in flight, for `at_most` seconds."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=at_most)

    def _finished(self, running: asyncio.Task[Started]) -> None:
        self._in_flight.discard(running)
        error = None if running.cancelled() else running.exception()
        if error is not None and not isinstance(error, AgentError):
            log.error("a start crashed", exc_info=error)

    async def _counted(self, caller: Caller, template: str, parameters: dict[str, Any], key: str | None) -> Started:
        known = template if self._templates.named(template) else "unknown"
        try:
            with self._metrics.starts_in_flight.track_inprogress():
                started = await self._start(caller, template, parameters, key)
        except Exception:
            self._metrics.starts.labels(known, "rejected").inc()
            raise
        self._metrics.starts.labels(known, "repeated" if started.repeated else "created").inc()
        return started

    async def _start(self, caller: Caller, name: str, parameters: dict[str, Any], key: str | None) -> Started:
        template = self._ready(name)
        start = Start(caller, name, await self._complete(template, parameters), key)
        earlier = self._earlier(start, self._tasks.cache.of(caller.owner))
        if earlier is not None:
            return Started(earlier, template, repeated=True)
        active = sum(not task.is_terminal for task in self._tasks.cache.of(caller.owner))
        if active >= self._max_active_tasks:
            raise StartRefused(
                f"You have {active} tasks that have not ended; {self._max_active_tasks} are allowed. Nothing was "
                "started. Wait for one to end (list_tasks shows them), or end one with cancel_task.",
                "too_many_tasks",
                CHECK_SECONDS,
            )
        task, repeated = await self._create(start)
        return Started(task, template, repeated)

    async def _create(self, start: Start) -> tuple[LongTask, bool]:
        """The task under the first name that is free or already this start's; and whether it was there before."""
        n = tried = 0
        while tried < MAX_NAMES:
            name = start.task_name(n)
            known = self._tasks.cache.named(name)
            if known is None:
                tried += 1
                try:
                    return await self._tasks.create(document(start, name)), False
                except AlreadyExists:
                    known = await self._tasks.read(name)
            if known is not None and self._earlier(start, [known]) is not None:
                return known, True
            n += 1
        raise StartRefused(f"{MAX_NAMES} other tasks have the names that this start would use; pass another key.")

    def _earlier(self, start: Start, candidates: Iterable[LongTask]) -> LongTask | None:
        """The candidate that this start made. Raises StartRefused where the key is taken by another start."""
        for task in candidates:
            match start.relation(task, self._now()):
                case Relation.SAME:
                    return task
                case Relation.CONFLICT:
                    raise StartRefused(
                        f"idempotency_key {start.key!r} was used for another start of {start.template} within 24 hours "
                        f"(task ID {task.metadata.uid}). Its parameters: {_shown(task.spec.parameters)}. "
                        f"Yours: {_shown(start.parameters)}. Nothing was started. Use a new idempotency_key for "
                        "different work.",
                        "idempotency_key_used",
                    )
        return None

    def _ready(self, name: str) -> LongTaskTemplate:
        template = self._templates.named(name)
        if template is None:
            ready = sorted(each.metadata.name for each in self._templates.all() if each.is_ready)
            raise StartRefused(
                f"template: there is no template {name[:100]!r}. Available: {', '.join(ready) or 'none'}. "
                "list_templates describes them.",
                "template_not_found",
            )
        if not template.is_ready:
            raise StartRefused(
                f"template: {name} cannot be started now: {not_ready_reason(template)}", "template_not_ready"
            )
        return template

    async def _complete(self, template: LongTaskTemplate, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            tool = self._published.tool(template)
            given = meant(tool.input_schema, parameters) if tool is not None else parameters
            canonical(given)
            return await self._validator.complete(template.spec.parameters_schema, given)
        except InvalidParameters as invalid:
            lines = "".join(f"\n- {error}" for error in invalid.errors)
            raise StartRefused(
                f"The parameters do not fit {template.metadata.name}; nothing was started:{lines}\n"
                f"list_templates shows the schema.",
                "invalid_parameters",
            ) from invalid
        except ValueError as error:
            raise StartRefused(f"parameters: {error}; nothing was started.", "invalid_parameters") from error


def document(start: Start, name: str) -> dict[str, Any]:
    """The LongTask to create for a start."""
    caller = start.caller
    spec: dict[str, Any] = {
        "templateRef": {"name": start.template},
        "parameters": start.parameters,
        "requester": Requester(
            principal=caller.principal, actor_id=caller.actor_id, session_id=caller.session_id
        ).to_api(),
    }
    if caller.memory is not None:
        spec["memory"] = caller.memory.to_api()
    if start.key is not None:
        spec["idempotencyKey"] = start.key
    labels = {
        LABEL_REQUESTER: requester_label(*caller.owner),
        names.LABEL_TEMPLATE: start.template,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.TASK_KIND,
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
    }


def _shown(parameters: Any) -> str:
    return shortened(json.dumps(parameters, ensure_ascii=False, default=dict), SHOWN_CHARACTERS)
