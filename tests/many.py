"""An API server that has nothing but a namespace full of tasks that have ended, with their Jobs and pods: lists by the
page, watches, single tasks, and a Lease. A real one needs minutes for as many objects; their size and form are those of
real ones.
"""

import asyncio
import contextlib
import functools
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from longtask_api import constants
from longtask_api.base import rfc3339, rfc3339_milliseconds
from tests import kubeconfigs

NAMESPACE = "many"
REQUESTER = "anonymous"
"""Who asked for all tasks: everybody, to an MCP server that asks nobody who they are."""
GROUP = f"/apis/{constants.API_VERSION}"
PATHS = {
    "tasks": f"{GROUP}/namespaces/{NAMESPACE}/{constants.TASK_PLURAL}",
    "templates": f"{GROUP}/namespaces/{NAMESPACE}/{constants.TEMPLATE_PLURAL}",
    "jobs": f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs",
    "pods": f"/api/v1/namespaces/{NAMESPACE}/pods",
}
ENDED = rfc3339(datetime.now(UTC))
FIELDS: dict[str, Any] = {f"f:field-{number}": {"f:more": {}} for number in range(40)}
MANAGED = [{"manager": manager, "operation": "Apply", "fieldsV1": FIELDS} for manager in ("operator", "work")]


def _metadata(kind: str, number: int, version: int, owner: dict[str, Any] | None = None) -> dict[str, Any]:
    uid = f"{number:08x}-{kind}-4222-8333-{version % 10**12:012d}"
    label = {constants.LABEL_TASK_UID: f"{number:08x}-1111-4222-8333-{version % 10**12:012d}"}
    metadata = {
        "name": f"model-training-{number}",
        "namespace": NAMESPACE,
        "uid": uid,
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": ENDED,
        "labels": {**label, "app.kubernetes.io/managed-by": "longtask", "batch.kubernetes.io/job-name": "x" * 50},
        "managedFields": MANAGED,
    }
    return metadata | ({"ownerReferences": [owner]} if owner is not None else {})


def task(number: int, version: int) -> dict[str, Any]:
    """About 8 KB."""
    condition = {"status": "True", "reason": "Completed", "message": "completed " * 10, "lastTransitionTime": ENDED}
    attempt = {"number": 1, "podName": "a-pod", "podUID": "a" * 36, "startTime": ENDED, "endTime": ENDED}
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TASK_KIND,
        "metadata": _metadata("1111", number, version),
        "spec": {
            "templateRef": {"name": "model-training"},
            "parameters": {"text": "x" * 1000, "epochs": 5},
            "requester": {"principal": REQUESTER},
        },
        "status": {
            "phase": "Succeeded",
            "message": "completed",
            "observedGeneration": 1,
            "conditions": [{"type": kind, **condition} for kind in ("Accepted", "Archived", "Succeeded")],
            "completionTime": ENDED,
            "startTime": ENDED,
            "jobRef": {"name": f"model-training-{number}", "uid": _uid("2222", number, version)},
            "attempts": [attempt],
            "result": {"value": {"numbers": list(range(100))}, "attempt": 1},
            "logTail": "a line of the log\n" * 50,
        },
    }


def _uid(kind: str, number: int, version: int) -> str:
    return str(_metadata(kind, number, version)["uid"])


def job(number: int, version: int) -> dict[str, Any]:
    """About 5 KB."""
    owner = {"kind": constants.TASK_KIND, "uid": _uid("1111", number, version), "controller": True, "name": "x"}
    done = {"type": "Complete", "status": "True", "lastTransitionTime": ENDED}
    return {
        "metadata": _metadata("2222", number, version, owner),
        "spec": {"backoffLimit": 2, "template": {"spec": _pod_spec()}},
        "status": {"conditions": [done], "succeeded": 1, "startTime": ENDED, "completionTime": ENDED},
    }


def pod(number: int, version: int) -> dict[str, Any]:
    """About 7 KB."""
    owner = {"kind": "Job", "uid": _uid("2222", number, version), "controller": True, "name": "x"}
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": ENDED, "finishedAt": ENDED, "message": "y" * 500}
    return {
        "metadata": _metadata("3333", number, version, owner),
        "spec": _pod_spec() | {"nodeName": "node-1"},
        "status": {
            "phase": "Succeeded",
            "conditions": [{"type": f"Condition{n}", "status": "True", "lastTransitionTime": ENDED} for n in range(5)],
            "containerStatuses": [{"name": "main", "state": {"terminated": ended}, "image": "x", "imageID": "y" * 70}],
        },
    }


