"""LongTaskTemplate: one kind of work that agents may start. The templates of a namespace are its catalogue."""

import hashlib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from longtask_api import constants
from longtask_api.base import ApiModel, ObjectMeta
from longtask_api.bounds import cut
from longtask_api.conditions import Condition, is_true
from longtask_api.longtask import DeliveryPolicy, StallPolicy

DEFAULT_ACTIVE_DEADLINE_SECONDS: Final = 86400


class OpenModel(ApiModel):
    """A part of a Kubernetes object of which only some fields are named here; all others are kept as they are."""

    model_config = ConfigDict(extra="allow")


class TemplateConditionType(StrEnum):
    """The conditions a LongTaskTemplate can have."""

    READY = "Ready"
    """Tasks can be started from it; agents see it as a tool."""


class Container(OpenModel):
    """A container of the pod; every field of the Kubernetes core/v1 Container may be given."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="Name of the container.")]
    image: Annotated[str, Field(min_length=1, description="The image to run.")]


class PodSpec(OpenModel):
    """Every field of the Kubernetes core/v1 PodSpec may be given.

    activeDeadlineSeconds is the deadline of one attempt. restartPolicy is always Never.
    """

    containers: Annotated[
        list[Container],
        Field(
            min_length=1,
            max_length=16,
            description="The containers; the first one does the work and its exit code decides.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]


class PodMetadata(ApiModel):
    """Labels and annotations of the pods."""

    labels: Annotated[Mapping[str, str], Field(description="Labels of the pods.")] = {}
    annotations: Annotated[Mapping[str, str], Field(description="Annotations of the pods.")] = {}


class PodTemplate(ApiModel):
    """The pod that does the work."""

    metadata: Annotated[PodMetadata, Field(description="Labels and annotations of the pods.")] = PodMetadata()
    spec: Annotated[
        PodSpec,
        Field(
            description="A Kubernetes core/v1 PodSpec. Its activeDeadlineSeconds is the deadline of one attempt; "
            "restartPolicy is always Never. Parameters arrive in the environment: LONGTASK_PARAMETERS (JSON) and "
            "LONGTASK_PARAM_<NAME> for each scalar one, so that args may say $(LONGTASK_PARAM_EPOCHS); so do "
            "LONGTASK_REPORT_URL and LONGTASK_TOKEN_FILE, for progress, checkpoints, questions and results.",
        ),
    ]


class RetryPolicy(ApiModel):
    """What happens when an attempt fails."""

    limit: Annotated[
        int, Field(ge=0, le=100, description="How many times failed work is tried again. The Job's backoffLimit.")
    ] = 0
    max_disruptions: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="How many disruptions (eviction, drain, preemption) are repaired without counting as a retry.",
        ),
    ] = 10


class LongTaskTemplateSpec(ApiModel):
    """One kind of work: what an agent reads about it, its parameters, and the pod that does it."""

    title: Annotated[
        str | None, Field(min_length=1, max_length=100, description="Name of the work for people: Model Training.")
    ] = None
    description: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="What the work does and when to use it. This is what an agent chooses by.",
        ),
    ]
    parameters_schema: Annotated[
        Mapping[str, Any],
        BeforeValidator(cut),
        Field(
            description="JSON Schema 2020-12 of the parameters, an object with properties. No remote $ref. "
            "A property that is not listed is refused unless additionalProperties allows it.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = {"type": "object", "properties": {}}
    result_schema: Annotated[
        Mapping[str, Any] | None,
        BeforeValidator(cut),
        Field(
            description="JSON Schema 2020-12 of the result. A result that does not fit fails the task, with the "
            "mismatch told and the result kept. No remote $ref.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = None
    pod_template: Annotated[PodTemplate, BeforeValidator(cut), Field(description="The pod that does the work.")]
    start_timeout_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=10**9,
            description="How long the work may take to start (image, node, quota) before the task fails, in seconds.",
        ),
    ] = 600
    active_deadline_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=10**9,
            description="Longest active time of a task over all attempts when the task names none, in seconds.",
        ),
    ] = DEFAULT_ACTIVE_DEADLINE_SECONDS
    max_active_deadline_seconds: Annotated[
        int | None,
        Field(ge=1, le=10**9, description="The longest activeDeadlineSeconds that a task may name, in seconds."),
    ] = None
    retry: Annotated[RetryPolicy, Field(description="What happens when an attempt fails.")] = RetryPolicy()
    stall: Annotated[
        StallPolicy | None, Field(description="When work that tells nothing counts as stalled; absent: never.")
    ] = None
    delivery: Annotated[
        DeliveryPolicy | None,
        Field(
            description="What the session of a task is told beside how the task ended; absent: nothing. Of effect "
            "where an agent's memory is known."
        ),
    ] = None
    ttl_seconds_after_finished: Annotated[
        int,
        Field(
            ge=0,
            le=10**9,
            description="How long the record of a finished task is kept when the task names no time, in seconds.",
        ),
    ] = 2592000


class LongTaskTemplateStatus(ApiModel):
    """Whether tasks can be started from the template, and if not, why."""

    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation that this status was made from.")
    ] = None
    hash: Annotated[str | None, Field(description="SHA-256 of the spec, first 16 hex digits.")] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=8,
            description="Ready: tasks can be started and agents see the tool.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []


class LongTaskTemplate(ApiModel):
    """One kind of long-running work. Every Ready template is a tool of the MCP server."""

    api_version: Literal["longtask.dev/v1alpha1"] = constants.API_VERSION
    kind: Literal["LongTaskTemplate"] = constants.TEMPLATE_KIND
    metadata: ObjectMeta
    spec: Annotated[LongTaskTemplateSpec, Field(description="What the work is.")]
    status: Annotated[LongTaskTemplateStatus, Field(description="Whether tasks can be started.")] = (
        LongTaskTemplateStatus()
    )

    @property
    def title(self) -> str:
        """What people call the work; made from the name where the author gave no title."""
        return self.spec.title or self.metadata.name.replace("-", " ").title()

    @property
    def is_ready(self) -> bool:
        """Whether tasks can be started from the spec as it is now."""
        return self.status.observed_generation == self.metadata.generation and is_true(
            self.status.conditions, TemplateConditionType.READY
        )


def spec_hash(spec: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of a template's spec as the API server gave it."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
