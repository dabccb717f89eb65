"""Limits how many tasks of each requester are active. If creates of Jobs take longer than COUNT_AGAIN, the limit may be
exceeded by the number of workers.
"""

import time
from collections import defaultdict
from collections.abc import Callable

from longtask_api.longtask import LongTask
from longtask_operator.cache import Cache

COUNT_AGAIN = 1.0
"""Seconds between two counts. Tasks that start in between are added to the last count."""

_Requester = tuple[str, str | None] | None


class Shares:
    """Limits the active tasks (those with a Job) of each requester. All tasks without a requester share one limit."""

    def __init__(self, cache: Cache, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._cache = cache
        self._limit = limit
        self._clock = clock
        self._at_work: defaultdict[_Requester, set[str]] = defaultdict(set)
        self._count_at = clock()

    def has_room(self, task: LongTask) -> bool:
        """Whether the task may start; if so, it counts as active from now on."""
        self._count()
        mine = self._at_work[_requester(task)]
        if task.metadata.uid not in mine and len(mine) >= self._limit:
            return False
        mine.add(task.metadata.uid)
        return True

    def _count(self) -> None:
        now = self._clock()
        if now < self._count_at:
            return
        self._count_at = now + COUNT_AGAIN
        self._at_work.clear()
        for task in self._cache.tasks.unfinished:
            if task.status.job_ref is not None or task.metadata.uid in self._cache.jobs:
                self._at_work[_requester(task)].add(task.metadata.uid)


def _requester(task: LongTask) -> _Requester:
    requester = task.spec.requester
    return (requester.principal, requester.actor_id) if requester is not None else None
