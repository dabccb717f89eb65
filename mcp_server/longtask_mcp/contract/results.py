"""Results and artifacts as shown to agents: page by page, or why they cannot be read. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from longtask_api.longtask import LongTask
from longtask_api.reports import Artifact, Reference
from longtask_mcp.contract.answers import Answer, describe, ended, sentence, status
from longtask_mcp.contract.artifacts import is_stored
from longtask_mcp.contract.errors import BadArguments, Problem
from longtask_mcp.contract.paging import Page, page_of
from longtask_mcp.contract.progress_text import going_on
from longtask_mcp.contract.questions import open_questions, quoted
from longtask_mcp.contract.structured_content import envelope, step
from longtask_mcp.contract.task_status import check_seconds, has_result, status_word

AGAIN_SECONDS = 30
MAX_NAMED = 20
"""Artifacts that an error names."""


@dataclass(frozen=True)
class Stored:
    """Content of a task that is stored outside the object: an artifact, or its result."""

    kept: Artifact | Reference
    media_type: str | None

    @property
    def artifact(self) -> str | None:
        """Name of the artifact; None for the result."""
        return self.kept.name if isinstance(self.kept, Artifact) else None

    @property
    def is_elsewhere(self) -> bool:
        """Whether the work only named the artifact, so that the operator does not have its content."""
        return isinstance(self.kept, Artifact) and not is_stored(self.kept)

    @property
    def description(self) -> str:
        """Name, location and size."""
        return describe(f"Artifact {self.artifact}" if self.artifact is not None else "The result", self.kept)


def stored(task: LongTask, artifact: str | None = None) -> Stored | None:
    """The content to fetch for an answer; None if the task itself contains everything.

    Raises BadArguments for an artifact that the task does not have.
    """
    result = task.status.result
    if artifact is not None:
        artifacts = (result.artifacts if result else None) or []
        found = next((each for each in artifacts if each.name == artifact), None)
        if found is None:
            names = ", ".join(quoted(each.name) for each in artifacts[:MAX_NAMED])
            known = f"It has {names}" if artifacts else "It has none"
            raise BadArguments(
                Problem(
                    "artifact",
                    f"the task has no artifact {artifact[:100]!r}. {known}; its status is {status_word(task)}.",
                )
            )
        return Stored(found, found.media_type)
    if result is None or result.reference is None or not has_result(task):
        return None
    return Stored(result.reference, result.media_type)


def results(task: LongTask, now: datetime, number: int = 1) -> Answer:
    """Page `number` of a result in the task itself; for a task without one, its status. Raises BadArguments."""
    result = task.status.result
    if not task.is_terminal:
        again = "" if open_questions(task) else f" Check again in {check_seconds(task, now)} s."
        return Answer(f"task not completed. Current status: {going_on(task, now)}{again}", envelope(task, now))
    if result is None or not has_result(task):
        page_of("", number)
        return status(task, now)
    shown = page_of(result.text if result.text is not None else json.dumps(result.value, ensure_ascii=False), number)
    value = result.value if shown.pages == 1 and result.text is None else shown.text
    return _part(task, now, _heading(task), shown, {"result": value}, result.media_type)


def part(task: LongTask, now: datetime, source: Stored, shown: Page) -> Answer:
    """One page of content that is stored outside the object."""
    if source.artifact is not None:
        content = {"artifact": source.artifact, "text": shown.text}
        return _part(task, now, f"{source.description}.", shown, content, source.media_type)
    heading = f"{_heading(task)} {source.description}."
    return _part(task, now, heading, shown, {"result": shown.text}, source.media_type)


def unavailable(task: LongTask, now: datetime, source: Stored, number: int, why: str) -> Answer:
    """The answer if stored content cannot be fetched now; `why` is the reason, and a retry is suggested."""
    arguments: dict[str, Any] = {"artifact": source.artifact} if source.artifact is not None else {}
    arguments |= {"page": number} if number > 1 else {}
    text = (
        f"{_state(task, now)} {source.description} cannot be read now: {sentence(why)} It is not lost. Call "
        f"get_task_results again in {AGAIN_SECONDS} s."
    )
    following = {"unavailable": why, "next": step(task, "get_task_results", AGAIN_SECONDS, **arguments)}
    return Answer(text, envelope(task, now) | following)


def unreadable(task: LongTask, now: datetime, source: Stored, why: str) -> Answer:
    """The answer if stored content can never be shown here; the description says where it is."""
    told = envelope(task, now)
    told.pop("next", None)
    text = f"{_state(task, now)} {source.description} cannot be shown here: {sentence(why)}"
    return Answer(text, told | {"unreadable": why})


def _state(task: LongTask, now: datetime) -> str:
    return _heading(task) if task.is_terminal else f"Current status: {going_on(task, now)}"


def _heading(task: LongTask) -> str:
    note = "" if status_word(task) == "completed" else " What it had handed in as its result is kept."
    return f"{ended(task)}{note}"


def _part(
    task: LongTask, now: datetime, heading: str, shown: Page, content: dict[str, Any], media_type: str | None
) -> Answer:
    """`content` has the envelope's keys for the page itself."""
    told = envelope(task, now)
    told.pop("next", None)
    told |= content
    if media_type is not None:
        told["media_type"] = media_type
    if shown.pages == 1:
        return Answer(f"{heading} {'Result' if 'result' in content else 'Content'}:\n{shown.text}", told)
    told |= {"page": shown.number, "pages": shown.pages}
    following = ", the last one"
    if shown.number < shown.pages:
        more = {key: content[key] for key in ("artifact",) if key in content} | {"page": shown.number + 1}
        told["next"] = step(task, "get_task_results", **more)
        call = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in more.items())
        following = f": call get_task_results with {call}"
    return Answer(f"{heading} Part {shown.number} of {shown.pages}{following}.\n{shown.text}", told)