def _pod_spec() -> dict[str, Any]:
    environment = [{"name": f"VARIABLE_{number}", "value": "a value of some length"} for number in range(20)]
    return {"containers": [{"name": "main", "image": "registry.example/model-training:1", "env": environment}]}


def template(number: int, version: int) -> dict[str, Any]:
    """One that is Ready."""
    checked = {"type": "Ready", "status": "True", "reason": "Checked", "message": "", "lastTransitionTime": ENDED}
    properties = {f"field_{each}": {"type": "integer", "description": f"Field {each}."} for each in range(10)}
    return {
        "apiVersion": constants.API_VERSION,
        "kind": constants.TEMPLATE_KIND,
        "metadata": _metadata("4444", number, version),
        "spec": {
            "description": "Trains a model for some epochs and returns its score.",
            "parametersSchema": {"type": "object", "properties": properties},
            "podTemplate": {"spec": _pod_spec()},
        },
        "status": {"observedGeneration": 1, "conditions": [checked]},
    }


MAKE = {"tasks": task, "templates": template, "jobs": job, "pods": pod}
NUMBER, VERSION = 0xABCDEF01, 987654321098


@functools.cache
def _pattern(kind: str) -> str:
    return json.dumps(MAKE[kind](NUMBER, VERSION))


def _text(kind: str, number: int, version: int) -> str:
    """What MAKE gives, as JSON, in a tenth of the time."""
    text = _pattern(kind).replace(f"{NUMBER:08x}", f"{number:08x}").replace(str(NUMBER), str(number))
    return text.replace(f'"{VERSION}"', f'"{version}"').replace(f"-{VERSION}", f"-{version:012d}")


