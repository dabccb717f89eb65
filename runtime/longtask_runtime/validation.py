"""Schema validation off the event loop and with a time limit.

A regular expression in a stranger's schema can hold Python's global lock for minutes, so a thread would stop the
whole server: validation runs in a worker process that is killed when its time is up.
"""

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module
from multiprocessing import get_context
from typing import Any, Self, TypeVar

from pebble import ProcessPool

from longtask_api import parameters

T = TypeVar("T")


class ValidationTimeout(Exception):
    """A value could not be checked against its schema in time; the text says what and how long that took."""


class Validator:
    """An async context manager that owns one worker process."""

    def __init__(self, timeout: float = 2.0) -> None:
        """`timeout` is in seconds, for each validation."""
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        """Starts the worker and waits for it. What it imports, now or after it was killed, costs no validation time."""
        self._pool = ProcessPool(
            max_workers=1, context=get_context("spawn"), initializer=import_module, initargs=[parameters.__name__]
        )
        await asyncio.wrap_future(self._pool.schedule(parameters.complete, args=[{"type": "object"}, {}]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.stop()
        await asyncio.to_thread(self._pool.join)

    async def complete(self, schema: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with defaults filled in.

        Raises longtask_api.parameters.InvalidParameters, or ValidationTimeout.
        """
        return await self._within_time("parameters", parameters.complete, schema, values)

    async def mismatches(
        self, schema: Mapping[str, Any], value: Any, what: str = "value"
    ) -> list[parameters.ParameterError]:
        """How a JSON value, called `what` in the error, does not fit a schema; empty when it fits.

        Raises ValidationTimeout.
        """
        return await self._within_time(what, parameters.mismatches, schema, value)

    async def _within_time(self, what: str, check: Callable[..., T], *arguments: Any) -> T:
        future = self._pool.schedule(check, args=arguments, timeout=self._timeout)
        try:
            checked: T = await asyncio.wrap_future(future)
        except TimeoutError:
            raise ValidationTimeout(f"validating the {what} took more than {self._timeout} s") from None
        return checked
