"""Tools that start tasks: start_task, rerun_task, and one for each template."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from longtask_api import constants
from longtask_api.longtask import RerunOf
from longtask_api.mcp_names import FIXED_TOOLS, RESERVED_ARGUMENTS
from longtask_api.template import LongTaskTemplate
from longtask_mcp.cache import Cache
from longtask_mcp.call import WAIT_SECONDS, Call
from longtask_mcp.contract import answers, arguments
from longtask_mcp.contract.answers import Answer
from longtask_mcp.contract.errors import AgentError, ToolNotFound
from longtask_mcp.contract.rerun import check_rerun
from longtask_mcp.resumption import Begun
from longtask_mcp.start_task import Started, TaskStarter
from longtask_mcp.task_finder import Found, TaskFinder
from longtask_mcp.wait_tools import WaitTools
from longtask_runtime import clock

START_TASK = "start_task"
RERUN_TASK = "rerun_task"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Starting:
    """A start that was requested."""

    template: str
    parameters: dict[str, Any]
    reserved: arguments.Reserved
    rerun_of: RerunOf | None = None


class StartTools:
    """Answers calls that start a task."""

    def __init__(
        self,
        templates: Cache[LongTaskTemplate],
        starter: TaskStarter,
        finder: TaskFinder,
        waits: WaitTools,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._templates = templates
        self._starter = starter
        self._finder = finder
        self._waits = waits
        self._now = now

    async def starting(self, call: Call) -> Starting | None:
        """What a call would start; None if its tool starts nothing. Raises ToolNotFound or BadArguments, and for a
        rerun what `found` of the finder raises, and StartRefused.
        """
        if call.tool == START_TASK:
            wanted = arguments.read(arguments.StartTask, call.arguments)
            return Starting(wanted.template, wanted.parameters, wanted)
        if call.tool == RERUN_TASK:
            return await self._rerunning(call)
        return None if call.tool in FIXED_TOOLS else self._of_template(call)

    async def begin(self, call: Call, starting: Starting) -> Started:
        """Start the task, or find that of an equal start."""
        key = starting.reserved.idempotency_key
        return await self._starter.start(call.caller, starting.template, starting.parameters, key, starting.rerun_of)

    async def start(self, call: Call, starting: Starting) -> Answer:
        """Start the task, and wait for it as long as the call asks."""
        started = await self.begin(call, starting)
        seconds = starting.reserved.wait_seconds
        if not seconds:
            return self._handle(started)
        uid = started.task.metadata.uid
        begun = Begun(task_id=uid, title=started.title, repeated=started.repeated, wait_seconds=seconds)
        await call.resumption.waits_for(begun)
        return await self.wait(call, Found(started.task), begun)

    async def wait(self, call: Call, found: Found, begun: Begun) -> Answer:
        """The answer to a start that has begun, here or at another replica, after the wait for its task."""
        handle = self._handle(Started(found.task, begun.title, begun.repeated))
        try:
            async with asyncio.timeout_at(call.arrived + WAIT_SECONDS):
                return answers.waited(handle, await self._waits.wait(call, found, begun.wait_seconds))
        except TimeoutError:
            return answers.not_waited(handle, "the cluster did not answer in time.")
        except AgentError as error:
            return answers.not_waited(handle, str(error))
        except Exception:
            log.exception("the wait for task %s crashed", begun.task_id)
            return answers.not_waited(handle, "the server failed inside.")

    def _handle(self, started: Started) -> Answer:
        announce = answers.repeated if started.repeated else answers.started
        return announce(started.task, started.title, self._now())

    def template_of(self, tool: str) -> LongTaskTemplate | None:
        """The template whose tool has that name."""
        template = self._templates.named(tool.replace("_", "-"))
        return template if template is not None and constants.tool_name(template.metadata.name) == tool else None

    def _of_template(self, call: Call) -> Starting:
        template = self.template_of(call.tool)
        name, key = call.tool.replace("_", "-"), call.arguments.get("idempotency_key")
        if template is None and not (isinstance(key, str) and self._starter.knows(call.caller, name, key)):
            raise ToolNotFound(
                f"There is no tool {call.tool[:100]!r} (any more). list_templates shows what can be started now."
            )
        reserved = {key: value for key, value in call.arguments.items() if key in RESERVED_ARGUMENTS}
        parameters = {key: value for key, value in call.arguments.items() if key not in RESERVED_ARGUMENTS}
        return Starting(name, parameters, arguments.read(arguments.Reserved, reserved))

    async def _rerunning(self, call: Call) -> Starting:
        wanted = arguments.read(arguments.RerunTask, call.arguments)
        try:
            earlier = await self._finder.live(call, wanted.task_id)
            check_rerun(earlier.task, earlier.archived, wanted.from_checkpoint)
        except AgentError:
            key = wanted.idempotency_key
            made = self._finder.rerun(call, wanted.task_id, key) if key is not None else None
            if made is None:
                raise
            return await self._repeating(call, wanted, made)
        metadata = earlier.task.metadata
        again = RerunOf(name=metadata.name, uid=metadata.uid, from_checkpoint=wanted.from_checkpoint)
        parameters = {**earlier.task.spec.parameters, **wanted.parameters}
        return Starting(earlier.task.spec.template_ref.name, parameters, wanted, again)

    async def _repeating(self, call: Call, wanted: arguments.RerunTask, made: str) -> Starting:
        """A rerun that created the task `made` before its earlier task left the cluster."""
        again = (await self._finder.live(call, made)).task.spec
        return Starting(again.template_ref.name, {**again.parameters, **wanted.parameters}, wanted, again.rerun_of)
