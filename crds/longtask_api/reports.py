"""What the work itself tells of a task while it runs: progress, checkpoint, questions, result."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from longtask_api.base import ApiModel, Time
from longtask_api.bounds import cut, excess

MAX_INLINE_RESULT: Final = 32 * 1024
"""Bytes of a result that is kept in status; a larger one goes to the store."""
MAX_INLINE_CHECKPOINT: Final = 16 * 1024
"""Bytes of a checkpoint that is kept in status; a larger one, or one that is no text, goes to the store."""
MAX_ARTIFACTS: Final = 64
MAX_METRICS: Final = 32
MAX_QUESTIONS: Final = 32
MAX_DISPLAY: Final = 64
"""Characters."""

JSON_MEDIA_TYPE: Final = "application/json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of its bytes, as hex digits.")]
MediaType = Annotated[
    str | None,
    Field(max_length=128, description="What it is: application/json, text/plain, application/octet-stream, ..."),
]
AttemptNumber = Annotated[int, Field(ge=1, description="The attempt that told.")]


class Progress(ApiModel):
    """How far the work is, as its newest attempt last told."""

    attempt: AttemptNumber
    sequence: Annotated[int, Field(ge=0, description="Rises with every report of an attempt.")]
    fraction: Annotated[float | None, Field(ge=0, le=1, description="Done share of the work, 0 to 1.")] = None
    current: Annotated[float | None, Field(description="Units done.")] = None
    total: Annotated[float | None, Field(description="Units to do in all.")] = None
    unit: Annotated[str | None, Field(max_length=32, description="What is counted: epoch, file, row.")] = None
    message: Annotated[str | None, Field(max_length=1024, description="What the work is doing now.")] = None
    metrics: Annotated[
        Mapping[str, float] | None,
        Field(max_length=MAX_METRICS, description="Numbers that the work wants seen: loss, rows per second."),
    ] = None
    memory_bytes: Annotated[
        int | None, Field(ge=0, description="Memory that the container used when it told, in bytes.")
    ] = None
    display: Annotated[
        str | None, Field(max_length=MAX_DISPLAY, description="The progress as kubectl get shows it.")
    ] = None
    pace: Annotated[
        float | None, Field(ge=0, description="Smoothed share of the work done a second; what the estimate is made of.")
    ] = None
    updated_time: Annotated[Time | None, Field(description="When the report was received.")] = None
    estimated_completion_time: Annotated[
        Time | None, Field(description="When the work will end at this pace; absent where that cannot be told.")
    ] = None


class Reference(ApiModel):
    """Bytes that are kept outside the object."""

    uri: Annotated[
        str, Field(min_length=1, max_length=2048, description="Where: configmap:<name> in the namespace, or s3://...")
    ]
    size: Annotated[int, Field(ge=0, description="Bytes.")]
    sha256: Sha256


class Checkpoint(ApiModel):
    """The state from which the next attempt goes on. Either text or reference is set."""

    attempt: AttemptNumber
    sequence: Annotated[int, Field(ge=0, description="Rises with every checkpoint of an attempt.")]
    media_type: MediaType = None
    text: Annotated[
        str | None, Field(max_length=MAX_INLINE_CHECKPOINT, description="The state, where it is small and is text.")
    ] = None
    reference: Annotated[Reference | None, Field(description="Where the state is, where it is large.")] = None
    saved_time: Annotated[Time, Field(description="When it was received.")]


def json_or_text(text: str) -> Any:
    """What JSON text says; text that is none, typed by a person perhaps, or that JSON cannot write again, is itself."""
    if excess(text):
        return text
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return text
    return value


class InputRequest(ApiModel):
    """A question of the running work. Answer it with answer_task, or by adding to spec.inputResponses."""

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
            description="Name of the question, and the requestId of its answer; a later attempt asks under the same.",
        ),
    ]
    message: Annotated[str, Field(min_length=1, max_length=4096, description="The question, for whoever answers.")]
    answer_schema: Annotated[
        str | None, Field(max_length=8192, description="JSON Schema of the answer, as JSON text; absent: any answer.")
    ] = None
    default: Annotated[
        str | None,
        Field(max_length=4096, description="The answer that the work takes when nobody answers in time, as JSON text."),
    ] = None
    created_time: Annotated[Time, Field(description="When it was asked.")]
    expires_time: Annotated[
        Time | None, Field(description="When the work stops waiting for an answer; absent: it waits on.")
    ] = None
    timed_out: Annotated[
        bool | None, Field(description="Nobody answered in time: the work went on, and no answer is taken any more.")
    ] = None


class Artifact(ApiModel):
    """Something the work left somewhere: a model, a table, a picture."""

    name: Annotated[str, Field(max_length=253, description="What the author calls it.")]
    uri: Annotated[str | None, Field(max_length=2048, description="Where it is.")] = None
    size: Annotated[int | None, Field(ge=0, description="Bytes.")] = None
    sha256: Sha256 | None = None
    media_type: MediaType = None


class Result(ApiModel):
    """What the work gave. At most one of value, text and reference is set."""

    attempt: Annotated[
        int | None, Field(ge=1, description="The attempt that handed it in; it counts when that attempt succeeds.")
    ] = None
    value: Annotated[Any, BeforeValidator(cut), Field(description="The result, when the work gave JSON.")] = None
    text: Annotated[
        str | None,
        Field(
            max_length=MAX_INLINE_RESULT,
            description="The result as written, when it was not JSON or held numbers that JSON storage would change.",
        ),
    ] = None
    reference: Annotated[
        Reference | None, Field(description="Where the result is, when it is too large for the object.")
    ] = None
    media_type: MediaType = None
    summary: Annotated[str | None, Field(max_length=1024, description="The result in a sentence.")] = None
    mismatch: Annotated[
        str | None, Field(max_length=4096, description="How the result does not fit the template's resultSchema.")
    ] = None
    artifacts: Annotated[
        list[Artifact] | None,
        Field(
            max_length=MAX_ARTIFACTS,
            description="What the work left elsewhere.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None

    @property
    def has_content(self) -> bool:
        """Whether it is a result, and not artifacts alone."""
        return self.text is not None or self.reference is not None or "value" in self.model_fields_set
