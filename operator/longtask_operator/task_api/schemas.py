"""What callers send and what they are answered, as JSON."""

import time
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from longtask_api.longtask import Archive
from longtask_api.reports import MAX_METRICS
from longtask_operator.planning.progress import Report

MAX_SEQUENCE = 2**53
MetricName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_./-]{0,62}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$")]


class Body(BaseModel):
    """camelCase on the wire; unknown fields, NaN and infinities are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=False, extra="forbid", allow_inf_nan=False
    )


class Answer(BaseModel):
    """camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, validate_by_name=True)


class ProgressBody(Body):
    """How far the work is. A report replaces the one before as a whole."""

    sequence: int | None = Field(
        None,
        ge=0,
        le=MAX_SEQUENCE,
        description="Rises with every report of an attempt; milliseconds since 1970 when not given. Give it always or "
        "never: a report that is older than what is known changes nothing.",
    )
    fraction: float | None = Field(None, ge=0, le=1, description="Done share of the work, 0 to 1.")
    current: float | None = Field(None, description="Units done.")
    total: float | None = Field(None, description="Units to do in all.")
    unit: str | None = Field(None, max_length=32, description="What is counted: epoch, file, row.")
    message: str | None = Field(None, max_length=1024, description="What the work is doing now.")
    metrics: dict[MetricName, float] | None = Field(
        None, max_length=MAX_METRICS, description="Numbers that the work wants seen."
    )
    memory_bytes: int | None = Field(None, ge=0, le=MAX_SEQUENCE, description="Memory in use, in bytes.")
    final: bool = Field(False, description="Write it before the answer: no other report follows.")

    def report(self) -> Report:
        """As decisions want it."""
        told = self.model_dump(exclude={"sequence", "final"})
        return Report(sequence=milliseconds() if self.sequence is None else self.sequence, **told)


class QuestionBody(Body):
    """A question, asked once under its id, whichever attempt asks."""

    id: Name = Field(description="Name of the question.")
    message: str = Field(min_length=1, max_length=4096, description="The question, for whoever answers.")
    answer_schema: dict[str, Any] | None = Field(None, alias="schema", description="JSON Schema of the answer.")
    timeout_seconds: int | None = Field(
        None, ge=1, le=10**9, description="How long to wait for an answer, in seconds; not given: for ever."
    )
    default: Any = Field(None, description="The answer when nobody answers in time: fits the schema, or is null.")

    @model_validator(mode="after")
    def _default_needs_a_timeout(self) -> "QuestionBody":
        if self.has_default and self.timeout_seconds is None:
            raise ValueError("default is taken when the time is over: give timeoutSeconds too")
        return self

    @property
    def has_default(self) -> bool:
        """Whether a default was given; null is one."""
        return "default" in self.model_fields_set


class ReportAck(Answer):
    """What became of a report."""

    held: bool = Field(description="It will be written within the interval, unless a newer one comes.")
    outdated: bool = Field(False, description="It changes nothing: a report with a higher sequence is known.")


class AttemptAnswer(Answer):
    """Which attempt the caller is."""

    task_id: str
    attempt: int
    cancel_requested: bool


class CheckpointAck(Answer):
    """What was stored."""

    sequence: int
    size: int
    sha256: str


class ResultAck(Answer):
    """What became of a result."""

    size: int
    sha256: str
    mismatch: str | None = Field(None, description="How it does not fit the template's resultSchema.")


class ArtifactAnswer(Answer):
    """Where an artifact is."""

    name: str
    uri: str
    size: int
    sha256: str


class QuestionState(StrEnum):
    """Where a question stands."""

    OPEN = "Open"
    ANSWERED = "Answered"
    TIMED_OUT = "TimedOut"


class QuestionAnswer(Answer):
    """Where a question stands, and the answer."""

    id: str
    state: QuestionState
    value: Any = None
    problem: str | None = Field(None, description="How the answer does not fit the question's schema.")


class TaskLog(Answer):
    """The end of what a task wrote."""

    text: str
    attempt: int
    pod_name: str
    live: bool = Field(description="It may still write more.")
    truncated: bool = Field(False, description="Lines that were asked for are left out at the beginning.")


class ArchivedTask(Answer):
    """A task as it ended, and where its record is."""

    task: dict[str, Any] = Field(description="The LongTask.")
    archive: Archive


class ArchivedTasks(Answer):
    """A page of records."""

    tasks: list[dict[str, Any]] = Field(description="LongTasks, in short.")
    cursor: str | None = Field(description="Leads to the next page; null after the last one.")
    notes: list[str] = Field(description="What is in no page, as there is too much.")


def milliseconds() -> int:
    """Milliseconds since 1970: a sequence that rises over attempts, replicas and callers that keep none."""
    return time.time_ns() // 1_000_000
