"""Resumption, by any replica, of tool calls whose answer stream broke (MCP 2025-11-25, Transports, "Resumability and
Redelivery").

Nothing is stored for it: the id of an event holds what is needed to go on, sealed under a key that the replicas share.
A client sends the last id back in a GET, which is answered as the call would have been, under the call's own JSON-RPC
id.
"""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pydantic_core
from mcp.server.request_state import InvalidRequestState, RequestStateCodec
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, ValidationError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longtask_mcp.contract.callers import Caller
from longtask_mcp.metrics import Metrics
from longtask_mcp.request_limits import LAST_EVENT_ID, refusal, replay
from longtask_runtime import clock

VERSION: Final = "2025-11-25"
"""The only version whose clients can read an event without data, and resume; 2026-07-28 has no resumption."""
RESUME_SECONDS = 300.0
"""How long after its begin a call can be resumed, in seconds."""
RETRY_MILLISECONDS = 2000
"""When a client is to reconnect. The SDKs try twice: by then a Service has dropped a replica that was killed."""
MAX_ID = 6144
"""Characters of an id. Proxies take 8 KiB for a header; a call that needs more cannot be resumed."""
META = ("progressToken", "traceparent", "tracestate")
SCOPE_KEY = "longtask.resumable"
REPLACED = frozenset(
    {
        "accept",
        "content-encoding",
        "content-length",
        "content-type",
        "transfer-encoding",
        LAST_EVENT_ID,
        MCP_PROTOCOL_VERSION_HEADER,
    }
)
"""Headers of a GET that do not fit the call it stands for."""

log = logging.getLogger(__name__)


class Begun(BaseModel):
    """A task that a call has started and now waits for."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    title: str
    repeated: bool
    wait_seconds: float


class State(BaseModel):
    """What an event id holds. Without `arguments` and `begun` the call cannot go on, as it may have changed
    something.
    """

    model_config = ConfigDict(frozen=True)

    caller: str
    began: float
    """Unix time."""
    id: StrictInt | StrictStr
    """The JSON-RPC id of the call."""
    meta: dict[str, StrictInt | StrictStr]
    """Of the call's `_meta`, the keys in META."""
    tool: str
    arguments: dict[str, Any] | None = None
    begun: Begun | None = None

    def request(self) -> bytes:
        """The body of the call."""
        params = {"name": self.tool, "arguments": self.arguments or {}, "_meta": self.meta}
        return json.dumps({"jsonrpc": "2.0", "id": self.id, "method": "tools/call", "params": params}).encode()


@dataclass(frozen=True)
class Resumed:
    """A call that was begun elsewhere, `seconds` ago."""

    seconds: float
    begun: Begun | None = None
    problem: str | None = None
    """Why it cannot go on; the text says what to do."""


async def _unresumable(_: Begun) -> None:
    pass


@dataclass(frozen=True)
class Resumption:
    """What a tool's handler needs for it: `resumed`, if the call was begun elsewhere, and `waits_for`, by which it says
    that from now on it only waits for a task that it started.
    """

    resumed: Resumed | None = None
    waits_for: Callable[[Begun], Awaitable[None]] = _unresumable


def resumption_of(request: Any) -> Resumption:
    """The resumption of a Starlette request's tool call."""
    found: Resumption = request.scope.get(SCOPE_KEY, Resumption())
    return found


