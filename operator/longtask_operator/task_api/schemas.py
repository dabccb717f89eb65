"""Request and response bodies, as JSON."""

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
    """A request: camelCase on the wire; unknown fields, NaN and infinities are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=False, extra="forbid", allow_inf_nan=False
    )


class Answer(BaseModel):
    """A response: camelCase on the wire."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, validate_by_name=True)


class ProgressBody(Body):
    """Progress of the work. Each report replaces the previous one."""

    sequence: int | None = Field(
        None,
        ge=0,
        le=MAX_SEQUENCE,
        description="Increases with every report of an attempt; milliseconds since 1970 if omitted. Send it always or "
        "never: a report with a lower sequence than the last one is ignored.",
    )
    fraction: float | None = Field(None, ge=0, le=1, description="Completed fraction of the work, 0 to 1.")
    current: float | None = Field(None, description="Units completed.")
    total: float | None = Field(None, description="Total number of units.")
    unit: str | None = Field(None, max_length=32, description="Name of the unit: epoch, file, row.")
    message: str | None = Field(None, max_length=1024, description="What the work is currently doing.")
    metrics: dict[MetricName, float] | None = Field(
        None, max_length=MAX_METRICS, description="Metrics to show, by name."
    )
    memory_bytes: int | None = Field(None, ge=0, le=MAX_SEQUENCE, description="Memory in use, in bytes.")
    final: bool = Field(False, description="This is the last report: write it before responding.")

    def report(self) -> Report:
        """The report as `planning` uses it; without a sequence it gets the milliseconds since 1970."""
        told = self.model_dump(exclude={"sequence", "final"})
        return Report(sequence=milliseconds() if self.sequence is None else self.sequence, **told)


class QuestionBody(Body):
    """A question, asked once under its id, whichever attempt asks."""

    id: Name = Field(description="Id of the question.")
    message: str = Field(min_length=1, max_length=4096, description="Text of the question.")
    answer_schema: dict[str, Any] | None = Field(None, alias="schema", description="JSON Schema of the answer.")
    timeout_seconds: int | None = Field(
        None,
        ge=1,
        le=10**9,
        description="How long to wait for an answer, in seconds; without it the question stays open.",
    )
    default: Any = Field(None, description="The answer after the timeout: fits the schema, or is null.")

    @model_validator(mode="after")
    def _default_needs_a_timeout(self) -> "QuestionBody":
        if self.has_default and self.timeout_seconds is None:
            raise ValueError("default is taken when the time is over: give timeoutSeconds too")
        return self

    @property
    def has_default(self) -> bool:
        """Whether a default was given; null counts as one."""
        return "default" in self.model_fields_set


class ReportAck(Answer):
    """What was done with a report."""

    held: bool = Field(
        description="The report is buffered and will be written to status, unless a newer one replaces it."
    )
    outdated: bool = Field(False, description="The report was ignored: a report with a higher sequence exists.")


class AttemptAnswer(Answer):
    """The caller's attempt."""

    task_id: str
    attempt: int
    cancel_requested: bool


class CheckpointAck(Answer):
    """The stored checkpoint."""

    sequence: int
    size: int
    sha256: str


class ResultAck(Answer):
    """The stored result."""

    size: int
    sha256: str
    mismatch: str | None = Field(None, description="Why the result does not match the template's resultSchema.")


class ArtifactAnswer(Answer):
    """The stored artifact."""

    name: str
    uri: str
    size: int
    sha256: str


class QuestionState(StrEnum):
    """The state of a question."""

    OPEN = "Open"
    ANSWERED = "Answered"
    TIMED_OUT = "TimedOut"


class QuestionAnswer(Answer):
    """The state of a question, and its answer."""

    id: str
    state: QuestionState
    value: Any = None
    problem: str | None = Field(None, description="Why the answer does not match the question's schema.")


class TaskLog(Answer):
    """The end of a task's log."""

    text: str
    attempt: int
    pod_name: str
    live: bool = Field(description="The container is still running.")
    truncated: bool = Field(False, description="Some of the requested lines are missing at the beginning.")


class ArchivedTask(Answer):
    """A task as it ended, and where its record is."""

    task: dict[str, Any] = Field(description="The LongTask.")
    archive: Archive


class ArchivedTasks(Answer):
    """A page of archived tasks."""

    tasks: list[dict[str, Any]] = Field(description="LongTasks, abridged.")
    cursor: str | None = Field(description="Cursor of the next page; null after the last one.")
    notes: list[str] = Field(description="What the listing leaves out, because there is too much.")


def milliseconds() -> int:
    """Milliseconds since 1970: a sequence that rises across attempts, replicas and callers that keep none."""
    return time.time_ns() // 1_000_000
