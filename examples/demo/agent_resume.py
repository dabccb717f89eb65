"""The second agent, a process that never saw the task start: finds the task, follows it, reads the result."""

import asyncio
import sys
import textwrap
import time

from mcp.client import Client

from examples.demo.connection import connected, content, text

WIDTH = 24
ENDED = ("completed", "failed", "cancelled")


async def main() -> None:
    async with connected() as client:
        listed = await client.call_tool("list_tasks", {"template": "model-training", "limit": 3})
        print("The agent calls list_tasks and is told:")
        print(textwrap.indent(text(listed), "    "), "\n")
        task_id = content(listed)["tasks"][0]["task_id"]

        await follow(client, task_id)

        answer = await client.call_tool("get_task_results", {"task_id": task_id})
        print("\nThe agent calls get_task_results and is told:")
        print(textwrap.indent(text(answer), "    "))
        if content(answer)["status"] != "completed":
            sys.exit("the training should have completed")


async def follow(client: Client, task_id: str) -> None:
    """Wait for the end in small steps, with a bar as long as the work says it is done."""
    begin = time.monotonic()
    while True:
        task = content(await client.call_tool("wait_for_task", {"task_id": task_id, "timeout_seconds": 2}))
        progress = task.get("progress", {})
        measured = ", ".join(f"{name} {value:.3f}" for name, value in progress.get("metrics", {}).items())
        seconds = time.monotonic() - begin
        told = f"{task['status']:<10}{progress.get('display', ''):<20}{measured}"
        show(f"[{bar(progress.get('fraction', 0))}] {seconds:3.0f} s  {told}")
        if task["status"] in ENDED:
            print()
            return


def bar(fraction: float) -> str:
    done = round(fraction * WIDTH)
    return "#" * done + "." * (WIDTH - done)


def show(line: str) -> None:
    """On a terminal one line that changes, else a line each time."""
    if sys.stdout.isatty():
        print(f"\r\033[K    {line}", end="", flush=True)
    else:
        print(f"    {line}", flush=True)


asyncio.run(main())
