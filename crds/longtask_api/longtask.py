"""LongTask: one piece of durable work, and the record of what came of it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from longtask_api import constants
from longtask_api.agentcore_ids import ActorId, MemoryId, SessionId
from longtask_api.base import ApiModel, MilliTime, ObjectMeta, Time
from longtask_api.bounds import cut
from longtask_api.conditions import Condition, find
from longtask_api.reports import MAX_QUESTIONS, Checkpoint, InputRequest, Progress, Result


class Phase(StrEnum):
    """A summary for people, derived from the rest of status; no decision is made from it."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    WAITING_FOR_INPUT = "WaitingForInput"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


TERMINAL_PHASES = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED})


class ConditionType(StrEnum):
    """The conditions a LongTask can have."""

    ACCEPTED = "Accepted"
    """The template exists and the parameters fit it. Once True or False it does not change."""
    SUSPENDED = "Suspended"
    """Work is held: no pod runs until spec.suspend is false again."""
    STALLED = "Stalled"
    """The work has told nothing for longer than its template's stall.timeoutSeconds."""
    SUCCEEDED = "Succeeded"
    """Unknown while the work goes on; True or False when it has ended, for good."""
    DELIVERED = "Delivered"
    """How the task ended stands in the session of spec.memory. Of no influence on the phase."""
    ARCHIVED = "Archived"
    """The record is kept where it outlives this object. Of no influence on the phase."""


REFUSED: Final = "Refused"
"""Reason of a Delivered or Archived condition that is False for good: the service will never take it."""


class TemplateRef(ApiModel):
    """A LongTaskTemplate in the task's own namespace."""

    name: Annotated[
        str, Field(min_length=1, max_length=constants.MAX_TEMPLATE_NAME, description="Name of the LongTaskTemplate.")
    ]


class Requester(ApiModel):
    """Who asked for the task. Only this caller sees it through MCP."""

    principal: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            description="The verified identity, for example system:serviceaccount:agents:researcher.",
        ),
    ]
    actor_id: Annotated[
        ActorId | None,
        Field(description="For whom it spoke, where it may speak for others: then both together are the caller."),
    ] = None
    session_id: Annotated[SessionId | None, Field(description="The conversation in which the task was started.")] = None


class Memory(ApiModel):
    """A session in Amazon Bedrock AgentCore Memory."""

    memory_id: Annotated[MemoryId, Field(description="Id or ARN of the memory.")]
    actor_id: Annotated[ActorId, Field(description="The actor that the session belongs to.")]
    session_id: Annotated[SessionId, Field(description="The session that is told how the task ended.")]


class InputResponse(ApiModel):
    """An answer to a question that the running task asked."""

    request_id: Annotated[str, Field(min_length=1, max_length=64, description="The question that this answers.")]
    value: Annotated[str, Field(max_length=4096, description="The answer, as JSON text.")]


class LongTaskSpec(ApiModel):
    """What should be done. Most of it is fixed when the task is created."""

    template_ref: Annotated[TemplateRef, Field(description="What kind of work this is. Immutable.")]
    parameters: Annotated[
        Mapping[str, Any],
        BeforeValidator(cut),
        Field(
            description="The work's arguments, as the template's parametersSchema describes them. Immutable.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = {}
    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=128,
            description="The caller's own name for this start: a repeated start under it meets this task. Immutable.",
        ),
    ] = None
    requester: Annotated[
        Requester | None, Field(description="Who asked for the task; set by the MCP server. Immutable.")
    ] = None
    memory: Annotated[
        Memory | None,
        Field(description="The session that is told how the task ended; set by the MCP server. Immutable."),
    ] = None
    suspend: Annotated[
        bool,
        Field(
            description="Hold the work: its pods are stopped and started again when this is false. "
            "Held time does not count against activeDeadlineSeconds."
        ),
    ] = False
    cancel_requested: Annotated[
        bool, Field(description="End the work and keep its log. Cannot be taken back once true.")
    ] = False
    input_responses: Annotated[
        list[InputResponse],
        Field(
            max_length=MAX_QUESTIONS,
            description="Answers to the task's questions, one for each; they can be added, never changed or removed.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["requestId"]},
        ),
    ] = []
    active_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=10**9,
            description="Longest time that the work may be active, over all attempts, in seconds; queued and "
            "suspended time does not count. Default and maximum come from the template.",
        ),
    ] = None
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=10**9,
            description="How long this record is kept after the work ended, in seconds. Default from the template.",
        ),
    ] = None


