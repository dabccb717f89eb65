"""`strands_client.py CODE KEY`: an agent of the Strands framework at work; prints what it was told as JSON.

Run by .venv-strands, which has no other part of this project.
"""

import json
import os
import sys
from typing import Any

from strands.tools.mcp import MCPClient


def main(code: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['MCP_TOKEN']}"}
    notifications: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        notifications.append(message)

    def call(tool: str, **arguments: Any) -> dict[str, Any]:
        answer = client.call_tool_sync(f"use-{tool}", tool, arguments, progress_callback=hear)
        assert answer["status"] == "success", answer
        return {"text": answer["content"][0]["text"], "envelope": answer["structuredContent"]}

    [client] = MCPClient.load_servers({"longtask": {"url": os.environ["MCP_URL"], "headers": headers}})
    with client:
        tools = [tool.tool_name for tool in client.list_tools_sync()]
        start = call("e2e_python", code=code, idempotency_key=key)
        task = {"task_id": start["envelope"]["task_id"]}
        status = call("check_task_status", **task)
        wait = call("wait_for_task", **task)
        result = call("get_task_results", **task)
    story = {"tools": tools, "notifications": len(notifications), "start": start, "status": status}
    print(json.dumps({**story, "wait": wait, "result": result}))


main(*sys.argv[1:])