class Resumable:
    """Gives the events of tool calls their ids, and answers GET with Last-Event-ID; bodies must arrive whole."""

    def __init__(
        self,
        app: ASGIApp,
        codec: RequestStateCodec,
        whose: str,
        repeatable: Callable[[str], bool],
        metrics: Metrics,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """`whose` is the scope's key for the Caller; `repeatable` tells whether a tool only reads."""
        self._app = app
        self._codec = codec
        self._whose = whose
        self._repeatable = repeatable
        self._metrics = metrics
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = (await receive()).get("body", b"")
        if scope["method"] == "GET":
            await self._resume(scope, receive, send)
        elif (state := self._state_of(scope, body)) is None:
            await self._app(scope, replay(body, receive), send)
        else:
            await self._answer(scope, body, receive, send, state)

    async def _resume(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            state = self._opened(headers.get(LAST_EVENT_ID, ""), scope[self._whose])
        except InvalidRequestState as invalid:
            log.warning("a call is not resumed", extra={"reason": str(invalid)})
            self._metrics.refusals.labels("BadEventId").inc()
            text = "Last-Event-ID: not an id that this server gave to you; make the call again"
            await refusal(400, text)(scope, receive, send)
            return
        resumed = self._resumed(state)
        log.info(
            "a call is resumed",
            extra={
                "tool": state.tool[:100],
                "caller": scope[self._whose].principal,
                "seconds": round(resumed.seconds, 3),
                "refused": resumed.problem is not None,
            },
        )
        kept = [(name, value) for name, value in scope["headers"] if name.decode("latin-1") not in REPLACED]
        given = {
            "accept": "application/json, text/event-stream",
            "content-type": "application/json",
            MCP_PROTOCOL_VERSION_HEADER: VERSION,
        }
        added = [(name.encode(), value.encode()) for name, value in given.items()]
        call = {**scope, "method": "POST", "headers": [*kept, *added]}
        await self._answer(call, state.request(), receive, send, state, resumed)

    async def _answer(
        self, scope: Scope, body: bytes, receive: Receive, send: Send, state: State, resumed: Resumed | None = None
    ) -> None:
        events = _Events(send, self._sealed, state)
        resumption = Resumption(resumed, events.wait_for)
        await self._app({**scope, SCOPE_KEY: resumption}, replay(body, receive), events.send)

    def _state_of(self, scope: Scope, body: bytes) -> State | None:
        """Where a call begins; None for other requests, and for clients that do not resume."""
        if Headers(scope=scope).get(MCP_PROTOCOL_VERSION_HEADER) != VERSION:
            return None
        try:
            request = pydantic_core.from_json(body)
            params = request["params"]
            if request["method"] != "tools/call" or "id" not in request:
                return None
            tool, arguments, meta = params["name"], params.get("arguments") or {}, params.get("_meta") or {}
            return State(
                caller=_digest(scope[self._whose]),
                began=self._now().timestamp(),
                id=request["id"],
                meta={key: meta[key] for key in META if key in meta},
                tool=tool,
                arguments=arguments if self._repeatable(tool) else None,
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None

    def _sealed(self, state: State) -> str | None:
        """The id of an event; None if it would be too long."""
        token = self._codec.seal(state.model_dump_json(exclude_none=True).encode())
        return token if len(token) <= MAX_ID else None

    def _opened(self, token: str, caller: Caller) -> State:
        """Raises InvalidRequestState, with a reason for the log."""
        if len(token) > MAX_ID:
            raise InvalidRequestState("too long")
        try:
            state = State.model_validate_json(self._codec.unseal(token))
        except ValidationError as error:
            raise InvalidRequestState("of another release") from error
        if state.caller != _digest(caller):
            raise InvalidRequestState("of another caller")
        return state

    def _resumed(self, state: State) -> Resumed:
        seconds = max(0.0, self._now().timestamp() - state.began)
        problem = None
        if seconds > RESUME_SECONDS:
            task = f" Task {state.begun.task_id} was started by it: check_task_status." if state.begun else ""
            problem = (
                f"This call cannot be resumed: it began {seconds:.0f} seconds ago, and {RESUME_SECONDS:g} are allowed. "
                f"Tasks go on meanwhile.{task or ' Make the call again.'}"
            )
        elif state.arguments is None and state.begun is None:
            problem = (
                f"The server that had this call went away before it answered, and it is not known whether {state.tool} "
                "took effect. Make the same call again now: what did happen is met, not repeated."
            )
        return Resumed(seconds, state.begun, problem)


class _Events:
    """The events of one answer: an event with an id and no data before the first, and when the state has changed."""

    def __init__(self, send: Send, seal: Callable[[State], str | None], state: State) -> None:
        self._send = send
        self._seal = seal
        self._state = state
        self._streams = False

    async def send(self, message: Message) -> None:
        """Send what the application sends."""
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._streams = False
        await self._send(message)
        if message["type"] == "http.response.start" and _is_stream(message):
            self._streams = True
            await self._mark()

    async def wait_for(self, begun: Begun) -> None:
        """From now on, resume the wait for a task that was started."""
        self._state = self._state.model_copy(update={"begun": begun})
        if self._streams:
            await self._mark()

    async def _mark(self) -> None:
        token = self._seal(self._state)
        if token is not None:
            event = f"id: {token}\r\nretry: {RETRY_MILLISECONDS}\r\ndata: \r\n\r\n"
            await self._send({"type": "http.response.body", "body": event.encode(), "more_body": True})


def _is_stream(start: Mapping[str, Any]) -> bool:
    return Headers(raw=list(start.get("headers", []))).get("content-type", "").startswith("text/event-stream")


def _digest(caller: Caller) -> str:
    """Identifies a caller with its session and memory."""
    memory = caller.memory.to_api() if caller.memory is not None else None
    seed = json.dumps([caller.principal, caller.actor_id, caller.session_id, memory], sort_keys=True)
    return hashlib.sha256(seed.encode()).hexdigest()[:32]
