"""Open questions of the running work. Pure."""

from datetime import datetime

from longtask_api.longtask import LongTask
from longtask_api.reports import InputRequest

SHOWN = 200
"""Characters of a question shown in the status message; status.inputRequests has all of it."""


def open_questions(task: LongTask, now: datetime) -> list[InputRequest]:
    """Questions without an answer in spec.inputResponses that have not timed out; oldest first."""
    return [question for question in task.unanswered if not _expired(question, now)]


def first_expiry(questions: list[InputRequest]) -> datetime | None:
    """When the first question expires; None if none does."""
    return min((question.expires_time for question in questions if question.expires_time is not None), default=None)


def in_words(questions: list[InputRequest]) -> str:
    """Status message with the oldest question and how to answer it."""
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
