"""The connection to the API server: raw JSON objects in and out, one error type."""

import json
import os
from collections.abc import Mapping
from typing import Any, Literal

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

Verb = Literal["GET", "POST", "PATCH", "PUT", "DELETE"]

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

REQUEST_TIMEOUT = 30.0


class KubeError(Exception):
    """The API server refused: HTTP `status`, its machine-readable `reason` and `message`."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


async def connect(user_agent: str) -> ApiClient:
    """A client for the cluster this process runs in, or for the current context of KUBECONFIG."""
    configuration = Configuration()
    configuration.connection_pool_maxsize = 64
    if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
        config.load_incluster_config(client_configuration=configuration)
    else:
        await config.load_kube_config(client_configuration=configuration)
    client = ApiClient(configuration)
    client.user_agent = user_agent
    return client


async def request(
    client: ApiClient,
    verb: Verb,
    path: str,
    *,
    query: Mapping[str, str] | None = None,
    body: Any = None,
    content_type: str = "application/json",
) -> Any:
    """The decoded answer to one request.

    Raises KubeError when the API server refuses, and aiohttp.ClientError or TimeoutError when it cannot be reached.
    """
    text = await _send(client, verb, path, query, body, content_type)
    return json.loads(text)


async def read_text(client: ApiClient, path: str, *, query: Mapping[str, str] | None = None) -> str:
    """The answer to a GET as text, for logs. Raises as `request` does."""
    text = await _send(client, "GET", path, query, None, "application/json")
    return text.decode("utf-8", errors="replace")


async def _send(
    client: ApiClient, verb: Verb, path: str, query: Mapping[str, str] | None, body: Any, content_type: str
) -> bytes:
    parameters = await client.param_serialize(
        method=verb,
        resource_path=path,
        query_params=list((query or {}).items()),
        header_params={"Accept": "application/json", "Content-Type": content_type},
        body=body,
        auth_settings=["BearerToken"],
    )
    response = await client.call_api(*parameters, _request_timeout=REQUEST_TIMEOUT)
    content: bytes = await response.read()
    if response.status >= 300:
        raise _error(response.status, content)
    return content


def _error(status: int, content: bytes) -> KubeError:
    try:
        document = json.loads(content)
    except ValueError:
        document = {"message": content.decode("utf-8", errors="replace")[:500]}
    return KubeError(status, document.get("reason") or "Unknown", document.get("message") or "no message")
