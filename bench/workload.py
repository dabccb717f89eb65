"""What is measured with: a namespace of LongTasks whose pods are on fake nodes."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager

from bench.cluster_api import ClusterApi, Document
from longtask_api import constants, crd

BENCH_AGENT = "longtask-bench"
POD: Document = {
    "restartPolicy": "Never",
    "nodeSelector": {"type": "kwok"},
    "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
    "automountServiceAccountToken": False,
    "containers": [{"name": "main", "image": "localhost/none:1"}],
}
QUICK, ENDLESS = "quick", "endless"
"""Templates: the pods end at once, or never (tests/cluster/manifests/kwok-pods.yaml)."""
REMOVAL_SECONDS = 300


@asynccontextmanager
async def namespace_of(api: ClusterApi) -> AsyncIterator[str]:
    """A new namespace, on a cluster with our CRDs; it is gone afterwards."""
    for document in (crd.task_crd(), crd.template_crd()):
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{document['metadata']['name']}"
        query = "?fieldManager=bench&force=true"
        await api.request("PATCH", path + query, document, "application/apply-patch+yaml")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "longtask-bench-"}}
    namespace = str((await api.request("POST", "/api/v1/namespaces", body))["metadata"]["name"])
    try:
        yield namespace
    finally:
        await _remove(api, namespace)


def tasks_path(namespace: str) -> str:
    """Of the LongTasks of the namespace."""
    return f"/apis/{constants.API_VERSION}/namespaces/{namespace}/{constants.TASK_PLURAL}"


async def make_templates(api: ClusterApi, namespace: str) -> None:
    """QUICK and ENDLESS, and wait until a running operator has looked at them."""
    path = f"/apis/{constants.API_VERSION}/namespaces/{namespace}/{constants.TEMPLATE_PLURAL}"
    version = await api.version(path)
    labels: Mapping[str, Document] = {QUICK: {}, ENDLESS: {"longtask.dev/kwok": "running"}}
    for name in labels:
        spec = {
            "description": "Ends at once, or never.",
            "parametersSchema": {
                "type": "object",
                "properties": {"model_name": {"type": "string"}, "epochs": {"type": "integer", "default": 10}},
            },
            "podTemplate": {"metadata": {"labels": labels[name]}, "spec": POD},
        }
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TEMPLATE_KIND,
            "metadata": {"name": name},
            "spec": spec,
        }
        await api.request("POST", path, body)
    await api.until_all(path, len(labels), lambda template: "conditions" in template.get("status", {}), version)


async def run_tasks(
    api: ClusterApi, namespace: str, template: str, task_names: Iterable[str], phase: str, pause: float = 0.0
) -> float:
    """Create a task of each name, with so many seconds between two; how many a second have come to the phase."""
    bodies = [
        {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TASK_KIND,
            "metadata": {"name": name},
            "spec": {"templateRef": {"name": template}, "parameters": {"model_name": name}},
        }
        for name in task_names
    ]
    return await throughput(
        api, tasks_path(namespace), bodies, lambda task: task.get("status", {}).get("phase") == phase, pause
    )


async def throughput(
    api: ClusterApi, path: str, bodies: list[Document], ended: Callable[[Document], bool], pause: float = 0.0
) -> float:
    """Create them; how many a second have ended."""
    wanted = {body["metadata"]["name"] for body in bodies}
    version = await api.version(path)
    started = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(
            api.until_all(path, len(bodies), lambda seen: seen["metadata"]["name"] in wanted and ended(seen), version)
        )
        group.create_task(api.create_all(path, bodies, pause))
    return len(bodies) / (time.monotonic() - started)


def is_complete(job: Document) -> bool:
    """Whether a Job has succeeded."""
    conditions = job.get("status", {}).get("conditions", [])
    return any(each["type"] == "Complete" and each["status"] == "True" for each in conditions)


def say(text: str) -> None:
    """Tell whoever waits for the figures."""
    print(text, file=sys.stderr, flush=True)


async def _remove(api: ClusterApi, namespace: str) -> None:
    """Delete the namespace and wait for its end: the fake nodes must be there to let go of its pods."""
    await api.request("DELETE", f"/api/v1/namespaces/{namespace}")
    deadline = time.monotonic() + REMOVAL_SECONDS
    while any(
        item["metadata"]["name"] == namespace for item in (await api.request("GET", "/api/v1/namespaces"))["items"]
    ):
        if time.monotonic() > deadline:
            say(f"namespace {namespace} is still being deleted")
            return
        await asyncio.sleep(1)
