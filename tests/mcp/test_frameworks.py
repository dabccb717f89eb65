"""Agents' frameworks load every tool, whatever the templates' schemas are, and live a task from start to result."""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from longtask_api import constants
from longtask_api.mcp_names import FIXED_TOOLS
from tests.mcp.replica import ROOT, Replica, running
from tests.mcp.schemas import BY_HAND
from tests.mcp.world import NOW, World, eventually, new_world

PYTHON = ROOT / ".venv-frameworks" / "bin" / "python"
CLIENT = "tests/mcp/frameworks_client.py"
FRAMEWORKS = ("autogen", "semantic_kernel", "langchain", "openai_agents", "pydantic_ai")
QUESTION = {"id": "deploy", "message": "Deploy?", "answerSchema": '{"type": "boolean"}', "createdTime": NOW}
SECONDS = 90

TEMPLATES = {name.replace(" ", "-"): schema for name, schema in BY_HAND.items()}


@dataclass(frozen=True)
class Framework:
    process: asyncio.subprocess.Process
    tools: list[str]

    async def call(self, tool: str, /, **arguments: Any) -> str:
        """What the model is shown."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{json.dumps([tool, arguments])}\n".encode())
        return str(await _line(self.process))


async def _line(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), SECONDS):
        try:
            return json.loads(line)
        except ValueError:
            continue
    assert process.stderr is not None
    raise AssertionError((await process.stderr.read()).decode()[-3000:])


@pytest.fixture(scope="module")
async def apart(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[World, Replica, str]]:
    """A namespace of its own with every odd template, its server, and alice's token."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is not there: `make test` makes it, or `make .venv-frameworks/ready`")
    if "KUBECONFIG" not in os.environ:
        pytest.fail("KUBECONFIG is not set: start a cluster with `make cluster-up`, or name one")
    async with new_world() as world:
        await world.template("model-training", parametersSchema={"type": "object", "properties": {"epochs": {}}})
        for name, schema in TEMPLATES.items():
            await world.template(name, parametersSchema=schema)
        folder = tmp_path_factory.mktemp("frameworks")
        token = await world.token("server", audience="https://kubernetes.default.svc.cluster.local")
        async with running(world.kubeconfig(token, folder), world.namespace, folder) as replica:
            yield world, replica, await world.token("alice")


@asynccontextmanager
async def loaded(
    command: Sequence[str | Path], url: str, token: str, folder: Path = ROOT, path: str = os.environ["PATH"]
) -> AsyncIterator[Framework]:
    """A client of its own process, with the tools of the server at `url`."""
    environment = {"PATH": path, "HOME": str(Path.home()), "MCP_URL": url, "MCP_TOKEN": token}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield Framework(process, await _line(process))
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.cluster
@pytest.mark.parametrize("name", FRAMEWORKS)
async def test_a_framework_loads_every_tool_and_lives_a_task_from_start_to_result(
    apart: tuple[World, Replica, str], name: str
) -> None:
    world, replica, token = apart
    async with loaded([PYTHON, CLIENT, name], replica.url, token) as framework:
        assert set(framework.tools) == FIXED_TOOLS | {
            constants.tool_name(each) for each in (*TEMPLATES, "model-training")
        }
        started = await framework.call("model_training", epochs=3, idempotency_key=name)
        assert "has been initiated" in started or '"status": "started"' in started
        [task] = await world.tasks(name)
        task_id = task.metadata.uid
        assert task.spec.parameters == {"epochs": 3}
        running_ = {"phase": "WaitingForInput", "startTime": NOW, "attemptCount": 1, "inputRequests": [QUESTION]}
        await world.set_status(task_id, **running_)
        assert "Deploy?" in await framework.call("wait_for_task", task_id=task_id, timeout_seconds=20)
        await framework.call("answer_task", task_id=task_id, answer=True)
        assert [each.value for each in (await world.task(task_id)).spec.input_responses] == ["true"]
        await world.set_status(task_id, phase="Succeeded", completionTime=NOW, result={"value": {"loss": 0.25}})

        async def completed() -> bool:
            return "completed" in await framework.call("check_task_status", task_id=task_id)

        await eventually(completed, "the end")
        assert "0.25" in await framework.call("get_task_results", task_id=task_id)
        assert task_id in await framework.call("list_tasks", status="completed")
        unknown = await framework.call("check_task_status", task_id=str(uuid.uuid4()))
        assert "task not found" in unknown
