"""The first agent: looks at its tools, starts a training, and is gone."""

import asyncio
import textwrap
import uuid

from examples.demo.connection import connected, content, text


async def main() -> None:
    async with connected() as client:
        print("The agent's tools:")
        for tool in (await client.list_tools()).tools:
            print(f"    {tool.name:<20} {textwrap.shorten(tool.description or '', 90, placeholder=' ...')}")
        # The key makes a repeated call, after a lost answer say, meet the same task.
        arguments = {"model_name": "demo", "epochs": 10, "idempotency_key": f"demo-{uuid.uuid4()}"}
        print(f"\nThe agent calls model_training({arguments}) and is told:")
        answer = await client.call_tool("model_training", arguments)
        task = content(answer)
        print(f"    {text(answer)}")
        print(f"\ntask id: {task['task_id']}")


asyncio.run(main())
