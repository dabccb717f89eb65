"""`conversation.py < PLAN`: a real Strands agent with its memory has a conversation; prints what it saw as JSON.

Run by .venv-strands and .venv-strands-modern, which have no other part of this project. The model is a script in place
of Bedrock; each request to it is made into one for Bedrock and held against the service's own model.

PLAN is a JSON object: memory {memoryId, actorId, sessionId}, agent_id, batch_size; prompts, what the user says; steps,
what the model does in turn: {"say": TEXT} or {"call": TOOL, "arguments": {...}}; mcp {url, headers}, if it has tools of
a server; news: with the hook of examples/strands_agent, which is on the PYTHONPATH; wait_for: the file for which the
tool `wait` waits, while `started` tells that it does.
"""

import json
import os
import sys
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


def main() -> None:
    plan = json.load(sys.stdin)

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


main()
