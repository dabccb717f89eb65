"""The questions of the running work that wait for an answer. Pure."""

from datetime import datetime

from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest

SHOWN = 200
"""Characters of a question in the status message; the whole of it is in status.inputRequests."""


def open_questions(task: LongTask, now: datetime) -> list[InputRequest]:
    """Asked, not answered in spec.inputResponses, and not given up by the work; oldest first."""
    return [question for question in task.unanswered if not _expired(question, now)]


def first_expiry(questions: list[InputRequest]) -> datetime | None:
    """When the first of them stops waiting; None where all wait on."""
    return min((question.expires_time for question in questions if question.expires_time is not None), default=None)


def in_words(questions: list[InputRequest]) -> str:
    """What is asked, and how to answer."""
    oldest, others = questions[0], len(questions) - 1
    text = " ".join(oldest.message.split())
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
    more = f"; {others} more in status.inputRequests" if others else ""
    return (
        f"waiting for input: {shown} (answer with answer_task, or in spec.inputResponses with requestId "
        f"{oldest.id}{more})"
    )


def _expired(question: InputRequest, now: datetime) -> bool:
    return question.expires_time is not None and now >= question.expires_time
