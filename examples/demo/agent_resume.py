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
    """Wait for the end in small steps, with a bar that shows how it goes."""
    begin = time.monotonic()
    while True:
        task = content(await client.call_tool("wait_for_task", {"task_id": task_id, "timeout_seconds": 2}))
        log = content(await client.call_tool("get_task_logs", {"task_id": task_id, "tail_lines": 1}))
        ended = task["status"] in ENDED
        seconds = time.monotonic() - begin
        told = 1.0 if ended else task.get("progress", {}).get("fraction")
        show(f"[{bar(told, seconds)}] {seconds:3.0f} s  {task['status']:<10}{log.get('text', '').strip()}")
        if ended:
            print()
            return


def bar(fraction: float | None, seconds: float) -> str:
    """Filled as far as the work says it is; where the work does not say, a block that moves while it runs."""
    if fraction is None:
        place = int(seconds) % (WIDTH - 3)
        return "." * place + "####" + "." * (WIDTH - 4 - place)
    done = round(fraction * WIDTH)
    return "#" * done + "." * (WIDTH - done)


def show(line: str) -> None:
    """On a terminal one line that changes, else a line each time."""
    if sys.stdout.isatty():
        print(f"\r\033[K    {line}", end="", flush=True)
    else:
        print(f"    {line}", flush=True)


asyncio.run(main())
