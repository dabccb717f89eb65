"""Starts a task exactly once, however often and through however many replicas the start is requested."""

import asyncio
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any
from weakref import WeakValueDictionary

from longtask_api import constants, trace_context
from longtask_api.bounds import is_small
from longtask_api.canonical import digest_of
from longtask_api.longtask import LongTask, Requester, RerunOf
from longtask_api.mcp_names import LABEL_REQUESTER, requester_label
from longtask_api.parameters import InvalidParameters, check_size, complete
from longtask_api.template import LongTaskTemplate
from longtask_mcp import tracing
from longtask_mcp.cache import Cache, version
from longtask_mcp.contract.callers import Caller, Owner
from longtask_mcp.contract.errors import AgentError, Problem, StartRefused
from longtask_mcp.contract.idempotency import Relation, Start
from longtask_mcp.contract.meaning import meant
from longtask_mcp.contract.task_status import CHECK_SECONDS, MIN_CHECK_SECONDS, created, shortened
from longtask_mcp.contract.tool_definitions import is_checked, not_ready_reason
from longtask_mcp.metrics import Metrics
from longtask_mcp.published import Published
from longtask_mcp.task_client import AlreadyExists, TaskClient
from longtask_runtime import clock
from longtask_runtime.validation import Validator

MAX_NAMES = 1000
"""Names that one start tries against the API server before it gives up."""
FOLLOW_SECONDS = 5.0
"""How long a start waits for the watch to deliver what was created before, in seconds."""
DECIDED_AFTER = timedelta(seconds=2 * FOLLOW_SECONDS)
"""Age of a task at which the replica that created it has decided whether it exceeds the limit."""
SHOWN_CHARACTERS = 500
MAX_NAMED = 20
"""Templates that an error names."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """The task of a start; `repeated` if an earlier call had already created it."""

    task: LongTask
    title: str
    """Title of the template, for people."""
    repeated: bool


class TaskStarter:
    """Creates tasks. A start in progress continues if the caller disconnects."""

    def __init__(
        self,
        tasks: TaskClient,
        templates: Cache[LongTaskTemplate],
        published: Published,
        validator: Validator,
        metrics: Metrics,
        max_active_tasks: int,
        follows: Callable[[int, float], Awaitable[bool]],
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """`follows(version, seconds)` waits until the cache has everything up to a version; False after a timeout."""
        self._tasks = tasks
        self._templates = templates
        self._published = published
        self._validator = validator
        self._metrics = metrics
        self._max_active_tasks = max_active_tasks
        self._follows = follows
        self._now = now
        self._same: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Locks that serialize equal starts in flight, by the name of their task."""
        self._in_flight: set[asyncio.Task[Started]] = set()
        self._creating: defaultdict[Owner, Counter[str]] = defaultdict(Counter)
        """Names that starts in flight are creating, by owner."""

    async def start(
        self,
        caller: Caller,
        template: str,
        parameters: dict[str, Any],
        key: str | None,
        rerun_of: RerunOf | None = None,
    ) -> Started:
        """Start a task, or find the one that an equal start already created. `rerun_of` is the earlier task that is
        run again.

        Raises StartRefused, KubernetesUnavailable, KubernetesRefused or TaskUnreadable.
        """
        given = _digest(parameters) if key is not None else None
        running = asyncio.ensure_future(self._counted(Start(caller, template, parameters, key, given, rerun_of)))
        self._in_flight.add(running)
        running.add_done_callback(self._finished)
        return await asyncio.shield(running)

    def knows(self, caller: Caller, template: str, key: str) -> bool:
        """Whether the caller has a task with that template and key, even if the template is gone."""
        return bool(self._candidates(Start(caller, template, {}, key)))

    async def drain(self, at_most: float) -> None:
        """Wait for the starts in flight, at most `at_most` seconds."""
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=at_most)

    def _finished(self, running: asyncio.Task[Started]) -> None:
        self._in_flight.discard(running)
        error = None if running.cancelled() else running.exception()
        if error is not None and not isinstance(error, AgentError):
            log.error("a start crashed", exc_info=error)

    async def _counted(self, asked: Start) -> Started:
        known = asked.template if self._templates.named(asked.template) else "unknown"
        try:
            with self._metrics.starts_in_flight.track_inprogress():
                started = await self._start(asked)
        except Exception:
            self._metrics.starts.labels(known, "rejected").inc()
            raise
        self._metrics.starts.labels(known, "repeated" if started.repeated else "created").inc()
        return started

    async def _start(self, asked: Start) -> Started:
        met = await self._met(asked) if asked.given is not None else None
        if met is not None:
            return met
        template, caller = self._ready(asked.template), asked.caller
        start = replace(asked, parameters=await self._complete(template, asked.parameters))
        async with self._one_at_a_time(start):
            task, repeated = await self._first_or_again(start)
            while repeated and not await self._stays(caller.owner, task):
                task, repeated = await self._first_or_again(start)
            if not repeated:
                await self._keep_limit(caller, task)
            return Started(task, template.title, repeated)

    async def _met(self, asked: Start) -> Started | None:
        """The task that the same call created before, even if its template has changed or is gone; None if there is
        none.
        """
        async with self._one_at_a_time(asked):
            task = next((each for each in self._candidates(asked) if asked.is_met_by(each, self._now())), None)
            if task is None or not await self._stays(asked.caller.owner, task):
                return None
            template = self._templates.named(asked.template)
            return Started(task, template.title if template is not None else asked.template, True)

    def _one_at_a_time(self, start: Start) -> asyncio.Lock:
        return self._same.setdefault(start.task_name(0), asyncio.Lock())

    def _candidates(self, start: Start) -> list[LongTask]:
        """Cached tasks that an equal start may have created."""
        caller, of_digest = start.caller, start.digest if start.key is None else ""
        return self._tasks.own(caller.owner).started_as(caller.session_id, start.template, start.key, of_digest)

    async def _first_or_again(self, start: Start) -> tuple[LongTask, bool]:
        """A new task, or the one that an equal start created; and whether it existed before."""
        earlier = await self._earlier(start, self._candidates(start))
        if earlier is not None:
            return earlier, True
        with self._room(start):
            return await self._create(start)

    @contextmanager
    def _room(self, start: Start) -> Iterator[None]:
        """Counts a start towards the caller's limit of unfinished tasks, from before the create until its task is
        cached. Raises StartRefused if the caller is at the limit.
        """
        whose, name = start.caller.owner, start.task_name(0)
        creating = self._creating[whose]
        unknown = sum(each != name and self._tasks.cache.named(each) is None for each in creating)
        active = len(self._tasks.own(whose).unfinished) + unknown
        if active >= self._max_active_tasks:
            raise self._too_many(active)
        creating[name] += 1
        try:
            yield
        finally:
            creating[name] -= 1
            if not creating[name]:
                del creating[name]
            if not creating:
                self._creating.pop(whose, None)

    async def _keep_limit(self, caller: Caller, task: LongTask) -> None:
        """Take a new task back if it exceeds the limit. Replicas create concurrently, so the order of creation decides,
        which is the same for all of them, once everything that was created before is cached here.
        """
        made = version(task)
        if not await self._follows(made, FOLLOW_SECONDS):
            log.warning("the watch is behind, so the limit of tasks is not held for %s", task.metadata.name)
            return
        before = sum(
            self._tasks.cache.first_seen(each.metadata.uid) < made for each in self._tasks.own(caller.owner).unfinished
        )
        if before >= self._max_active_tasks:
            await self._tasks.take_back(task)
            raise self._too_many(before)

    async def _stays(self, whose: Owner, task: LongTask) -> bool:
        """Whether an existing task is not taken back. If another replica created it a moment ago and it may exceed the
        limit, that replica's decision is awaited.
        """
        cache, uid = self._tasks.cache, task.metadata.uid
        left = (created(task) + DECIDED_AFTER - self._now()).total_seconds()
        if left <= 0:
            return True
        if await self._follows(version(task), FOLLOW_SECONDS) and not self._may_be_one_too_many(whose, task):
            return True
        while (now := cache.get(uid)) is not None and not (now.is_taken_back or now.is_terminal) and left > 0:
            await cache.changed(uid, version(now), left)
            left = (created(task) + DECIDED_AFTER - self._now()).total_seconds()
        return now is not None and not now.is_taken_back

    def _may_be_one_too_many(self, whose: Owner, task: LongTask) -> bool:
        """Whether the caller may have been at the limit when this task was created."""
        own = self._tasks.own(whose)
        since = created(task) - DECIDED_AFTER
        lately = takewhile(lambda each: (each.status.completion_time or created(each)) >= since, own.ended())
        others = {each.metadata.uid for each in (*own.unfinished, *lately)} - {task.metadata.uid}
        return len(others) >= self._max_active_tasks

    def _too_many(self, active: int) -> StartRefused:
        return StartRefused(
            f"You have {active} tasks that have not ended; {self._max_active_tasks} are allowed. Nothing was "
            "started. Wait for one to end (list_tasks shows them), or end one with cancel_task.",
            "too_many_tasks",
            CHECK_SECONDS,
        )

    async def _create(self, start: Start) -> tuple[LongTask, bool]:
        """The task under the first name that is free or already this start's; and whether it existed before."""
        n = tried = 0
        while tried < MAX_NAMES:
            name = start.task_name(n)
            there, just_made = self._tasks.cache.named(name), False
            if there is None:
                tried += 1
                try:
                    return await self._tasks.create(document(start, name, tracing.current())), False
                except AlreadyExists as exists:
                    there, just_made = await self._tasks.read(name), exists.perhaps_just_made
            if there is not None and await self._earlier(start, [there]) is not None:
                return there, not just_made
            n += 1
        raise StartRefused(f"{MAX_NAMES} other tasks have the names that this start would use; pass another key.")

    async def _earlier(self, start: Start, candidates: Iterable[LongTask]) -> LongTask | None:
        """The candidate that an equal start created. Raises StartRefused if the key was used with other parameters."""
        for task in candidates:
            match start.relation(task, self._now()):
                case Relation.SAME:
                    return task
                case Relation.CONFLICT:
                    raise StartRefused(
                        f"idempotency_key {start.key!r} was used for another start of {start.template} within 24 hours "
                        f"(task ID {task.metadata.uid}){_rerun(task.spec.rerun_of)}. Its parameters: "
                        f"{_shown(await self._parameters(task))}. Yours{_rerun(start.rerun_of)}: "
                        f"{_shown(start.parameters)}. Nothing was started. Use a new idempotency_key for different "
                        "work.",
                        "idempotency_key_used",
                    )
        return None

    async def _parameters(self, task: LongTask) -> Any:
        """The parameters of a task, read live; empty if it is gone."""
        read = await self._tasks.current(task)
        return read.spec.parameters if read is not None else {}

    def _ready(self, name: str) -> LongTaskTemplate:
        template = self._templates.named(name)
        if template is None:
            ready = sorted(each.metadata.name for each in self._templates.all() if each.is_ready)
            raise StartRefused(
                f"template: there is no template {name[:100]!r}. Available: {_named(ready)}. "
                "list_templates describes them.",
                "template_not_found",
            )
        if not template.is_ready:
            raise StartRefused(
                f"template: {name} cannot be started now: {not_ready_reason(template)}",
                "template_not_ready",
                CHECK_SECONDS if is_checked(template) else MIN_CHECK_SECONDS,
            )
        return template

    async def _complete(self, template: LongTaskTemplate, parameters: dict[str, Any]) -> dict[str, Any]:
        try:
            check_size(parameters)
            tool, schema = self._published.tool(template), template.spec.parameters_schema
            published = tool.input_schema if tool is not None else {}
            if is_small(parameters) and is_small(schema):
                return _completed(published, schema, parameters)
            return await self._validator.run(_completed, published, schema, parameters)
        except InvalidParameters as invalid:
            lines = "".join(f"\n- {error}" for error in invalid.errors)
            raise StartRefused(
                f"The parameters do not fit {template.metadata.name}; nothing was started:{lines}\n"
                f"list_templates shows the schema.",
                "invalid_parameters",
                problems=[Problem(each.path or "parameters", each.message) for each in invalid.errors],
            ) from invalid
        except ValueError as error:
            problem = Problem("parameters", str(error))
            raise StartRefused(f"{problem}; nothing was started.", "invalid_parameters", problems=[problem]) from error


