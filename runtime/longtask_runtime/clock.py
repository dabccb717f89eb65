"""The API server's time.

Most times that are compared with now (creation, start and end of a task, a Job, a pod) are written by the cluster, so
now has to be the cluster's time too: with a local clock that is hours ahead, every new task would time out at once.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

NOTABLE = 5.0
"""Seconds of skew from which a warning is logged."""

log = logging.getLogger(__name__)


class Clock:
    """This machine's clock, corrected by the Date headers of the API server's responses."""

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        """`local` returns seconds since 1970."""
        self._local = local
        self._offset = 0.0
        self._warned = False

    def now(self) -> datetime:
        """The API server's time."""
        return datetime.fromtimestamp(self._local() + self._offset, UTC)

    @property
    def skew(self) -> float:
        """Seconds by which this machine's clock is ahead of the API server's; 0 if they may agree."""
        return -self._offset

    def local(self) -> float:
        """This machine's uncorrected time, in seconds since 1970; take it before a request and pass it to `hear`."""
        return self._local()

    def hear(self, date: str, sent: float) -> None:
        """Correct the clock by the Date header of a response to a request sent at `sent` (local time).

        The header has whole seconds and was created at some moment since then, so it gives a range of possible offsets.
        The offset becomes 0 if that is in the range, else it is clamped to it. An unreadable header is ignored.
        """
        told = _seconds(date)
        if told is None:
            return
        least, most = told - self._local(), told + 1 - sent
        self._offset = min(max(self._offset, least), most) if not least <= 0 <= most else 0.0
        if abs(self._offset) < NOTABLE:
            self._warned = False
        elif not self._warned:
            self._warned = True
            log.warning(
                "this machine's clock is not that of the API server, whose time is used; set it right",
                extra={"ahead_seconds": round(self.skew, 1)},
            )


@lru_cache(2)  # a busy client hears each second many times
def _seconds(date: str) -> float | None:
    """Seconds since 1970 of a Date header; None if it is unreadable."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


CLOCK = Clock()


def now() -> datetime:
    """The API server's time, as estimated from the responses so far."""
    return CLOCK.now()