class JobRef(ApiModel):
    """The one Job that does the work. Never another one."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="Name of the Job, in the task's namespace.")]
    uid: Annotated[str, Field(min_length=1, max_length=64, description="metadata.uid of the Job.")]


class Attempt(ApiModel):
    """One pod that did, or tried to do, the work."""

    number: Annotated[int, Field(ge=1, description="1 for the first attempt.")]
    pod_name: Annotated[str, Field(description="Name of the pod.")]
    pod_uid: Annotated[str, Field(alias="podUID", description="metadata.uid of the pod.")]
    node_name: Annotated[str | None, Field(description="The node that the pod ran on.")] = None
    start_time: Annotated[Time | None, Field(description="When its container started.")] = None
    end_time: Annotated[Time | None, Field(description="When its container ended.")] = None
    reason: Annotated[
        str | None,
        Field(description="Why it ended, in one word: Completed, Error, OOMKilled, DeadlineExceeded, Evicted, ..."),
    ] = None
    exit_code: Annotated[int | None, Field(description="The container's exit code.")] = None
    message: Annotated[
        str | None, Field(max_length=512, description="Why it ended, in a sentence, where it did not end well.")
    ] = None


class StallAction(StrEnum):
    """What happens to work that has stalled."""

    NOTHING = "Nothing"
    RETRY = "Retry"
    FAIL = "Fail"


class StallPolicy(ApiModel):
    """When work that tells nothing counts as stalled, and what happens then."""

    timeout_seconds: Annotated[
        int,
        Field(
            ge=10, le=10**9, description="How long the work may tell nothing before it counts as stalled, in seconds."
        ),
    ]
    action: Annotated[
        StallAction,
        Field(
            description="Nothing: the Stalled condition says so. Retry: the attempt is ended and the next one starts, "
            "as far as retry.limit allows. Fail: the task is ended."
        ),
    ] = StallAction.NOTHING
    expect_reports: Annotated[
        bool,
        Field(
            description="Count from the start of an attempt. False: work that has never told anything does not stall, "
            "for programs that may end without a word."
        ),
    ] = True


MAX_MILESTONES: Final = 5


class DeliveryPolicy(ApiModel):
    """What the session of a task that has spec.memory is told beside how the task ended."""

    milestones: Annotated[
        list[Annotated[int, Field(ge=1, le=99)]],
        Field(
            max_length=MAX_MILESTONES,
            description="Percent of the work. When its progress reaches one, the session is told, once at most.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = []
    long_term_record: Annotated[
        bool,
        Field(
            description="Write how the task ended into long-term memory too, under the namespace /longtasks/<actorId>/."
        ),
    ] = False


class TemplateSnapshot(ApiModel):
    """What the task took from its template when it was accepted. Later edits of the template do not reach it."""

    generation: Annotated[int, Field(description="metadata.generation of the template at that time.")]
    hash: Annotated[str, Field(description="SHA-256 of the template's spec, first 16 hex digits.")]
    start_timeout_seconds: Annotated[
        int, Field(description="How long the work may take to start before the task fails, in seconds.")
    ]
    active_deadline_seconds: Annotated[
        int, Field(description="Longest active time over all attempts when the task names none, in seconds.")
    ]
    max_active_deadline_seconds: Annotated[
        int | None, Field(description="The longest activeDeadlineSeconds that the task may name, in seconds.")
    ] = None
    max_disruptions: Annotated[int, Field(description="Disruptions that are repaired for free before the task fails.")]
    ttl_seconds_after_finished: Annotated[
        int, Field(description="How long the record is kept after the work ended, in seconds.")
    ]
    stall: Annotated[StallPolicy | None, Field(description="When the work counts as stalled, and what then.")] = None
    delivery: Annotated[
        DeliveryPolicy | None, Field(description="What else is told to the session that the task belongs to.")
    ] = None


class Failure(ApiModel):
    """Why the work failed, and what to do about it."""

    reason: Annotated[
        str,
        Field(
            max_length=64,
            description="The cause in one word: Error, OOMKilled, DeadlineExceeded, StartTimeout, ImagePullBackOff, "
            "CreateContainerConfigError, Unschedulable, QuotaExceeded, PodSecurityViolation, NodeLost, Evicted, "
            "InvalidParameters, TemplateNotFound, TemplateNotReady, TooManyDisruptions, Stalled, InvalidResult, "
            "JobLost, ...",
        ),
    ]
    message: Annotated[str, Field(max_length=4096, description="What happened, in a sentence.")]
    exit_code: Annotated[int | None, Field(description="Exit code of the container that failed.")] = None
    signal: Annotated[int | None, Field(description="The signal that ended the container, for exit codes 129-192.")] = (
        None
    )
    log_tail: Annotated[
        str | None, Field(max_length=8192, description="The last lines that the failed container wrote.")
    ] = None
    hint: Annotated[str | None, Field(max_length=1024, description="What to do now.")] = None


class SessionEvent(ApiModel):
    """An event of the session of spec.memory. All but eventId is recorded before the first call, and never changes."""

    name: Annotated[
        str,
        Field(max_length=32, pattern=r"^[a-z0-9-]+$", description="result: how the task ended. progress-50: half way."),
    ]
    event_time: Annotated[
        MilliTime,
        Field(description="Its eventTimestamp: its place in the conversation, right after a completed turn."),
    ]
    payload: Annotated[
        str | None,
        Field(
            max_length=16384, description="The event's payload, as JSON text. Absent once it is known to be written."
        ),
    ] = None
    payload_sha256: Annotated[
        str,
        Field(
            alias="payloadSHA256",
            max_length=64,
            pattern=r"^[0-9a-f]{64}$",
            description="SHA-256 of the payload's text, as hex digits.",
        ),
    ]
    client_token: Annotated[str, Field(max_length=64, description="By which the service knows a repeated call.")]
    event_id: Annotated[str | None, Field(max_length=64, description="The service's id of the event.")] = None


class Delivery(ApiModel):
    """What was written, or is to be written, into the session of spec.memory. The Delivered condition sums it up."""

    events: Annotated[
        list[SessionEvent],
        Field(
            max_length=MAX_MILESTONES + 1,
            description="The events of the session.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = []
    record_id: Annotated[
        str | None, Field(max_length=128, description="The service's id of the long-term memory record.")
    ] = None
    failures: Annotated[int | None, Field(ge=0, description="Calls that failed, one after another.")] = None
    next_retry_time: Annotated[
        Time | None, Field(description="When the next call is made; absent where none is needed or of use.")
    ] = None


class Archive(ApiModel):
    """Where the record is kept that outlives this object."""

    uri: Annotated[
        str,
        Field(max_length=2048, description="s3://..., or agentcore:<memoryId>/<actorId>/<sessionId> in the memory."),
    ]
    archived_time: Annotated[Time, Field(description="When it was written.")]


class LongTaskStatus(ApiModel):
    """What came of it so far. Written by the operator alone; frozen once the work has ended."""

    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation that this status was made from.")
    ] = None
    phase: Annotated[
        Phase | None, Field(description="Where the task stands, in one word. Derived: conditions are the source.")
    ] = None
    message: Annotated[str | None, Field(max_length=4096, description="Where the task stands, in a sentence.")] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            description="Accepted (template and parameters are good), Suspended (work is held), Stalled (work tells "
            "nothing), Succeeded (Unknown while the work goes on, then True or False), Delivered (the session of "
            "spec.memory knows how it ended), Archived (the record outlives this object).",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
    start_time: Annotated[Time | None, Field(description="When the first attempt started to work.")] = None
    completion_time: Annotated[Time | None, Field(description="When the work ended, in whatever way.")] = None
    active_seconds: Annotated[
        int | None, Field(ge=0, description="Active time of the finished active periods, in seconds.")
    ] = None
    active_since: Annotated[
        Time | None, Field(description="Start of the active period that is going on; absent while none is.")
    ] = None
    job_ref: Annotated[
        JobRef | None, Field(description="The Job that does the work. Once set, never changed or replaced.")
    ] = None
    attempt_count: Annotated[int | None, Field(ge=0, description="Attempts so far, disruptions included.")] = None
    disruption_count: Annotated[
        int | None, Field(ge=0, description="Attempts that ended by a disruption: eviction, drain, preemption.")
    ] = None
    attempts: Annotated[
        list[Attempt],
        Field(
            max_length=20,
            description="The newest attempts, oldest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = []
    template_snapshot: Annotated[
        TemplateSnapshot | None, Field(description="What was taken from the template when the task was accepted.")
    ] = None
    progress: Annotated[
        Progress | None,
        Field(description="How far the work is.", json_schema_extra={"x-kubernetes-map-type": "atomic"}),
    ] = None
    last_report_time: Annotated[
        Time | None, Field(description="When the work last told anything; written now and then, not at every report.")
    ] = None
    checkpoint: Annotated[
        Checkpoint | None,
        Field(
            description="The state from which the next attempt goes on.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = None
    input_requests: Annotated[
        list[InputRequest],
        Field(
            max_length=MAX_QUESTIONS,
            description="The work's questions, oldest first. Each is answered in spec.inputResponses.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = []
    result: Annotated[
        Result | None,
        Field(
            description="What the work gave, or has handed in so far.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = None
    log_tail: Annotated[
        str | None,
        Field(max_length=4096, description="The last lines of the log of a task that succeeded; else see failure."),
    ] = None
    failure: Annotated[Failure | None, Field(description="Why the work failed.")] = None
    delivery: Annotated[Delivery | None, Field(description="What was written into the session of spec.memory.")] = None
    archive: Annotated[Archive | None, Field(description="Where the record is kept that outlives this object.")] = None


class LongTask(ApiModel):
    """One piece of durable work: it goes on when whoever asked for it has gone."""

    api_version: Literal["longtask.dev/v1alpha1"] = constants.API_VERSION
    kind: Literal["LongTask"] = constants.TASK_KIND
    metadata: ObjectMeta
    spec: Annotated[LongTaskSpec, Field(description="What should be done.")]
    status: Annotated[LongTaskStatus, Field(description="What came of it so far.")] = LongTaskStatus()

    @property
    def is_terminal(self) -> bool:
        """Whether the work has ended, in whatever way."""
        return self.status.phase in TERMINAL_PHASES

    @property
    def is_record(self) -> bool:
        """Whether it only says what was, where it has no Job yet: it came from a backup, to whose status it waits."""
        return self.metadata.annotations.get(constants.ANNOTATION_RECORD) == "true"

    @property
    def is_taken_back(self) -> bool:
        """Whether its start went beyond the caller's limit, so that it counts as never made."""
        return constants.ANNOTATION_TAKEN_BACK in self.metadata.annotations

    def answer_to(self, question_id: str) -> str | None:
        """The answer that was given to a question, as JSON text."""
        return next((each.value for each in self.spec.input_responses if each.request_id == question_id), None)

    @property
    def unanswered(self) -> list[InputRequest]:
        """The questions that have no answer and did not time out, oldest first."""
        return [each for each in self.status.input_requests if not each.timed_out and self.answer_to(each.id) is None]

    def is_settled(self, type_: ConditionType) -> bool:
        """Whether the Delivered or Archived condition will not change any more: it is True, or False for good."""
        condition = find(self.status.conditions, type_)
        return condition is not None and (
            condition.status == "True" or (condition.status == "False" and condition.reason == REFUSED)
        )