def _digest(parameters: Mapping[str, Any]) -> str | None:
    """Digest of parameters as they were sent; None if they are not valid for any start."""
    try:
        check_size(parameters)
        return digest_of(parameters)
    except ValueError:
        return None


def _completed(
    published: Mapping[str, Any], schema: Mapping[str, Any], parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters, normalized by the published schema and completed by the author's. Raises ValueError."""
    return complete(schema, meant(published, parameters))


def document(start: Start, name: str, trace: Mapping[str, str]) -> dict[str, Any]:
    """The LongTask to create for a start, as a JSON object; `trace` has the headers of its trace."""
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
    if start.rerun_of is not None:
        spec["rerunOf"] = start.rerun_of.to_api()
    labels = {
        LABEL_REQUESTER: requester_label(*caller.owner),
        constants.LABEL_TEMPLATE: start.template,
        constants.LABEL_MANAGED_BY: constants.MANAGED_BY,
    }
    annotations = trace_context.annotations(trace)
    if start.given is not None:
        annotations[constants.ANNOTATION_GIVEN] = start.given
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TASK_KIND,
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": spec,
    }


def _named(templates: list[str]) -> str:
    more = f" and {len(templates) - MAX_NAMED} more" if len(templates) > MAX_NAMED else ""
    return f"{', '.join(templates[:MAX_NAMED])}{more}" if templates else "none"


def _rerun(rerun_of: RerunOf | None) -> str:
    if rerun_of is None:
        return ""
    return f", a rerun of {rerun_of.uid}{' from its checkpoint' if rerun_of.from_checkpoint else ''}"


def _shown(parameters: Any) -> str:
    return shortened(json.dumps(parameters, ensure_ascii=False, default=dict), SHOWN_CHARACTERS)
