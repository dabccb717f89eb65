"""How large a body may be, and how often a task may call."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longtask_api.bounds import MAX_DEPTH, excess
from longtask_operator.task_api.errors import Refusal

LEVELS_AROUND = 10
"""Of a body around a schema or an answer."""
REMEMBERED = 20_000


class SmallBodies:
    """Reads the body of a call that should be small before the app sees it; one that is larger gets 413.

    So does one whose JSON nobody should parse, with 422. These bodies are JSON whatever the caller names them:
    `curl -d` says that they are a form.
    """

    def __init__(self, app: ASGIApp, limits: Mapping[str, int]) -> None:
        """`limits` are bytes, by the path's last part; other calls stream and are not looked at."""
        self._app = app
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._limits.get(scope["path"].rpartition("/")[2]) if scope["type"] == "http" else None
        if limit is None or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        body = None if length.isdecimal() and int(length) > limit else await _read(receive, limit)
        if body is None:
            detail = f"the body has more than {limit} bytes, which is the limit here; nothing of it was taken"
            await Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooLarge", detail).response()(scope, receive, send)
            return
        if problem := excess(body, MAX_DEPTH + LEVELS_AROUND):
            refusal = Refusal(
                HTTPStatus.UNPROCESSABLE_ENTITY, "Malformed", f"the body {problem}; nothing of it was taken"
            )
            await refusal.response()(scope, receive, send)
            return
        MutableHeaders(scope=scope)["content-type"] = "application/json"
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)


async def _read(receive: Receive, limit: int) -> bytes | None:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body"):
            return bytes(body)


class Rate:
    """A token bucket for each task."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`per_second` calls in the long run; four seconds' worth at once."""
        self._per_second = per_second
        self._burst = 4 * per_second
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count a call. Raises Refusal (429) where there were too many."""
        now = self._clock()
        left, at = self._buckets.get(key, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        self._buckets[key] = (max(left - 1, 0.0) if left >= 1 else left, now)
        self._buckets.move_to_end(key)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if left < 1:
            detail = f"a task may report {self._per_second:g} times a second; the newest report is what counts"
            raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "TooManyReports", detail, {"Retry-After": "1"})
