"""Stores small data in ConfigMaps of the task namespace, without bucket or credentials; it is deleted with its task.

To read one: `kubectl get configmap NAME -o jsonpath='{.binaryData.content}' | base64 -d`.
"""

import asyncio
import base64
import hashlib
import re
import time
from collections import OrderedDict
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient

from longtask_api import constants
from longtask_operator.store.errors import NotStored, StoreUnavailable
from longtask_operator.store.owner import Owner
from longtask_runtime.kube import KubeError, Verb, request

CONFIG_MAP_SCHEME = "configmap:"
ANNOTATION_MEDIA_TYPE = f"{constants.GROUP}/media-type"
ANNOTATION_SHA256 = f"{constants.GROUP}/sha256"
CONTENT = "content"
AT_ONCE = 4
"""Concurrent requests: each has its data in memory several times, as base64 and as JSON."""
REMEMBERED_BYTES, REMEMBERED_SECONDS = 8 * 1024 * 1024, 60.0
"""Limits of the cache for ranged reads."""
MAX_READABLE = 100
"""Characters of the key in the name. The whole name may have 253 (DNS subdomain, RFC 1123)."""


class ConfigMaps:
    """One ConfigMap for each key of a task. Its name ends with the task's uid, so the URI identifies the owner."""

    def __init__(self, client: ApiClient, namespace: str) -> None:
        self._client = client
        self._path = f"/api/v1/namespaces/{namespace}/configmaps"
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._read: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def put(self, owner: Owner, key: str, media_type: str, data: bytes, sha256: str) -> str:
        """Store the bytes under the key, replacing earlier ones; returns the URI. Raises StoreUnavailable."""
        name = _name(owner, key)
        self._read.pop(name, None)
        body = _config_map(name, owner, media_type, data, sha256)
        # Half the time of a server-side apply, which is parsed as YAML. The second POST: it was deleted in between.
        create: tuple[Verb, str] = ("POST", self._path)
        replace: tuple[Verb, str] = ("PUT", f"{self._path}/{name}")
        for verb, path in (create, replace, create):
            if await self._request(verb, path, body) is not None:
                return CONFIG_MAP_SCHEME + name
        raise StoreUnavailable(f"ConfigMap {name} is deleted by somebody while it is written; try again later")

    async def get_again(self, owner: Owner, uri: str) -> bytes:
        """The bytes, perhaps cached for up to a minute: for ranged reads, since the API server always returns the whole
        object. Raises as `get` does.
        """
        name = _checked_name(owner, uri)
        at, data = self._read.get(name, (float("-inf"), b""))
        if time.monotonic() - at > REMEMBERED_SECONDS:
            data = await self.get(owner, uri)
            self._remember(name, data)
        return data

    async def get(self, owner: Owner, uri: str) -> bytes:
        """The bytes. Raises NotStored or StoreUnavailable."""
        name = _checked_name(owner, uri)
        document = await self._request("GET", f"{self._path}/{name}")
        if document is None:
            raise NotStored(f"ConfigMap {name} of task {owner.name} is gone; start the task again to have it made anew")
        content = (document.get("binaryData") or {}).get(CONTENT)
        if content is None:
            raise NotStored(f"ConfigMap {name} of task {owner.name} was changed: it has no binaryData.{CONTENT}")
        return base64.b64decode(content)

    async def delete(self, owner: Owner, uri: str) -> None:
        """Delete the ConfigMap; no error if it is gone already. Raises NotStored if it belongs to another task, and
        StoreUnavailable.
        """
        name = _checked_name(owner, uri)
        self._read.pop(name, None)
        await self._request("DELETE", f"{self._path}/{name}")

    def _remember(self, name: str, data: bytes) -> None:
        self._read[name] = (time.monotonic(), data)
        self._read.move_to_end(name)
        while sum(len(each) for _, each in self._read.values()) > REMEMBERED_BYTES:
            self._read.popitem(last=False)

    async def _request(self, verb: Verb, path: str, body: Any = None) -> Any:
        """The answer; None if the ConfigMap does not exist or, for a POST, exists already."""
        try:
            async with self._turns:
                return await request(self._client, verb, path, body=body)
        except KubeError as error:
            if error.status == (HTTPStatus.CONFLICT if verb == "POST" else HTTPStatus.NOT_FOUND):
                return None
            raise StoreUnavailable(f"the API server does not {verb} {path}: {error}; try again later") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreUnavailable(
                f"the API server cannot be reached to {verb} {path} ({error!r}); try again later"
            ) from error


def _name(owner: Owner, key: str) -> str:
    """A readable name, different for each key of a task. Keys may have capitals and be longer than names."""
    task = owner.name[:40].rstrip("-.")
    readable = re.sub(r"[^a-z0-9]+", "-", key.lower())[:MAX_READABLE].strip("-")
    return f"{task}-{readable}-{hashlib.sha256(key.encode()).hexdigest()[:10]}-{owner.uid}"


def _checked_name(owner: Owner, uri: str) -> str:
    name = uri.removeprefix(CONFIG_MAP_SCHEME)
    if not re.fullmatch(r"[a-z0-9.-]+", name) or not name.endswith(f"-{owner.uid}"):
        raise NotStored(f"{uri} is no ConfigMap that is kept for task {owner.name} ({owner.uid})")
    return name


def _config_map(name: str, owner: Owner, media_type: str, data: bytes, sha256: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "labels": {
                constants.LABEL_MANAGED_BY: constants.MANAGED_BY,
                constants.LABEL_TASK: owner.name,
                constants.LABEL_TASK_UID: owner.uid,
            },
            "annotations": {ANNOTATION_MEDIA_TYPE: media_type, ANNOTATION_SHA256: sha256},
            "ownerReferences": [
                {
                    "apiVersion": constants.API_VERSION,
                    "kind": constants.TASK_KIND,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": False,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "binaryData": {CONTENT: base64.b64encode(data).decode()},
    }
