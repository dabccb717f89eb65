"""Authenticates bearer tokens with the API server's TokenReview for one audience, and caches the answers briefly."""

import asyncio
import base64
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_api.bounds import excess
from longtask_runtime import kube

MEMORY_SECONDS = 10.0
"""Seconds for which a positive answer is cached. A revoked token works for that much longer."""
REFUSED_SECONDS = 5.0
"""Seconds for which a refusal is cached. It delays a new pod with a token that the API server does not know yet."""
REVIEWS_AT_ONCE = 32
"""Concurrent reviews. A flood of different tokens queues here and not in the API server."""
MEMORY_ENTRIES = 16_384
"""Entries in each cache; the oldest are evicted."""
MAX_TOKEN_LENGTH = 16 * 1024
"""Characters."""
RETRY_AFTER_SECONDS = 5

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Identity:
    """The user of a token. `extra` has what the issuer adds, such as authentication.kubernetes.io/pod-name."""

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]


class Reason(StrEnum):
    """Why a token was refused."""

    MISSING = "Missing"
    INVALID = "Invalid"
    BAD_SIGNATURE = "BadSignature"
    UNKNOWN_KEY = "UnknownKey"
    NOT_YET_VALID = "NotYetValid"
    EXPIRED = "Expired"
    WRONG_AUDIENCE = "WrongAudience"


