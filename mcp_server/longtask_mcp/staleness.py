"""Says in an answer that it may be outdated."""

from collections.abc import Callable
from datetime import datetime

from longtask_mcp.contract import answers
from longtask_mcp.contract.answers import Answer
from longtask_mcp.leading import Leading
from longtask_runtime import clock


class Staleness:
    """Knows whether the cache follows the cluster, and whether an operator leads."""

    def __init__(
        self,
        leading: Leading,
        out_of_date: Callable[[], str | None] = lambda: None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        """`out_of_date` returns why the cache is stale; None if it is not."""
        self._leading = leading
        self._out_of_date = out_of_date
        self._now = now

    async def noted(self, answer: Answer, unfinished: bool, from_the_cache: bool = False) -> Answer:
        """Adds to an answer that it may be outdated: one about `unfinished` tasks, or that lists what the cache has."""
        why = self._out_of_date() if unfinished or from_the_cache else None
        if why is not None:
            answer = answers.out_of_date(answer, why)
        away_since = await self._leading.away_since() if unfinished else None
        return answers.led_by_nobody(answer, away_since, self._now()) if away_since is not None else answer
