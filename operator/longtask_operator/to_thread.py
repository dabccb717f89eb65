"""What cannot be taken back once it is begun: calls of AWS in threads, and requests that are sent."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from botocore.exceptions import NoCredentialsError

C = TypeVar("C", bound=Any)
T = TypeVar("T")


class ThreadedClient(Generic[C]):
    """A client of boto3, which takes a second to be made and blocks in each call: both happen in threads.

    It is made at the first call; and anew after one that found no credentials, as it never looks for them again.
    """

    def __init__(self, make: Callable[[], C], threads: int, name: str) -> None:
        self._make = make
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._client: C | None = None

    async def call(self, operation: Callable[[C], T]) -> T:
        """The result of what blocks; nothing can stop a thread. Raises what the operation raises."""
        return await run_to_completion(asyncio.get_running_loop().run_in_executor(self._threads, self._run, operation))

    def close(self) -> None:
        """End threads and connections."""
        self._threads.shutdown(wait=False)
        if self._client is not None:
            self._client.close()

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
    """The result of what runs. Its end is awaited when the caller is cancelled too. Raises what it raises."""
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise
