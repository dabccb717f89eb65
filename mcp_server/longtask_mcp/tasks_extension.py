"""The MCP Tasks extension (SEP-2663) for clients of protocol 2026-07-28: tasks as answers of tools that start work, and
the methods tasks/get, tasks/update and tasks/cancel.

Only the rules of the protocol are here: what a request must declare, its headers, codes of errors. Tasks come from a
TaskStore.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import CallToolRequestParams, ClientCapabilities, RequestParams
from mcp_types.jsonrpc import HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS

from longtask_api.template import ToolAnswer
from longtask_mcp.call import Call
from longtask_mcp.call_log import CallLog
from longtask_mcp.contract.errors import AgentError, AnswerRefused, BadArguments, Problem, StartRefused, TaskNotFound
from longtask_mcp.identity import caller_of
from longtask_mcp.tool_result import or_error

IDENTIFIER: Final = "io.modelcontextprotocol/tasks"
VERSIONS: Final = frozenset({"2026-07-28"})
GET: Final = "tasks/get"
UPDATE: Final = "tasks/update"
CANCEL: Final = "tasks/cancel"
METHODS: Final = frozenset({GET, UPDATE, CANCEL})
INVALID: Final = (BadArguments, TaskNotFound, AnswerRefused)
"""Errors in what the client sent; all others are of this server or of what it depends on."""
COMPLETE: Final[Mapping[str, Any]] = {"resultType": "complete"}
"""The acknowledgement of tasks/update and tasks/cancel; it has no fields of the task."""


class TaskStore(Protocol):
    """Tasks as the protocol sees them. `elicits`: the client can show forms. All async methods raise AgentError."""

    async def tool_answer(self, call: Call) -> ToolAnswer | None:
        """What the template says a tool call answers; None if the call starts nothing or is invalid."""
        ...

    async def start(self, call: Call, elicits: bool) -> dict[str, Any]:
        """The CreateTaskResult of a tool call, once a tasks/get on any replica would find the task."""
        ...

    async def get(self, call: Call, task_id: str, elicits: bool) -> dict[str, Any]:
        """The GetTaskResult of a task."""
        ...

    async def update(self, call: Call, task_id: str, responses: Mapping[str, Any]) -> None:
        """Take responses to input requests, by their keys; those that are unknown or answered are ignored."""
        ...

    async def cancel(self, call: Call, task_id: str, elicits: bool) -> None:
        """Request the cancellation of a task; nothing happens if it has ended."""
        ...


class TaskParams(RequestParams):
    """Parameters of tasks/get and tasks/cancel; checked after the declaration, so anything is taken here."""

    task_id: Any = None


class UpdateParams(TaskParams):
    """Parameters of tasks/update: a response for each key of an input request."""

    input_responses: Any = None


class TasksExtension(Extension):
    """Only what a request itself declares counts, not what the same client declared before."""

    identifier = IDENTIFIER

    def __init__(self, store: TaskStore, calls: CallLog) -> None:
        self._store = store
        self._calls = calls

    def methods(self) -> Sequence[MethodBinding]:
        """The three methods; other versions of the protocol do not have them."""
        return (
            MethodBinding(GET, TaskParams, self._get, VERSIONS),
            MethodBinding(UPDATE, UpdateParams, self._update, VERSIONS),
            MethodBinding(CANCEL, TaskParams, self._cancel, VERSIONS),
        )

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """A task instead of the tool's own answer, if the request declares the extension and the tool starts work."""
        call = _call(ctx, params.name, params.arguments or {})
        answer = await self._store.tool_answer(call)
        if answer is None or answer is ToolAnswer.HANDLE:
            return await call_next(ctx)
        if _declared(ctx):
            return await or_error(params.name, self._started(call, _elicits(ctx)))
        if answer is not ToolAnswer.TASK:
            return await call_next(ctx)
        return await or_error(params.name, self._refused(call, ctx))

    async def _refused(self, call: Call, ctx: ServerRequestContext[Any, Any]) -> dict[str, Any]:
        """Of a tool that only answers with a task, to a client that has none. Raises MCPError or StartRefused."""
        with self._calls.of(call):
            if ctx.protocol_version in VERSIONS:
                require_client_extension(ctx, IDENTIFIER)
            raise StartRefused(
                f"{call.tool} answers only with an MCP task ({IDENTIFIER}, protocol 2026-07-28), which your client "
                "does not know; nothing was started. Another client may, or the author of the template sets "
                "tool.answer to Auto.",
                "task_client_needed",
            )

    async def _started(self, call: Call, elicits: bool) -> dict[str, Any]:
        with self._calls.of(call) as entry:
            started = await self._store.start(call, elicits)
            entry.task_id = started["taskId"]
            return started

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        with self._about(ctx, params) as call:
            return await self._store.get(call, params.task_id, _elicits(ctx))

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: UpdateParams) -> HandlerResult:
        with self._about(ctx, params) as call:
            if not isinstance(params.input_responses, dict):
                raise BadArguments(Problem("inputResponses", "must be an object with a response for each key"))
            await self._store.update(call, params.task_id, params.input_responses)
        return dict(COMPLETE)

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> HandlerResult:
        with self._about(ctx, params) as call:
            await self._store.cancel(call, params.task_id, _elicits(ctx))
        return dict(COMPLETE)

    @contextmanager
    def _about(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> Iterator[Call]:
        """The call of a method about one task, whose declaration, parameters and headers are checked; errors become
        MCPError.
        """
        call = _call(ctx, ctx.method, {"task_id": params.task_id})
        try:
            with self._calls.of(call):
                require_client_extension(ctx, IDENTIFIER)
                if not isinstance(params.task_id, str):
                    raise BadArguments(Problem("taskId", "must be a string"))
                headers = ctx.request.headers if ctx.request is not None else {}
                if decode_header_value(headers.get(MCP_NAME_HEADER)) != params.task_id:
                    raise MCPError(HEADER_MISMATCH, "Mcp-Name header does not match the body's 'taskId' parameter")
                yield call
        except AgentError as error:
            code = INVALID_PARAMS if isinstance(error, INVALID) else INTERNAL_ERROR
            raise MCPError(code, str(error), data=error.envelope) from error


def _call(ctx: ServerRequestContext[Any, Any], name: str, arguments: Mapping[str, Any]) -> Call:
    return Call(caller_of(ctx.request), str(ctx.request_id), name, arguments, _unreported)


async def _unreported(value: float, total: float | None, message: str) -> None:
    """The protocol has no progress notifications for tasks: statusMessage says how far they are."""


def _capabilities(ctx: ServerRequestContext[Any, Any]) -> ClientCapabilities:
    return ctx.session.client_capabilities or ClientCapabilities()


def _declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    return ctx.protocol_version in VERSIONS and IDENTIFIER in (_capabilities(ctx).extensions or {})


def _elicits(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client can show forms; a capability without modes means that it can."""
    elicitation = _capabilities(ctx).elicitation
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)
