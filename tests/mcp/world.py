"""A namespace on the real cluster, in which the tests play the operator: they write status themselves."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kubernetes.aio.client import ApiClient

from longtask_api import constants, crd
from longtask_api.longtask import LongTask
from longtask_runtime import kube
from tests import kubeconfigs
from tests.kube import pause
from tests.patience import PATIENCE

V = TypeVar("V")
NOW = "2026-11-22T10:00:00Z"
SERVER_RULES = [
    {
        "apiGroups": [constants.GROUP],
        "resources": [constants.TASK_PLURAL],
        "verbs": ["get", "list", "watch", "create", "patch"],
    },
    {"apiGroups": [constants.GROUP], "resources": [constants.TEMPLATE_PLURAL], "verbs": ["get", "list", "watch"]},
]
REVIEW_RULES = [
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
AGENT_RULES = [{"apiGroups": [constants.GROUP], "resources": [constants.TASK_PLURAL], "verbs": ["create"]}]


async def eventually(look: Callable[[], Awaitable[V]], what: str, seconds: float = PATIENCE) -> V:
    """What `look` gives as soon as it is true; fails after `seconds`."""
    begin = time.monotonic()
    while True:
        value = await look()
        if value:
            return value
        passed = time.monotonic() - begin
        if passed > seconds:
            raise AssertionError(f"not within {seconds} s: {what}; last seen: {value!r}")
        await asyncio.sleep(pause(passed))


@dataclass(frozen=True)
class World:
    """The namespace and a client that may do everything."""

    client: ApiClient
    namespace: str

    @property
    def tasks_path(self) -> str:
        return f"/apis/{constants.API_VERSION}/namespaces/{self.namespace}/{constants.TASK_PLURAL}"

    @property
    def templates_path(self) -> str:
        return f"/apis/{constants.API_VERSION}/namespaces/{self.namespace}/{constants.TEMPLATE_PLURAL}"

    async def get(self, path: str) -> Any:
        return await kube.request(self.client, "GET", path)

    async def post(self, path: str, body: Any) -> Any:
        return await kube.request(self.client, "POST", path, body=body)

    async def delete(self, path: str) -> None:
        await kube.request(self.client, "DELETE", path)

    async def tasks(self, key: str | None = None) -> list[LongTask]:
        """The LongTasks of the namespace; with `key`, those of one idempotency key."""
        items = (await self.get(self.tasks_path))["items"]
        return [task for item in items if key in (None, (task := LongTask.from_api(item)).spec.idempotency_key)]

    async def task(self, uid: str) -> LongTask:
        return next(task for task in await self.tasks() if task.metadata.uid == uid)

    async def make_task(self, name: str, **spec: Any) -> str:
        """Make a LongTask as a person with kubectl would; its uid."""
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TASK_KIND,
            "metadata": {"name": name},
            "spec": {"templateRef": {"name": "model-training"}, **spec},
        }
        return str((await self.post(self.tasks_path, body))["metadata"]["uid"])

    async def set_status(self, uid: str, **status: Any) -> None:
        """What the operator would write."""
        path = f"{self.tasks_path}/{(await self.task(uid)).metadata.name}/status"
        await kube.request(self.client, "PATCH", path, body={"status": status}, content_type=kube.MERGE_PATCH)

    async def template(self, name: str, *, ready: bool = True, **spec: Any) -> None:
        """Make or change a template and judge it."""
        body = {
            "apiVersion": constants.API_VERSION,
            "kind": constants.TEMPLATE_KIND,
            "metadata": {"name": name},
            "spec": {
                "description": f"Does {name}.",
                "podTemplate": {"spec": {"containers": [{"name": "work", "image": "work:1"}]}},
                **spec,
            },
        }
        path = f"{self.templates_path}/{name}"
        query = {"fieldManager": "tests", "force": "true"}
        made = await kube.request(self.client, "PATCH", path, query=query, body=body, content_type=kube.APPLY_PATCH)
        condition = {
            "type": "Ready",
            "status": "True" if ready else "False",
            "reason": "Checked" if ready else "PodSecurityViolation",
            "message": "" if ready else "runAsNonRoot is not set",
            "lastTransitionTime": NOW,
        }
        status = {"observedGeneration": made["metadata"]["generation"], "conditions": [condition]}
        await kube.request(
            self.client, "PATCH", f"{path}/status", body={"status": status}, content_type=kube.MERGE_PATCH
        )

    async def token(self, account: str, audience: str = constants.AUDIENCE_MCP) -> str:
        """A token of a service account of the namespace."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": [audience]}}
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/{account}/token"
        return str((await self.post(path, body))["status"]["token"])

    async def account(self, name: str) -> None:
        """A service account without rights."""
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        await self.post(f"/api/v1/namespaces/{self.namespace}/serviceaccounts", body)

    async def allow(self, role: str, rules: list[dict[str, Any]], *accounts: str, everywhere: bool = False) -> str:
        """Give rights to accounts; the path of the collection where the binding is."""
        prefix = "Cluster" if everywhere else ""
        path = "/apis/rbac.authorization.k8s.io/v1"
        path += "" if everywhere else f"/namespaces/{self.namespace}"
        head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": role}}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": f"{prefix}Role", "name": role}
        subjects = [{"kind": "ServiceAccount", "name": each, "namespace": self.namespace} for each in accounts]
        await self.post(f"{path}/{prefix.lower()}roles", {**head, "kind": f"{prefix}Role", "rules": rules})
        binding = {**head, "kind": f"{prefix}RoleBinding", "roleRef": reference, "subjects": subjects}
        await self.post(f"{path}/{prefix.lower()}rolebindings", binding)
        return path

    async def admit(self, name: str, *users: str, groups: Sequence[str] = ()) -> None:
        """Give users and groups that Kubernetes does not know the rights of agents."""
        subjects = [("User", each) for each in users] + [("Group", each) for each in groups]
        body = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "agent"},
            "subjects": [
                {"kind": kind, "name": each, "apiGroup": "rbac.authorization.k8s.io"} for kind, each in subjects
            ],
        }
        await self.post(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}/rolebindings", body)

    def kubeconfig(self, token: str, folder: Path) -> Path:
        """A kubeconfig for a token."""
        configuration = self.client.configuration
        cluster = {"server": configuration.host}
        if configuration.ssl_ca_cert:
            cluster["certificate-authority"] = configuration.ssl_ca_cert
        return kubeconfigs.write(folder / "kubeconfig", cluster, {"token": token})