@dataclass
class Many:
    """The server: `counts` objects of each kind, and a holder of the Lease, where it is not up to the operator."""

    counts: dict[str, int]
    """Of templates and finished tasks, and of the Jobs and pods of those."""
    holder: str | None = None
    port: int = 0
    version: int = 1_000_000
    events: dict[str, list[tuple[int, bytes]]] = field(default_factory=lambda: {kind: [] for kind in PATHS})
    sent: dict[str, int] = field(default_factory=dict)
    """How many events of a kind were sent."""
    writes: int = 0
    """Requests that would change an object, the Lease apart."""
    lease: dict[str, Any] | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is another event."""

    def kubeconfig(self, path: Path) -> str:
        """A kubeconfig for it."""
        return str(kubeconfigs.write(path, {"server": f"http://127.0.0.1:{self.port}"}))

    def tell(self, kind: str, event: str, document: dict[str, Any]) -> None:
        """Send an event to whoever watches, now or later."""
        line = json.dumps({"type": event, "object": document}).encode() + b"\n"
        self.events[kind].append((int(document["metadata"]["resourceVersion"]), line))
        self.news.set()
        self.news = asyncio.Event()

    def all_sent(self) -> bool:
        """Whether every event was sent."""
        return all(self.sent.get(kind, 0) == len(events) for kind, events in self.events.items())

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        self.writes += request.method != "GET" and "/leases" not in request.path
        kind = next((kind for kind, path in PATHS.items() if request.path == path), None)
        if kind is not None and request.method == "GET":
            return await self._watch(kind, request) if "watch" in request.query else self._page(kind, request)
        if kind == "tasks" and request.method == "POST":
            return await self._create(request)
        if "/leases" in request.path:
            return await self._lease(request)
        if request.path.startswith(PATHS["tasks"]):
            number = int(request.path.rpartition("-")[2])
            return web.Response(text=_text("tasks", number, number + 1), content_type="application/json")
        return web.json_response(_discovery(request.path), status=200)

    def _page(self, kind: str, request: web.Request) -> web.Response:
        count = 0 if "fieldSelector" in request.query else self.counts.get(kind, 0)
        begin = int(request.query.get("continue", "0"))
        end = min(count, begin + int(request.query.get("limit", "500")))
        items = ",".join(_text(kind, number, number + 1) for number in range(begin, end))
        metadata = {"resourceVersion": str(self.version), **({"continue": str(end)} if end < count else {})}
        if "as=Table" in request.headers["Accept"]:
            return web.json_response(_table(kind, metadata, range(begin, end)))
        text = f'{{"kind": "List", "metadata": {json.dumps(metadata)}, "items": [{items}]}}'
        return web.Response(text=text, content_type="application/json")

    async def _watch(self, kind: str, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        events, known = self.events[kind], int(request.query["resourceVersion"])
        position = next((number for number, (version, _) in enumerate(events) if version > known), len(events))
        ends = time.monotonic() + float(request.query["timeoutSeconds"])
        while time.monotonic() < ends:
            news = self.news
            for _, line in events[position:]:
                await response.write(line)
                position += 1
                self.sent[kind] = max(position, self.sent.get(kind, 0))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(news.wait(), 1)
        return response

    async def _create(self, request: web.Request) -> web.Response:
        """A task that has ended as soon as it is there."""
        created = await request.json()
        self.version += 1
        metadata = {"uid": str(uuid.uuid4()), "resourceVersion": str(self.version), "creationTimestamp": ENDED}
        created["metadata"] |= metadata | {"generation": 1, "namespace": NAMESPACE}
        self.tell("tasks", "ADDED", created)
        self.version += 1
        ended = {**created, "metadata": created["metadata"] | {"resourceVersion": str(self.version)}}
        self.tell("tasks", "MODIFIED", ended | {"status": task(0, 1)["status"]})
        return web.json_response(created, status=201)

    async def _lease(self, request: web.Request) -> web.Response:
        if self.holder is not None:
            renewed = rfc3339_milliseconds(datetime.now(UTC))
            spec = {"holderIdentity": self.holder, "renewTime": renewed, "leaseDurationSeconds": 5}
            return web.json_response({"metadata": {"name": "x", "resourceVersion": "1"}, "spec": spec})
        if request.method == "GET":
            status = 404 if self.lease is None else 200
            return web.json_response(self.lease or {"reason": "NotFound", "message": "none"}, status=status)
        self.version += 1
        self.lease = await request.json()
        assert self.lease is not None
        written = [{"manager": "longtask-operator", "time": rfc3339(datetime.now(UTC))}]
        self.lease["metadata"] |= {"resourceVersion": str(self.version), "managedFields": written}
        return web.json_response(self.lease)


def _table(kind: str, metadata: dict[str, Any], numbers: range) -> dict[str, Any]:
    """What the API server makes of a page for who wants its printed columns."""
    columns = ["Name", "Template", "Phase", "Progress", "Age", "Attempts", "Job", "Requester", "Message"]
    rows = []
    for number in numbers:
        own = {
            key: value for key, value in MAKE[kind](number, number + 1)["metadata"].items() if key != "managedFields"
        }
        cells = [own["name"], "model-training", "Succeeded", None, "1m", 1, own["name"], REQUESTER, "completed"]
        rows.append({"cells": cells, "object": {"kind": "PartialObjectMetadata", "metadata": own}})
    definitions = [{"name": name, "type": "string"} for name in columns]
    return {"kind": "Table", "metadata": metadata, "columnDefinitions": definitions, "rows": rows}


def _discovery(path: str) -> Any:
    version = {"groupVersion": constants.API_VERSION, "version": constants.VERSION}
    if path == "/apis":
        return {"groups": [{"name": constants.GROUP, "preferredVersion": version, "versions": [version]}]}
    kinds: dict[str, str] = {}
    if path == GROUP:
        kinds = {constants.TASK_PLURAL: constants.TASK_KIND, constants.TEMPLATE_PLURAL: constants.TEMPLATE_KIND}
    elif path == "/api/v1":
        kinds = {"namespaces": "Namespace", "events": "Event"}
    common = {"singularName": "", "namespaced": True, "verbs": ["get", "list", "watch", "patch"]}
    resources = [{"name": plural, "kind": kind, **common} for plural, kind in kinds.items()]
    return {"versions": ["v1"], "resources": resources, "groups": []}


@asynccontextmanager
async def many(tasks: int = 0, jobs: int = 0, templates: int = 0, holder: str | None = None) -> AsyncIterator[Many]:
    """Such a server, on a free port of the loopback address."""
    server = Many({"tasks": tasks, "templates": templates, "jobs": jobs, "pods": jobs}, holder)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
