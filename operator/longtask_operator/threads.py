"""What cannot be taken back once it is begun: blocking calls of AWS's client in threads, and requests that are sent."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


async def in_thread(threads: Executor, operation: Callable[[], T]) -> T:
    """The result of a blocking operation; nothing can stop a thread. Raises what the operation raises."""
    return await to_its_end(asyncio.get_running_loop().run_in_executor(threads, operation))


async def to_its_end(running: asyncio.Future[T]) -> T:
    """The result of what runs. Its end is awaited when the caller is cancelled too. Raises what it raises."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise
