"""`conversation.py start` and `conversation.py recall`: a Strands agent with AgentCore Memory, run by .venv-strands.

Its model is a script in place of Bedrock; the agent, its session manager and its MCP client are the real ones.
"""

import json
import os
import sys
import textwrap
import uuid
from collections.abc import AsyncIterator
from typing import Any

from bedrock_agentcore.memory.integrations.strands.config import AgentCoreMemoryConfig
from bedrock_agentcore.memory.integrations.strands.session_manager import AgentCoreMemorySessionManager
from strands import Agent
from strands.models import Model
from strands.tools.mcp import MCPClient

MEMORY, ACTOR, SESSION = (os.environ[f"DEMO_{name}"] for name in ("MEMORY", "ACTOR", "SESSION"))
SPEAKS_FOR = {"X-LongTask-Memory-Id": MEMORY, "X-LongTask-Actor-Id": ACTOR, "X-LongTask-Session-Id": SESSION}
"""What an agent service that is trusted tells of the user that it works for."""


class Script(Model):
    """Calls the training, then says that it did."""

    def update_config(self, **model_config: Any) -> None: ...

    def get_config(self) -> dict[str, Any]:
        return {}

    def structured_output(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    async def stream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
        called = any("toolResult" in part for part in messages[-1]["content"])
        yield {"messageStart": {"role": "assistant"}}
        if called:
            yield {"contentBlockStart": {"start": {}}}
            yield {"contentBlockDelta": {"delta": {"text": "The training runs. Close your laptop if you like."}}}
        else:
            arguments = {"model_name": "demo", "epochs": 10, "idempotency_key": f"demo-{uuid.uuid4()}"}
            yield {
                "contentBlockStart": {"start": {"toolUse": {"name": "model_training", "toolUseId": uuid.uuid4().hex}}}
            }
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": json.dumps(arguments)}}}}
        yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": "end_turn" if called else "tool_use"}}


def opened(tools: list[Any]) -> Agent:
    """An agent on the session: it has all messages of it."""
    config = AgentCoreMemoryConfig(memory_id=MEMORY, actor_id=ACTOR, session_id=SESSION)
    manager = AgentCoreMemorySessionManager(config, region_name=os.environ["AWS_REGION"])
    return Agent(model=Script(), tools=tools, agent_id="demo", session_manager=manager, callback_handler=None)


def main(what: str) -> None:
    if what == "recall":
        show(opened([]).messages)
        return
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}", **SPEAKS_FOR}
    with MCPClient(url=os.environ["MCP_URL"], headers=headers) as client:
        agent = opened(client.list_tools_sync())
        agent("Train a demo model for 10 epochs.")
        show(agent.messages)


def show(messages: Any) -> None:
    """One paragraph a message."""
    for message in messages:
        for part in message["content"]:
            print(f"  {message['role']}:")
            print(textwrap.indent(told(part), "      "))


def told(part: Any) -> str:
    if "toolUse" in part:
        return f"calls {part['toolUse']['name']}({json.dumps(part['toolUse']['input'])})"
    if "toolResult" in part:
        return "\n".join(f"is told: {each['text']}" for each in part["toolResult"]["content"] if "text" in each)
    return str(part["text"])


main(sys.argv[1])
