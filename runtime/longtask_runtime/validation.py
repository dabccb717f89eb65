"""Values of strangers against schemas of strangers, without holding up the event loop.

The checker keeps Python's global lock while it works, so a thread alone does not help: longtask_api bounds what a check
costs to some hundredths of a second. What is not small goes through one thread, so that two never add up.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from longtask_api import checking, parameters
from longtask_api.bounds import is_small

T = TypeVar("T")


class Validator:
    """A context manager that owns the thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="validation")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def complete(self, schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with defaults filled in. Raises longtask_api.parameters.InvalidParameters."""
        if is_small(values) and is_small(schema):
            return parameters.complete(schema, values)
        return await self.run(parameters.complete, schema, values)

    async def mismatches(self, schema: Mapping[str, Any], value: Any) -> list[checking.Mismatch]:
        """How a JSON value does not fit a schema; empty when it fits."""
        if is_small(value) and is_small(schema):
            return checking.mismatches(schema, value)
        return await self.run(checking.mismatches, schema, value)

    async def run(self, check: Callable[..., T], *arguments: Any) -> T:
        """What a function of longtask_api, or one made of them, says; after those that were asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, check, *arguments)
