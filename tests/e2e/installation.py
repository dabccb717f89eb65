"""LongTask as its chart installs it, and the agents that use it from outside."""

import itertools
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from longtask_api import constants
from longtask_runtime import kube
from tests.agentcore import MEMORY
from tests.e2e.programs import kubectl, run
from tests.e2e.templates import TEMPLATES
from tests.e2e.tunnels import Tunnels
from tests.mcp.replica import Agent, agent
from tests.mcp.world import World, eventually
from tests.operator.tasks import GO, TOUCHED
from tests.patience import PATIENCE
from tests.s3 import REGION, S3Server

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "longtask"
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "alone")
RELEASE, SYSTEM, TASKS = "longtask", f"longtask-e2e-{WORKER}", f"longtask-e2e-{WORKER}-tasks"
AGENTS = f"e2e-agents-{secrets.token_hex(4)}"
"""The namespace of the callers; another one each time, so that they are new callers and have no tasks yet."""
CALLERS, OUTSIDER = ("alice", "bob"), "mallory"
SERVICE = "service"
"""An agent service: it may speak for its users."""
REAL_MEMORY = os.environ.get("LONGTASK_REAL_MEMORY_ID")
"""A memory on AWS, for which AWS_REGION and credentials are set; else there is the stand-in."""
MEMORY_ID = REAL_MEMORY or MEMORY
MEMORY_REGION = os.environ["AWS_REGION"] if REAL_MEMORY else REGION
EMULATOR = "agentcore-emulator"
EMULATOR_PORT = 80
MCP_PORT, SERVICE_PORT = 8080, 80
ANY_KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
SMALL = {"requests": {"cpu": "10m"}}
"""There may be several releases, and the node has two cores."""
MAX_BYTES = 8 * 1024 * 1024
"""The largest result, checkpoint or artifact."""

Document = dict[str, Any]


@dataclass
class Installation:
    """The release with the templates of TEMPLATES, and the tokens of two callers and of somebody who may do nothing.

    `has_bucket` tells whether its store has one: the server is on this machine, which pods must reach.
    """

    world: World
    tunnels: Tunnels
    has_bucket: bool
    tokens: dict[str, str] = field(default_factory=dict)
    turns: Iterator[int] = field(default_factory=itertools.count)

    async def agents_environment(self) -> dict[str, str]:
        """What an agent on this machine needs to use the memory."""
        if REAL_MEMORY:
            return {}
        endpoint = await self.tunnels.url(f"service/{EMULATOR}", EMULATOR_PORT)
        return {**ANY_KEYS, "AWS_REGION": MEMORY_REGION, "AWS_ENDPOINT_URL_BEDROCK_AGENTCORE": endpoint}

    @asynccontextmanager
    async def session(self, caller: str, *, era: str = "auto", pod: str | None = None) -> AsyncIterator[Agent]:
        """A new MCP session of a caller: with the MCP server's pod of that name, else with each in turn."""
        if pod is None:
            pods = await self.pods_of("mcp")
            pod = pods[next(self.turns) % len(pods)]
        async with agent(await self.url(f"pod/{pod}"), self.tokens[caller], era) as session:
            yield session

    async def url(self, target: str) -> str:
        """Where the MCP endpoint of a pod or of the Service can be reached."""
        port = SERVICE_PORT if target.startswith("service/") else MCP_PORT
        return f"{await self.tunnels.url(target, port)}/mcp"

    async def pods_of(self, component: str) -> list[str]:
        """The names of the pods of `mcp` or `operator` that are ready and stay."""
        selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
        return sorted(
            pod["metadata"]["name"]
            for pod in await self._listed(f"/api/v1/namespaces/{SYSTEM}/pods", selector)
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", [])
            )
        )

    async def all_ready(self, component: str, replicas: int = 2) -> list[str]:
        """The pods of `mcp` or `operator`, as soon as there are that many."""

        async def complete() -> list[str]:
            pods = await self.pods_of(component)
            return pods if len(pods) == replicas else []

        return await eventually(complete, f"{replicas} ready pods of {component}")

    @asynccontextmanager
    async def without_operators(self) -> AsyncIterator[None]:
        """Within the block no operator is there, and no task API with it."""
        deployment = f"deployment/{RELEASE}-operator"
        before = await self.all_ready("operator")
        try:
            (await kubectl("scale", "-n", SYSTEM, deployment, "--replicas=0")).done()
            (await kubectl("delete", "pod", "-n", SYSTEM, "--ignore-not-found", "--force", *before)).done()
            yield
        finally:
            (await kubectl("scale", "-n", SYSTEM, deployment, "--replicas=2")).done()
            await self.all_ready("operator")

    async def jobs(self, **labels: str) -> list[Document]:
        """The Jobs of the task namespace with these labels, such as task_uid."""
        return await self._listed(f"/apis/batch/v1/namespaces/{TASKS}/jobs", _selector(labels))

    async def pods(self, **labels: str) -> list[Document]:
        """The pods of the task namespace with these labels."""
        return await self._listed(f"/api/v1/namespaces/{TASKS}/pods", _selector(labels))

    async def ran_once(self, uid: str) -> bool:
        """Whether the task has exactly one Job and one pod."""
        return [len(await self.jobs(task_uid=uid)), len(await self.pods(task_uid=uid))] == [1, 1]

    async def nothing_left(self, uid: str) -> bool:
        """Whether the task has neither Job nor pod."""
        return not await self.jobs(task_uid=uid) and not await self.pods(task_uid=uid)

    async def go(self, uid: str) -> None:
        """Let work that waits until it is told go on."""
        await self.in_its_pod(uid, "touch", GO)

    async def in_its_pod(self, uid: str, *command: str) -> None:
        """Run a command that lets the work of a task end, beside it."""

        async def running() -> list[str]:
            pods = await self.pods(task_uid=uid)
            return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]

        [pod] = await eventually(running, "a pod that runs")
        ran = await kubectl("exec", "-n", TASKS, pod, "--", *command)
        assert ran.code in TOUCHED, ran.text

    async def patch(self, name: str, **spec: Any) -> None:
        """Change the spec of a task, as a person would."""
        patch = json.dumps({"spec": spec})
        (await kubectl("patch", "-n", TASKS, "longtask", name, "--type=merge", f"--patch={patch}")).done()

    async def _listed(self, path: str, selector: str) -> list[Document]:
        answer = await kube.request(self.world.client, "GET", path, query={"labelSelector": selector})
        items: list[Document] = answer["items"]
        return items


