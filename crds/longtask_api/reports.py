"""What running work reports about its task: progress, checkpoint, questions, result."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from longtask_api.base import ApiModel, Time
from longtask_api.bounds import cut, excess

MAX_INLINE_RESULT: Final = 32 * 1024
"""Bytes of a result that fits into status; a larger one goes to the store."""
MAX_INLINE_CHECKPOINT: Final = 16 * 1024
"""Bytes of a text checkpoint that fits into status; a larger or binary one goes to the store."""
MAX_ARTIFACTS: Final = 64
MAX_METRICS: Final = 32
MAX_QUESTIONS: Final = 32
MAX_DISPLAY: Final = 64
"""Characters."""

JSON_MEDIA_TYPE: Final = "application/json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the bytes, in hex.")]
MediaType = Annotated[
    str | None,
    Field(max_length=128, description="Media type: application/json, text/plain, application/octet-stream, ..."),
]
AttemptNumber = Annotated[int, Field(ge=1, description="Number of the attempt that reported it.")]


class Progress(ApiModel):
    """Latest progress of the work, as last reported by the newest attempt that did."""

    attempt: AttemptNumber
    sequence: Annotated[int, Field(ge=0, description="Increases with every report of an attempt.")]
    fraction: Annotated[
        float | None, Field(ge=0, le=1, description="Completed fraction of the work, 0 to 1: reported or computed.")
    ] = None
    current: Annotated[float | None, Field(description="Number of units done.")] = None
    total: Annotated[float | None, Field(description="Number of units in total.")] = None
    unit: Annotated[str | None, Field(max_length=32, description="What the units are: epoch, file, row.")] = None
    message: Annotated[str | None, Field(max_length=1024, description="What the work is doing now.")] = None
    metrics: Annotated[
        Mapping[str, float] | None,
        Field(max_length=MAX_METRICS, description="Metrics that the work reports, such as loss or rows per second."),
    ] = None
    memory_bytes: Annotated[
        int | None, Field(ge=0, description="Memory used by the container at the time of the report, in bytes.")
    ] = None
    display: Annotated[str | None, Field(max_length=MAX_DISPLAY, description="Progress as shown by kubectl get.")] = (
        None
    )
    pace: Annotated[
        float | None,
        Field(ge=0, description="Smoothed fraction of the work done per second; the estimate is computed from it."),
    ] = None
    updated_time: Annotated[Time | None, Field(description="When the report was received.")] = None
    estimated_completion_time: Annotated[
        Time | None, Field(description="Estimated end of the work at this pace; absent if there is no estimate.")
    ] = None


class Reference(ApiModel):
    """A reference to data stored outside the object."""

    uri: Annotated[
        str,
        Field(
            min_length=1,
            max_length=2048,
            description="Location: configmap:<name> in the task's namespace, or s3://...",
        ),
    ]
    size: Annotated[int, Field(ge=0, description="Size in bytes.")]
    sha256: Sha256


class Checkpoint(ApiModel):
    """State from which the next attempt resumes. Either text or reference is set."""

    attempt: Annotated[
        int,
        Field(
            ge=0,
            description="Number of the attempt that saved it; 0 if it was taken over from the task in spec.rerunOf.",
        ),
    ]
    sequence: Annotated[int, Field(ge=0, description="Increases with every checkpoint of an attempt.")]
    media_type: MediaType = None
    text: Annotated[
        str | None, Field(max_length=MAX_INLINE_CHECKPOINT, description="The state, if it is text of at most 16 KiB.")
    ] = None
    reference: Annotated[
        Reference | None, Field(description="Where the state is stored, if it is larger or binary.")
    ] = None
    saved_time: Annotated[Time, Field(description="When the checkpoint was received.")]


def json_or_text(text: str) -> Any:
    """The value of a JSON text, or the text itself if it is not JSON, exceeds the limits of `excess`, or cannot be
    written as JSON again. People type answers without quotes."""
    if excess(text):
        return text
    try:
        value = json.loads(text)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return text
    return value


class InputRequest(ApiModel):
    """A question of the running work. Answer it with the tool answer_task or by adding to spec.inputResponses."""

    id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$",
            description="Id of the question, and requestId of its answer. Later attempts ask the same question under "
            "the same id.",
        ),
    ]
    message: Annotated[str, Field(min_length=1, max_length=4096, description="Text of the question.")]
    answer_schema: Annotated[
        str | None, Field(max_length=8192, description="JSON Schema of the answer, as JSON text; absent: any answer.")
    ] = None
    default: Annotated[
        str | None,
        Field(max_length=4096, description="Answer that the work uses if the question times out, as JSON text."),
    ] = None
    created_time: Annotated[Time, Field(description="When the question was asked.")]
    expires_time: Annotated[
        Time | None, Field(description="When the work stops waiting for an answer; absent: it waits without a limit.")
    ] = None
    timed_out: Annotated[
        bool | None,
        Field(description="Whether the question timed out without an answer; answers are no longer accepted then."),
    ] = None


class Artifact(ApiModel):
    """Something that the work produced beside its result, uploaded or stored elsewhere: a model, a table, a picture."""

    name: Annotated[str, Field(max_length=253, description="Name of the artifact, chosen by the author.")]
    uri: Annotated[str | None, Field(max_length=2048, description="Location of the artifact.")] = None
    size: Annotated[int | None, Field(ge=0, description="Size in bytes.")] = None
    sha256: Sha256 | None = None
    media_type: MediaType = None


class Result(ApiModel):
    """Result of the work. At most one of value, text and reference is set."""

    attempt: Annotated[
        int | None,
        Field(ge=1, description="Number of the attempt that handed it in; it counts if that attempt succeeds."),
    ] = None
    value: Annotated[Any, BeforeValidator(cut), Field(description="The result, if it is JSON.")] = None
    text: Annotated[
        str | None,
        Field(
            max_length=MAX_INLINE_RESULT,
            description="The result as text, if it is not JSON or holds values that JSON storage would change.",
        ),
    ] = None
    reference: Annotated[
        Reference | None, Field(description="Where the result is stored, if it is too large for the object.")
    ] = None
    media_type: MediaType = None
    summary: Annotated[str | None, Field(max_length=1024, description="The result in one sentence.")] = None
    mismatch: Annotated[
        str | None, Field(max_length=4096, description="How the result violates the template's resultSchema.")
    ] = None
    artifacts: Annotated[
        list[Artifact] | None,
        Field(
            max_length=MAX_ARTIFACTS,
            description="Artifacts that the work uploaded or that its result names.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None

    @property
    def has_content(self) -> bool:
        """Whether there is a result, not only artifacts."""
        return self.text is not None or self.reference is not None or "value" in self.model_fields_set