@asynccontextmanager
async def new_world() -> AsyncIterator[World]:
    """A namespace of its own with the callers alice and bob, who may start tasks, and mallory, who may not."""
    async with await kube.connect("longtask-tests") as client:
        for document in (crd.task_crd(), crd.template_crd()):
            path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{document['metadata']['name']}"
            query = {"fieldManager": "longtask-tests", "force": "true"}
            await kube.request(client, "PATCH", path, query=query, body=document, content_type=kube.APPLY_PATCH)
        made = await kube.request(
            client,
            "POST",
            "/api/v1/namespaces",
            body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "mcp-test-"}},
        )
        world = World(client, made["metadata"]["name"])
        for account in ("alice", "bob", "mallory", "server"):
            await world.account(account)
        await world.allow("agent", AGENT_RULES, "alice", "bob")
        await world.allow("server", SERVER_RULES, "server")
        reviews = await world.allow(f"{world.namespace}-reviews", REVIEW_RULES, "server", everywhere=True)
        try:
            yield world
        finally:
            for kind in ("clusterroles", "clusterrolebindings"):
                await kube.request(client, "DELETE", f"{reviews}/{kind}/{world.namespace}-reviews")
            await kube.request(client, "DELETE", f"/api/v1/namespaces/{world.namespace}")