@asynccontextmanager
async def installed(folder: Path) -> AsyncIterator[Installation]:
    """Install the release of this worker, and remove it at the end."""
    address = os.environ.get("LONGTASK_HOST_ADDRESS")
    # The keys of a real memory are not those of a server on this machine.
    local = address is not None and not REAL_MEMORY
    server: AbstractContextManager[S3Server | None] = S3Server(address) if address and local else nullcontext()
    with server as bucket:
        async with await kube.connect("longtask-tests") as client:
            installation = Installation(World(client, TASKS), Tunnels(SYSTEM, folder), bucket is not None)
            await _remove_leftovers()
            try:
                if not REAL_MEMORY:
                    await _emulator()
                await _install(installation, bucket)
                yield installation
            finally:
                await installation.tunnels.close()
                await _remove_leftovers()
                (await run("helm", "uninstall", RELEASE, "-n", SYSTEM, "--ignore-not-found", "--wait")).done()
                (await kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", SYSTEM, TASKS)).done()


async def _install(installation: Installation, bucket: S3Server | None) -> None:
    (await kubectl("apply", "-f", "-", stdin=json.dumps(_agents()))).done()
    await _release(bucket)
    (await kubectl("apply", "-n", TASKS, "-f", "-", stdin=json.dumps(_list([*TEMPLATES.values()])))).done()
    ready = [f"longtasktemplate/{name}" for name in TEMPLATES]
    (await kubectl("wait", "-n", TASKS, "--for=condition=Ready", *ready, f"--timeout={PATIENCE}s")).done()
    world = World(installation.world.client, AGENTS)
    installation.tokens |= {account: await world.token(account) for account in (*CALLERS, SERVICE, OUTSIDER)}
    wanted = {constants.tool_name(name) for name in TEMPLATES}
    for pod in await installation.all_ready("mcp"):
        async with installation.session("alice", pod=pod) as session:

            async def complete(session: Agent = session) -> bool:
                return wanted <= set(await session.tool_names())

            await eventually(complete, f"all tools on {pod}")


async def _emulator() -> None:
    """AgentCore Memory's stand-in, with another memory each time."""
    manifest = (ROOT / "agentcore_emulator" / "emulator.yaml").read_text()
    image = os.environ.get("AGENTCORE_EMULATOR_IMAGE", "localhost/agentcore-emulator:dev")
    namespace = json.dumps(_document("v1", "Namespace", SYSTEM))
    (await kubectl("apply", "-f", "-", stdin=namespace)).done()
    (await kubectl("delete", "-n", SYSTEM, "--ignore-not-found", f"deployment/{EMULATOR}")).done()
    manifest = manifest.replace("localhost/agentcore-emulator:dev", image)
    (await kubectl("apply", "-n", SYSTEM, "-f", "-", stdin=manifest)).done()
    (await kubectl("rollout", "status", "-n", SYSTEM, f"deployment/{EMULATOR}", f"--timeout={PATIENCE}s")).done()


async def _release(bucket: S3Server | None) -> None:
    repository, _, tag = os.environ.get("IMAGE", "localhost/longtask:dev").rpartition(":")
    values = {
        "image": {"repository": repository, "tag": tag},
        "taskNamespace": {"name": TASKS},
        "agents": [{"namespace": AGENTS, "serviceAccount": caller} for caller in (*CALLERS, SERVICE)],
        "memory": {
            "region": MEMORY_REGION,
            "memoryIds": [MEMORY_ID],
            "endpointURL": "" if REAL_MEMORY else f"http://{EMULATOR}.{SYSTEM}.svc",
        },
        "mcp": {"replicas": 2, "resources": SMALL, "trustedPrincipals": [f"system:serviceaccount:{AGENTS}:{SERVICE}"]},
        "operator": {
            "replicas": 2,
            "resources": SMALL,
            "openTurnTimeoutSeconds": 4,
            **(_store(bucket) if bucket else {"extraEnv": _variables(_keys())}),
        },
        # Another image may have come under the same tag: new pods, in any case.
        "pods": {"annotations": {"longtask.dev/tested-at": str(time.time())}},
    }
    command = ("upgrade", "--install", RELEASE, str(CHART), "-n", SYSTEM, "--create-namespace", "--values", "-")
    # Somebody may have applied the CRDs by hand on a cluster for tests.
    (
        await run("helm", *command, "--take-ownership", "--wait", f"--timeout={PATIENCE}s", stdin=json.dumps(values))
    ).done()


def _store(bucket: S3Server) -> Document:
    s3 = {"bucket": bucket.bucket, "region": REGION, "endpointURL": bucket.endpoint, "pathStyle": True}
    return {"store": {"maxBytes": MAX_BYTES, "s3": s3}, "extraEnv": _variables(bucket.environment)}


def _keys() -> dict[str, str]:
    """The credentials that boto3 finds here, for a memory on AWS."""
    found = boto3.session.Session().get_credentials() if REAL_MEMORY else None
    if found is None:
        return ANY_KEYS
    keys = found.get_frozen_credentials()
    named = {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": keys.token,
    }
    return {name: value for name, value in named.items() if value}


def _variables(values: Mapping[str, str]) -> list[Document]:
    return [{"name": name, "value": value} for name, value in values.items()]


async def _remove_leftovers() -> None:
    chosen = f"{constants.LABEL_TEMPLATE} in ({','.join(TEMPLATES)})"
    for command in (
        ("-n", TASKS, "longtasks", "-l", chosen),
        ("-n", TASKS, "longtasktemplates", *TEMPLATES),
        ("namespace", AGENTS),
    ):
        ran = await kubectl("delete", "--ignore-not-found", "--wait=false", *command)
        no_definitions_yet = "the server doesn't have a resource type" in ran.text
        assert ran.code == 0 or no_definitions_yet, ran.text


def _agents() -> Document:
    accounts = [_document("v1", "ServiceAccount", name, namespace=AGENTS) for name in (*CALLERS, SERVICE, OUTSIDER)]
    return _list([_document("v1", "Namespace", AGENTS), *accounts])


def _list(items: list[Document]) -> Document:
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _document(api_version: str, kind: str, name: str, **metadata: str) -> Document:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **metadata}}


def _selector(labels: dict[str, str]) -> str:
    return ",".join(f"{constants.GROUP}/{key.replace('_', '-')}={value}" for key, value in labels.items())
