"""The time of the API server.

Most times that are compared with now (creation, start and end of a task, a Job, a pod) are written by the cluster, so
now has to be the cluster's too: by a clock that is hours ahead every new task would have waited for too long at once.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

NOTABLE = 5.0
"""Seconds of skew that are worth a warning."""

log = logging.getLogger(__name__)


class Clock:
    """This machine's clock, put right by what the Date headers of the API server's answers say."""

    def __init__(self, local: Callable[[], float] = time.time) -> None:
        """`local` gives seconds since 1970."""
        self._local = local
        self._offset = 0.0
        self._warned = False

    def now(self) -> datetime:
        """The API server's time."""
        return datetime.fromtimestamp(self._local() + self._offset, UTC)

    @property
    def skew(self) -> float:
        """Seconds by which this machine's clock is ahead of the API server's; 0 where they may be alike."""
        return -self._offset

    def local(self) -> float:
        """What this machine's clock says, to be given to `hear`."""
        return self._local()

    def hear(self, date: str, sent: float) -> None:
        """Take in the Date header of an answer to a request that was sent at `sent`, by the local clock.

        It has whole seconds, and was made at some moment since then: an offset that fits is left as it is.
        """
        try:
            told = parsedate_to_datetime(date).timestamp()
        except ValueError:
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


CLOCK = Clock()


def now() -> datetime:
    """The API server's time, as far as this process has heard it."""
    return CLOCK.now()
