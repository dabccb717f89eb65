"""Blocking calls of AWS's client, in threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def in_thread(threads: Executor, operation: Callable[[], T]) -> T:
    """The result of a blocking operation. Nothing can stop a thread, so its end is awaited when the caller is
    cancelled too. Raises what the operation raises.
    """
    running = asyncio.get_running_loop().run_in_executor(threads, operation)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()
        raise
