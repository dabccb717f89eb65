"""LongTaskTemplate: one kind of work that agents may start. A namespace's templates are its catalogue of tools."""

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
from longtask_api.longtask import MAX_SINKS, DeliveryPolicy, SinkName, StallPolicy

DEFAULT_ACTIVE_DEADLINE_SECONDS: Final = 86400
"""One day."""


class OpenModel(ApiModel):
    """A part of a Kubernetes object that is only partly modelled; all other fields are kept unchanged."""

    model_config = ConfigDict(extra="allow")


class TemplateConditionType(StrEnum):
    """The conditions a LongTaskTemplate can have."""

    READY = "Ready"
    """Tasks can be started from the template, and agents see it as a tool."""
    SINKS_CONFIGURED = "SinksConfigured"
    """Each sink of spec.notify is in the chart's values. Does not affect Ready; absent without spec.notify."""


class Container(OpenModel):
    """A container of the pod; every field of the Kubernetes core/v1 Container is allowed."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="Name of the container.")]
    image: Annotated[str, Field(min_length=1, description="Container image to run.")]


class PodSpec(OpenModel):
    """A Kubernetes core/v1 PodSpec; every field of it is allowed.

    activeDeadlineSeconds is the deadline of one attempt. restartPolicy is always Never.
    """

    containers: Annotated[
        list[Container],
        Field(
            min_length=1,
            max_length=16,
            description="Containers of the pod. The first one does the work, and its exit code decides.",
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
            description="A Kubernetes core/v1 PodSpec. Its activeDeadlineSeconds is the deadline of one attempt, in "
            "seconds; restartPolicy is always Never. Environment variables carry the parameters: LONGTASK_PARAMETERS "
            "(JSON), and LONGTASK_PARAM_<NAME> for each scalar one, so args may contain $(LONGTASK_PARAM_EPOCHS). The "
            "first container also gets LONGTASK_REPORT_URL and LONGTASK_TOKEN_FILE, to report progress, checkpoints, "
            "questions and results.",
        ),
    ]


class RetryPolicy(ApiModel):
    """What happens when an attempt fails."""

    limit: Annotated[
        int, Field(ge=0, le=100, description="How many times failed work is retried. This is the Job's backoffLimit.")
    ] = 0
    max_disruptions: Annotated[
        int,
        Field(
            ge=0,
            le=1000,
            description="How many disruptions (eviction, drain, preemption) are followed by a new attempt without "
            "counting as a retry; one more fails the task.",
        ),
    ] = 10


class ToolAnswer(StrEnum):
    """What a call of the template's tool answers."""

    AUTO = "Auto"
    TASK = "Task"
    HANDLE = "Handle"


class ProtocolCancel(StrEnum):
    """What `tasks/cancel` of the MCP Tasks extension does."""

    AUTO = "Auto"
    CANCEL = "Cancel"
    DETACH = "Detach"


class ToolPolicy(ApiModel):
    """How the template's tool meets clients of the MCP Tasks extension (io.modelcontextprotocol/tasks)."""

    answer: Annotated[
        ToolAnswer,
        Field(
            description="Auto: an MCP task for clients that declare the extension, which then poll it and get its "
            "result as the tool's result; the task ID at once for all others. Task: an MCP task only; other clients "
            "are refused. Handle: the task ID at once for everybody."
        ),
    ] = ToolAnswer.AUTO
    protocol_cancel: Annotated[
        ProtocolCancel,
        Field(
            description="Cancel: tasks/cancel cancels the task, as the tool cancel_task does. Detach: it is "
            "acknowledged, and the task goes on. Auto: Cancel if the client declares elicitation, so a person may have "
            "asked for it; else Detach, because some clients cancel whatever exceeds a time limit of their own."
        ),
    ] = ProtocolCancel.AUTO


