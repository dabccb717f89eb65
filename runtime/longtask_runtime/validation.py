"""Validates untrusted values against untrusted schemas without blocking the event loop.

The validator holds the GIL, so a thread alone does not help: longtask_api also bounds the cost of a check, to 0.1 s at
most. Anything that is not small is checked in one thread, so that two checks never add up.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from longtask_api import checking, parameters
from longtask_api.bounds import is_small

T = TypeVar("T")


class Validator:
    """Runs checks; a context manager that owns the thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="validation")

    def __enter__(self) -> Self:
        self._thread.submit(int).result()  # starts the thread, which would block the event loop in the first check
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    async def complete(self, schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with defaults filled in. Raises longtask_api.parameters.InvalidParameters."""
        if is_small(values) and is_small(schema):
            return parameters.complete(schema, values)
        return await self.run(parameters.complete, schema, values)

    async def mismatches(self, schema: Mapping[str, Any], value: Any) -> list[checking.Mismatch]:
        """Violations of a schema by a JSON value; empty if it is valid."""
        if is_small(value) and is_small(schema):
            return checking.mismatches(schema, value)
        return await self.run(checking.mismatches, schema, value)

    async def run(self, check: Callable[..., T], *arguments: Any) -> T:
        """Run a check of longtask_api, or a function that combines some, in the thread, after those queued before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, check, *arguments)
