import asyncio


async def fetch(n):
    raise [ValueError("bad shard 1"), OSError(28, "No space left on device")][n]


async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(fetch(0))
        group.create_task(fetch(1))


print("begin", flush=True)
asyncio.run(main())