class Refused(Exception):
    """The token does not prove an identity here. The text is for the caller and says which token is needed."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unavailable(Exception):
    """Nobody can say now who the caller is: respond with 503, `answer` and Retry-After `retry_after`, in seconds."""

    retry_after = RETRY_AFTER_SECONDS
    answer = "the Kubernetes API cannot be asked who you are; try again in a few seconds"


class TokenReviewer:
    """Reviews tokens against one audience
    (https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/).
    """

    def __init__(self, client: ApiClient, audience: str, memory_seconds: float = MEMORY_SECONDS) -> None:
        """`memory_seconds` is how long an answer is cached, at most until the token expires. Refusals have a cache of
        their own, so that bad tokens cannot evict good ones, and a shorter time."""
        self._client = client
        self._audience = audience
        self._known: Memory[str, Identity] = Memory(memory_seconds)
        self._expired: Memory[str, Identity] = Memory(0.0)
        self._refused = Refusals()
        self._reviews = asyncio.Semaphore(REVIEWS_AT_ONCE)

    async def review(self, token: str) -> Identity:
        """The user of `token`. Raises Refused or Unavailable."""
        if not token:
            raise Refused(Reason.MISSING, f"a bearer token with audience {self._audience} is needed")
        if len(token) > MAX_TOKEN_LENGTH:
            raise Refused(Reason.INVALID, f"the token is longer than {MAX_TOKEN_LENGTH} characters")
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
        self._refused.recall(digest)
        known = self._expired if _expired(token) else self._known
        try:
            return await known.get(digest, lambda: self._ask(token))
        except Refused as refused:
            self._refused.remember(digest, refused)
            raise

    async def _ask(self, token: str) -> Identity:
        async with self._reviews:
            status = await submit_review(
                self._client,
                "/apis/authentication.k8s.io/v1/tokenreviews",
                {
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenReview",
                    "spec": {"token": token, "audiences": [self._audience]},
                },
            )
        return identity(status, self._audience)


def identity(status: Mapping[str, Any], audience: str) -> Identity:
    """The identity in the status of a TokenReview. Raises Refused."""
    error = str(status.get("error", ""))
    if not status.get("authenticated"):
        if "audiences" in error:
            raise Refused(Reason.WRONG_AUDIENCE, f"the token is for another audience; {audience} is needed")
        if "expired" in error:
            raise Refused(Reason.EXPIRED, f"the token has expired; get a new one with audience {audience}")
        raise Refused(Reason.INVALID, f"the token is not valid in this cluster; one with audience {audience} is needed")
    if audience not in status.get("audiences", []):
        raise Refused(Reason.WRONG_AUDIENCE, f"the token's issuer knows no audiences; {audience} is needed")
    user = status.get("user", {})
    return Identity(
        username=user.get("username", ""),
        uid=user.get("uid", ""),
        groups=tuple(user.get("groups", [])),
        extra={key: tuple(values) for key, values in user.get("extra", {}).items()},
    )


def _expired(token: str) -> bool:
    """Whether the exp claim of a JWT has passed; False if the token cannot be parsed."""
    try:
        return has_passed(json_segment(token.split(".")[1]))
    except (ValueError, LookupError):
        return False


def json_segment(segment: str) -> Any:
    """A part of a JWT, unverified (RFC 7515, section 3.1). Raises ValueError."""
    data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    if problem := excess(data):
        raise ValueError(f"a part of it {problem}")
    return json.loads(data)


def has_passed(claims: Any, leeway: float = 0.0) -> bool:
    """Whether the exp of the claims was more than `leeway` seconds ago (RFC 7519, section 4.1.4); False if there is no
    usable one.
    """
    try:
        return float(claims["exp"]) + leeway <= time.time()
    except (ValueError, LookupError, TypeError, OverflowError):
        return False


async def submit_review(client: ApiClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """POST a review object (TokenReview, SubjectAccessReview) to `path` and return its status.

    A review changes nothing, so it is retried once if the kept-alive connection turns out to be dead.
    Raises Unavailable.
    """
    for last in (False, True):
        try:
            answer = await kube.request(client, "POST", path, body=body)
        except aiohttp.ClientConnectionError as error:
            if last:
                raise Unavailable(f"the API server cannot be reached: {error}") from error
        except (aiohttp.ClientError, TimeoutError, kube.KubeError) as error:
            raise Unavailable(f"the API server did not answer a review: {error}") from error
        else:
            break
    status: dict[str, Any] = answer.get("status", {})
    return status


class Memory(Generic[Key, Value]):
    """Caches successful answers for a while; concurrent callers with the same key share one request."""

    def __init__(self, seconds: float = MEMORY_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._answers: OrderedDict[Key, tuple[float, asyncio.Task[Value]]] = OrderedDict()

    async def get(self, key: Key, ask: Callable[[], Awaitable[Value]]) -> Value:
        """The cached answer, else that of `ask`. Exceptions of `ask` are raised to all waiting callers, not cached."""
        asked_at, task = self._answers.get(key, (0.0, None))
        if task is None or (task.done() and self._clock() - asked_at > self._seconds):
            task = asyncio.ensure_future(_awaited(ask))
            self._answers[key] = (self._clock(), task)
            self._answers.move_to_end(key)
            task.add_done_callback(lambda done: self._forget_failure(key, done))
            while len(self._answers) > MEMORY_ENTRIES:
                self._answers.popitem(last=False)
        return await asyncio.shield(task)

    def _forget_failure(self, key: Key, done: asyncio.Task[Value]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and self._answers.get(key, (0.0, None))[1] is done:
            del self._answers[key]


class Refusals:
    """Caches the newest refusals, each for REFUSED_SECONDS."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._refused: OrderedDict[str, tuple[float, Reason, str]] = OrderedDict()

    def recall(self, key: str) -> None:
        """Raise the cached Refused of this key, if there is one."""
        at, reason, message = self._refused.get(key, (float("-inf"), Reason.INVALID, ""))
        if self._clock() - at <= REFUSED_SECONDS:
            raise Refused(reason, message)

    def remember(self, key: str, refused: Refused) -> None:
        """Cache a refusal."""
        self._refused[key] = (self._clock(), refused.reason, str(refused))
        self._refused.move_to_end(key)
        while len(self._refused) > MEMORY_ENTRIES:
            self._refused.popitem(last=False)


async def _awaited(ask: Callable[[], Awaitable[Value]]) -> Value:
    return await ask()
