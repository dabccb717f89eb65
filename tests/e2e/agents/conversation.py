"""`conversation.py SOCKET`: for each PLAN that comes there, a real Strands agent with its memory has a conversation, in
a process that is forked from this one: to import the framework takes seconds. Ends with its standard input.

What comes is a line of JSON {"plan": PLAN, "environment": {...}}. What goes back is a line with the process's id, and,
when it has ended, JSON {"code", "output", "errors"}. It prints what the agent saw as JSON.

Run by .venv-strands and .venv-strands-modern, which have no other part of this project. The model is a script in place
of Bedrock; each request to it is made into one for Bedrock and held against the service's own model.

PLAN is a JSON object: memory {memoryId, actorId, sessionId}, agent_id, batch_size; prompts, what the user says; steps,
what the model does in turn: {"say": TEXT} or {"call": TOOL, "arguments": {...}}; mcp {url, headers}, if it has tools of
a server; news: with the hook of examples/strands_agent, which is on the PYTHONPATH; wait_for: the file for which the
tool `wait` waits, while `started` tells that it does.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import botocore.session
from agent import LongTaskNews
from bedrock_agentcore.memory.integrations.strands.config import AgentCoreMemoryConfig
from bedrock_agentcore.memory.integrations.strands.session_manager import AgentCoreMemorySessionManager
from botocore.config import Config
from botocore.validate import ParamValidator
from strands import Agent, tool
from strands.models import BedrockModel, Model
from strands.tools.mcp import MCPClient

CONVERSE: Any = (
    botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("ConverseStream").input_shape
)
PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 10})
"""A script speaks faster than any model, and the service takes 5 events a second."""


class ScriptedModel(Model):
    """Does what its steps say, one for each request."""

    def __init__(self, steps: list[dict[str, Any]]) -> None:
        self._steps = iter(steps)
        self._bedrock = BedrockModel(model_id="scripted", region_name="us-east-1")
        self.problems: list[str] = []
        self.requests: list[Any] = []

    def update_config(self, **model_config: Any) -> None: ...

    def get_config(self) -> dict[str, Any]:
        return {}

    def structured_output(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def stream(
        self, messages: Any, tool_specs: Any = None, system_prompt: Any = None, **_: Any
    ) -> AsyncIterator[Any]:
        request = self._bedrock.format_request(messages, tool_specs)
        self.requests.append(request["messages"])
        report = ParamValidator().validate(request, CONVERSE)
        self.problems += [report.generate_report()] if report.has_errors() else []
        self.problems += problems_of(request["messages"])
        step = next(self._steps, {"say": "I have nothing more to say."})
        yield {"messageStart": {"role": "assistant"}}
        if "call" in step:
            use = {"name": step["call"], "toolUseId": f"use-{len(self.requests)}-{os.getpid()}"}
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            text = json.dumps(step.get("arguments", {}))
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": text}}}}
        else:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": step["say"]}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "tool_use" if "call" in step else "end_turn"}}


def problems_of(messages: list[Any]) -> list[str]:
    """What Bedrock would not take of a conversation: roles in turn, and each use of a tool followed by its result."""
    found = []
    for before, after in zip([None, *messages], messages, strict=False):
        if (before is None and after["role"] != "user") or (before is not None and before["role"] == after["role"]):
            found.append(f"{after['role']} after {before['role'] if before else 'nothing'}")
        uses = {each["toolUse"]["toolUseId"] for each in (before or {}).get("content", []) if "toolUse" in each}
        results = {each["toolResult"]["toolUseId"] for each in after["content"] if "toolResult" in each}
        if uses != results:
            found.append(f"results of {sorted(results)} after uses of {sorted(uses)}")
    return found


def forge(path: str) -> None:
    """Returns in the process of a conversation; kills all that still run when this one's input ends."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server(f"{path}.made", family=socket.AF_UNIX) as server:
        os.rename(f"{path}.made", path)  # who finds it can connect
        while server in select.select([server, sys.stdin], [], [])[0]:
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    server.close()
                    keep(connection)
                    return
    os.killpg(0, signal.SIGKILL)


def keep(connection: socket.socket) -> None:
    """Start the conversation and tell how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    told = json.loads(connection.makefile().readline())
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        if (process := os.fork()) == 0:
            os.dup2(output.fileno(), sys.stdout.fileno())
            os.dup2(errors.fileno(), sys.stderr.fileno())
            os.environ.clear()
            os.environ.update(told["environment"])
            converse(told["plan"])
            return
        connection.sendall(f"{process}\n".encode())
        _, status = os.waitpid(process, 0)
        for file in (output, errors):
            file.seek(0)
        ended = {"code": os.waitstatus_to_exitcode(status), "output": output.read(), "errors": errors.read()}
        connection.sendall(json.dumps(ended).encode())


def converse(plan: Any) -> None:
    """Have the conversation."""

    @tool
    def wait() -> str:
        """Wait until the file is there."""
        Path(plan["started"]).touch()
        while not Path(plan["wait_for"]).exists():
            time.sleep(0.05)
        return "waited"

    @tool
    def crash() -> str:
        """End this process at once."""
        os._exit(9)

    memory = plan["memory"]
    config = AgentCoreMemoryConfig(
        memory_id=memory["memoryId"],
        actor_id=memory["actorId"],
        session_id=memory["sessionId"],
        batch_size=plan.get("batch_size", 1),
    )
    model = ScriptedModel(plan.get("steps", []))
    with ExitStack() as stack:
        tools: list[Any] = [wait, crash]
        hooks: list[Any] = []
        if "mcp" in plan:
            client = stack.enter_context(MCPClient(url=plan["mcp"]["url"], headers=plan["mcp"]["headers"]))
            tools += client.list_tools_sync()
            hooks = [LongTaskNews(client)] if plan.get("news") else []
        manager = AgentCoreMemorySessionManager(
            config, region_name=os.environ["AWS_REGION"], boto_client_config=PATIENT
        )
        agent = Agent(
            model=model,
            tools=tools,
            agent_id=plan.get("agent_id", "researcher"),
            session_manager=manager,
            hooks=hooks,
            callback_handler=None,
        )
        restored = json.loads(json.dumps(agent.messages))
        answers = [str(agent(prompt)) for prompt in plan.get("prompts", [])]
        if hasattr(manager, "close"):
            manager.close()
    print(
        json.dumps(
            {
                "restored": restored,
                "problems": problems_of(restored) + model.problems,
                "requests": len(model.requests),
                "messages": agent.messages,
                "answers": answers,
            }
        )
    )


if __name__ == "__main__":
    forge(sys.argv[1])
