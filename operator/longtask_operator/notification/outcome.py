"""What an answer of a sink means for the event that was sent, and when it is tried again. Pure."""

from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Final

FIRST_RETRY, LAST_RETRY = 2.0, 300.0
"""Seconds: the delay doubles between these bounds, and is shortened by up to a quarter at random."""
LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds that a sink can ask for with Retry-After."""
OF_THE_EVENT: Final = frozenset({400, 409, 413, 422})
"""Statuses that say something about the event that was sent; other events may be accepted."""


class Verdict(Enum):
    """What happens next."""

    SENT = "sent"
    RETRY = "retry"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt went. `reason` is the reason of a condition; `message` is for people and has no secret."""

    verdict: Verdict
    reason: str
    message: str
    retry_after: float = 0.0
    """Seconds that the sink asks to wait, within bounds."""
    of_sink: bool = True
    """Whether other events would fail too, so that the sink is left alone for a while."""


SENT: Final = Outcome(Verdict.SENT, "", "")


def of_status(status: int, retry_after: str | None, now: datetime) -> Outcome:
    """The outcome of an answer (Standard Webhooks 1.0.0, "Delivery success and failure"): 2xx is a success, 410 says
    that the sink wants no more, everything else is tried again.
    """
    said = f"the sink answers {status}"
    if 200 <= status < 300:
        return SENT
    if status == 410:
        return Outcome(Verdict.GIVE_UP, "Gone", f"{said}: it takes no more events", of_sink=False)
    if 300 <= status < 400:
        text = f"{said}: redirects are not followed; set url of the sink to where it redirects to"
        return Outcome(Verdict.RETRY, "Redirected", text)
    wait = _seconds(retry_after, now)
    if status == 429:
        return Outcome(Verdict.RETRY, "Throttled", f"{said}: too many requests", wait)
    if status in (408, 425) or status >= 500:
        return Outcome(Verdict.RETRY, "ServerError", said, wait)
    return Outcome(Verdict.RETRY, "Rejected", said, wait, of_sink=status not in OF_THE_EVENT)


def failed(reason: str, message: str) -> Outcome:
    """The outcome of an attempt that got no answer, or was not made."""
    return Outcome(Verdict.RETRY, reason, message)


def backoff(failures: int, draw: float, retry_after: float = 0.0) -> float:
    """Seconds until the next attempt after `failures` (1 or more) in a row; `draw` is random, from 0 to 1."""
    full = min(LAST_RETRY, FIRST_RETRY * 2.0 ** min(failures - 1, 20))
    return max(full * (1 - draw / 4), retry_after)


def _seconds(retry_after: str | None, now: datetime) -> float:
    """The wait that a Retry-After header asks for (RFC 9110, section 10.2.3), within bounds; 0 if it is unreadable."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdecimal():
        seconds = float(text[:10])
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return 0.0
        seconds = (moment - now).total_seconds() if moment.tzinfo is not None else 0.0
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER)
