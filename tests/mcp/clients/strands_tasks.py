"""`strands_tasks.py`: one tool call of a Strands MCPClient with tasks_config, as an agent makes it.

Run by .venv-strands-modern, which has no other part of this project. Standard input is JSON {url, token, tool,
arguments, poll_timeout}; it prints what the model is shown. `poll_timeout` is in seconds; without it the client is that
of `code`, the example of the page for owners of agents.
"""

import json
import sys
from datetime import timedelta
from typing import Any

from strands.tools.mcp import MCPClient

plan = json.load(sys.stdin)


def tools() -> MCPClient:
    if plan["poll_timeout"] is None:
        page: dict[str, Any] = {}
        exec(plan["code"], page)
        return page["tools"](plan["url"], plan["token"])
    config = {"poll_timeout": timedelta(seconds=plan["poll_timeout"])}
    return MCPClient(url=plan["url"], headers={"Authorization": f"Bearer {plan['token']}"}, tasks_config=config)


with tools() as client:
    client.list_tools_sync()
    print(json.dumps(client.call_tool_sync("use-1", plan["tool"], plan["arguments"])))
