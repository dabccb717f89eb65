"""Requests to the API server: plain JSON objects in and out, one error type for refusals."""

import json
import os
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, TypedDict, Unpack
from urllib.parse import urlencode

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTResponse

from longtask_runtime.clock import CLOCK
from longtask_runtime.logs import Expected

Verb = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml; charset=utf-8"
"""With a charset, so that the client library sends our text unchanged: its own JSON is not valid YAML for every
character."""

REQUEST_TIMEOUT = 30.0
"""Seconds for a whole request."""


class KubeError(Expected):
    """The API server refused a request. Has the HTTP `status` and the Status object's `reason` and `message`."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


def is_unanswered(error: Exception) -> bool:
    """Whether a request that failed with this error may have been carried out, or still may be. An answer that cannot
    be read (ValueError) is one of those.
    """
    if isinstance(error, KubeError):
        return error.status >= 500
    return isinstance(error, (aiohttp.ClientError, OSError, ValueError))


async def connect(user_agent: str) -> ApiClient:
    """A client for the cluster this process runs in, or for the current context of KUBECONFIG."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = 128  # more than all that ask at once, or the Lease would wait
    # With trust_env aiohttp reads ~/.netrc in a thread before every request.
    configuration.client_session_kwargs = {"trust_env": False}
    if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
        config.load_incluster_config(client_configuration=configuration)
    else:
        # The library read the variable at import, so it is passed explicitly.
        named = os.environ.get("KUBECONFIG") or None
        await config.load_kube_config(named, client_configuration=configuration)
    client = ApiClient(configuration)
    client.user_agent = user_agent
    return client


class Options(TypedDict, total=False):
    """Options of a request."""

    query: Mapping[str, str] | None
    body: Any
    content_type: str
    """Default application/json."""
    timeout: float
    """Seconds for the whole request; default 30."""
    proxied: bool
    """Whether the API server proxies the request to another server, so the Date header is not the API server's."""
    accept: str
    """Media types of the response; default application/json."""


async def request(client: ApiClient, verb: Verb, path: str, **options: Unpack[Options]) -> Any:
    """Send one request and return the decoded response.

    Raises KubeError if the API server refuses, aiohttp.ClientError or TimeoutError if it cannot be reached.
    """
    return decoded(await request_text(client, verb, path, **options))


async def request_text(client: ApiClient, verb: Verb, path: str, **options: Unpack[Options]) -> bytes:
    """Send one request and return the raw response body. Raises as `request` does."""
    body, content_type = options.get("body"), options.get("content_type", "application/json")
    text = yaml_text(body) if content_type == APPLY_PATCH else body
    timeout, proxied = options.get("timeout", REQUEST_TIMEOUT), options.get("proxied", False)
    accept = options.get("accept", "application/json")
    async with _answered(
        client, verb, path, options.get("query"), text, content_type, timeout, proxied=proxied, accept=accept
    ) as response:
        content: bytes = await response.read()
    return content


def decoded(text: bytes) -> Any:
    """The value of a JSON text. Raises ValueError if it is not JSON.

    Falls back to Python's decoder, since orjson refuses more than 1,024 levels, which the API server stores.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def yaml_text(body: Any) -> str:
    """JSON that a YAML parser reads the same way: without escaped surrogate pairs, which YAML does not have, and with
    every character escaped that YAML treats as unprintable or as a line break (YAML 1.2, section 5.1).
    """
    text = json.dumps(body, ensure_ascii=False)
    return re.sub("[\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)


async def read_chunks(
    client: ApiClient, path: str, *, query: Mapping[str, str] | None = None, timeout: float = REQUEST_TIMEOUT
) -> AsyncIterator[bytes]:
    """Stream the response to a GET, for large bodies such as logs. `timeout` covers the whole request, in seconds.

    Raises as `request` does.
    """
    async with _answered(client, "GET", path, query, None, "application/json", timeout) as response:
        async for chunk in response.response.content.iter_any():
            yield chunk


async def read_lines(
    client: ApiClient,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    timeout: aiohttp.ClientTimeout,
    rest: bool = False,
) -> AsyncGenerator[bytes, None]:
    """Stream the complete lines, of any length, of a long-lived GET such as a watch; with `rest` also what follows the
    last of them. Raises as `request` does, and TimeoutError if nothing arrives for `timeout.sock_read` seconds.
    """
    pieces: list[bytes] = []
    async with _answered(client, "GET", path, query, None, "application/json", timeout) as response:
        async for chunk in response.response.content.iter_any():
            *ends, begun = chunk.split(b"\n")
            for end in ends:
                yield b"".join([*pieces, end])
                pieces.clear()
            pieces.append(begun)
    if rest and (last := b"".join(pieces)):
        yield last


@asynccontextmanager
async def _answered(
    client: ApiClient,
    verb: Verb,
    path: str,
    query: Mapping[str, str] | None,
    body: Any,
    content_type: str,
    timeout: float | aiohttp.ClientTimeout,
    *,
    proxied: bool = False,
    accept: str = "application/json",
) -> AsyncIterator[RESTResponse]:
    """A successful response. Its connection returns to the pool at the end, or is closed if some of the body is unread.

    Raises KubeError for a status of 300 or more.
    """
    # Not by ApiClient.call_api, which copies each body value by value before it is encoded.
    headers = {**client.default_headers, "Accept": accept, "Content-Type": content_type}
    headers["Accept-Encoding"] = "identity"  # with gzip a large list costs the API server half as much CPU again
    if (token := await client.configuration.get_api_key_with_prefix("BearerToken", "authorization")) is not None:
        headers["Authorization"] = token
    url = f"{client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
    sent = CLOCK.local()
    response = await client.rest_client.request(verb, url, headers, body, _request_timeout=timeout)
    async with response.response:
        if not proxied:
            CLOCK.hear(response.response.headers.get("Date", ""), sent)
        if response.status >= 300:
            raise _error(response.status, await response.read())
        yield response


def _error(status: int, content: bytes) -> KubeError:
    """The error of a response. A proxy may send anything: a body that is not a JSON object becomes the message."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"message": content.decode("utf-8", errors="replace")[:500]}
    reason, message = document.get("reason"), document.get("message")
    return KubeError(status, str(reason or "Unknown"), str(message or "no message"))