class LongTaskTemplateSpec(ApiModel):
    """One kind of work: its description for agents, its parameters, and the pod that does it."""

    title: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=100,
            description="Human-readable name of the work, for example Model Training. The default is made from "
            "metadata.name.",
        ),
    ] = None
    description: Annotated[
        str,
        Field(
            min_length=1,
            max_length=4096,
            description="What the work does and when to use it. Agents choose the tool by this text.",
        ),
    ]
    parameters_schema: Annotated[
        Mapping[str, Any],
        BeforeValidator(cut),
        Field(
            description="JSON Schema 2020-12 of the parameters; its type must be object. References must stay inside "
            "the schema. Properties that are not listed are refused unless the schema allows them, for example with "
            "additionalProperties.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = {"type": "object", "properties": {}}
    result_schema: Annotated[
        Mapping[str, Any] | None,
        BeforeValidator(cut),
        Field(
            description="JSON Schema 2020-12 of the result. A result that does not fit fails the task; it is kept, and "
            "status.result.mismatch says what is wrong. References must stay inside the schema.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = None
    pod_template: Annotated[PodTemplate, BeforeValidator(cut), Field(description="The pod that does the work.")]
    start_timeout_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=10**9,
            description="How long an attempt may take to start (quota, node, image) before the task fails, in seconds.",
        ),
    ] = 600
    active_deadline_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=10**9,
            description="Longest active time of a task over all attempts if the task sets none, in seconds.",
        ),
    ] = DEFAULT_ACTIVE_DEADLINE_SECONDS
    max_active_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=10**9,
            description="Largest activeDeadlineSeconds that a task may set, in seconds; absent: no limit.",
        ),
    ] = None
    retry: Annotated[RetryPolicy, Field(description="What happens when an attempt fails.")] = RetryPolicy()
    stall: Annotated[
        StallPolicy | None,
        Field(description="When work that reports nothing counts as stalled, and what happens then; absent: never."),
    ] = None
    delivery: Annotated[
        DeliveryPolicy | None,
        Field(
            description="What is delivered in addition to the outcome in the session; absent: nothing. Only effective "
            "for tasks with spec.memory."
        ),
    ] = None
    notify: Annotated[
        list[SinkName] | None,
        Field(
            max_length=MAX_SINKS,
            description="Webhook sinks, by their names in the chart's notifications.sinks, that are notified when a "
            "task ends, asks a question or stalls.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    tool: Annotated[
        ToolPolicy, Field(description="How the template's tool meets clients of the MCP Tasks extension.")
    ] = ToolPolicy()
    ttl_seconds_after_finished: Annotated[
        int,
        Field(
            ge=0,
            le=10**9,
            description="How long a LongTask is kept after it has ended if it sets no time, in seconds.",
        ),
    ] = 2592000


class LongTaskTemplateStatus(ApiModel):
    """Whether tasks can be started from the template, and if not, why."""

    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation from which this status was computed.")
    ] = None
    hash: Annotated[str | None, Field(description="First 16 hex digits of the SHA-256 of the spec.")] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=8,
            description="Ready: tasks can be started, and agents see the tool. SinksConfigured: each sink of "
            "spec.notify is in the chart's values.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []


class LongTaskTemplate(ApiModel):
    """One kind of long-running work. Each Ready template is a tool of the MCP server."""

    api_version: Literal["longtask.dev/v1alpha1"] = constants.API_VERSION
    kind: Literal["LongTaskTemplate"] = constants.TEMPLATE_KIND
    metadata: ObjectMeta
    spec: Annotated[LongTaskTemplateSpec, Field(description="Definition of the work.")]
    status: Annotated[LongTaskTemplateStatus, Field(description="Whether tasks can be started.")] = (
        LongTaskTemplateStatus()
    )

    @property
    def title(self) -> str:
        """Human-readable name of the work; derived from metadata.name if spec.title is absent."""
        return self.spec.title or self.metadata.name.replace("-", " ").title()

    @property
    def is_ready(self) -> bool:
        """Whether tasks can be started: Ready is True and was observed for the current generation."""
        return self.status.observed_generation == self.metadata.generation and is_true(
            self.status.conditions, TemplateConditionType.READY
        )


def spec_hash(spec: Mapping[str, Any]) -> str:
    """First 16 hex digits of the SHA-256 of a template's spec, as returned by the API server."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
