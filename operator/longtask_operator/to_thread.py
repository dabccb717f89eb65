"""Runs blocking AWS calls in threads, and waits for requests that cannot be cancelled once they are sent."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from botocore.exceptions import NoCredentialsError

C = TypeVar("C", bound=Any)
T = TypeVar("T")

START_SECONDS = 60.0
"""How long threads may take to start. If one cannot, the others must not wait for ever, nor the end of the process."""


class ThreadedClient(Generic[C]):
    """A boto3 client that is created and called in threads: creating it takes about a second, and every call blocks.

    It is created at the first call, and again after a call that found no credentials, since boto3 looks for them only
    once.
    """

    def __init__(self, make: Callable[[], C], threads: int, name: str) -> None:
        self._make = make
        self._count = threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._client: C | None = None

    async def prepare(self) -> None:
        """Create the client and start all threads. Before that a call waits until a thread has started, which on a
        busy machine blocks the event loop. Raises what making the client raises.
        """
        await asyncio.to_thread(self._start)
        await self.call(lambda _: None)

    async def call(self, operation: Callable[[C], T]) -> T:
        """Return the result of a blocking operation. Raises what the operation raises. A thread cannot be stopped, so a
        cancelled call still waits for its end.
        """
        return await run_to_completion(asyncio.get_running_loop().run_in_executor(self._threads, self._run, operation))

    def close(self) -> None:
        """Shut down the threads without waiting for them, and close the client's connections."""
        self._threads.shutdown(wait=False)
        if self._client is not None:
            self._client.close()

    def _start(self) -> None:
        together = threading.Barrier(self._count, timeout=START_SECONDS)
        for started in [self._threads.submit(together.wait) for _ in range(self._count)]:
            started.result()

    def _run(self, operation: Callable[[C], T]) -> T:
        with self._lock:
            if self._client is None:
                self._client = self._make()
            client = self._client
        try:
            return operation(client)
        except NoCredentialsError:
            with self._lock:
                if self._client is client:
                    self._client = None
            raise


async def run_to_completion(running: asyncio.Future[T]) -> T:
    """Return the result of `running`, or raise its exception. A cancelled caller still waits for its end."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise
