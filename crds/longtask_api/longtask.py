"""LongTask: one piece of durable work, with its status and result."""

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
    """Summary of status for people. Derived; decisions use only whether it is terminal."""

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
    """The template is Ready and the parameters fit its schema. Final once True or False."""
    SUSPENDED = "Suspended"
    """No pod runs: the Job is suspended, by spec.suspend or by another controller such as Kueue."""
    STALLED = "Stalled"
    """The work has reported nothing for longer than its template's stall.timeoutSeconds."""
    SUCCEEDED = "Succeeded"
    """Unknown while the task is in progress; True or False, permanently, once it has ended."""
    DELIVERED = "Delivered"
    """The outcome has been delivered to the session of spec.memory. Does not affect the phase."""
    ARCHIVED = "Archived"
    """The record has been stored outside this object. Does not affect the phase."""
    NOTIFIED = "Notified"
    """The end of the task has been sent to each sink that its template names. Does not affect the phase."""


REFUSED: Final = "Refused"
"""Reason of a Delivered or Archived condition that is False permanently: the service will never accept the data."""


class TemplateRef(ApiModel):
    """A LongTaskTemplate in the task's own namespace."""

    name: Annotated[
        str, Field(min_length=1, max_length=constants.MAX_TEMPLATE_NAME, description="Name of the LongTaskTemplate.")
    ]


class Requester(ApiModel):
    """The caller that requested the task. Only this caller can see it through MCP."""

    principal: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            description="Verified user name of the caller, for example system:serviceaccount:agents:researcher.",
        ),
    ]
    actor_id: Annotated[
        ActorId | None,
        Field(
            description="Actor that a trusted principal acted for; principal and actor together then identify "
            "the caller."
        ),
    ] = None
    session_id: Annotated[
        SessionId | None, Field(description="Session (conversation) in which the task was started.")
    ] = None


class Memory(ApiModel):
    """A session in Amazon Bedrock AgentCore Memory."""

    memory_id: Annotated[MemoryId, Field(description="Id or ARN of the memory.")]
    actor_id: Annotated[ActorId, Field(description="Actor that the session belongs to.")]
    session_id: Annotated[SessionId, Field(description="Session to which the task's outcome is delivered.")]


class RerunOf(ApiModel):
    """An earlier task that this one runs again."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the earlier LongTask.")]
    uid: Annotated[str, Field(min_length=1, max_length=64, description="metadata.uid of the earlier LongTask.")]
    from_checkpoint: Annotated[
        bool,
        Field(
            description="Start from the last checkpoint of the earlier task, which must have ended, have the same "
            "requester and template, and still have its checkpoint; otherwise this task fails before it starts."
        ),
    ] = False


class InputResponse(ApiModel):
    """An answer to a question of the running task."""

    request_id: Annotated[
        str, Field(min_length=1, max_length=64, description="Id of the question in status.inputRequests.")
    ]
    value: Annotated[str, Field(max_length=4096, description="The answer, as JSON text.")]


class LongTaskSpec(ApiModel):
    """The requested work. Most fields are immutable after creation."""

    template_ref: Annotated[TemplateRef, Field(description="The LongTaskTemplate that defines the work. Immutable.")]
    parameters: Annotated[
        Mapping[str, Any],
        BeforeValidator(cut),
        Field(
            description="Parameters of the work; they must fit the template's parametersSchema. Immutable.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = {}
    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=128,
            description="Idempotency key chosen by the caller: starting again with the same key returns this task. "
            "Immutable.",
        ),
    ] = None
    requester: Annotated[
        Requester | None, Field(description="The caller that requested the task; set by the MCP server. Immutable.")
    ] = None
    memory: Annotated[
        Memory | None,
        Field(description="Session to which the task's outcome is delivered; set by the MCP server. Immutable."),
    ] = None
    rerun_of: Annotated[
        RerunOf | None,
        Field(description="The earlier task that this one runs again. Immutable."),
    ] = None
    suspend: Annotated[
        bool,
        Field(
            description="Suspend the work: its pods are stopped, and a new attempt starts once this is false again. "
            "Suspended time does not count against activeDeadlineSeconds."
        ),
    ] = False
    cancel_requested: Annotated[
        bool, Field(description="Cancel the task: stop the work and keep its log. Cannot be reset once true.")
    ] = False
    input_responses: Annotated[
        list[InputResponse],
        Field(
            max_length=MAX_QUESTIONS,
            description="Answers to the task's questions, at most one for each; they can be added, but not changed or "
            "removed.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["requestId"]},
        ),
    ] = []
    active_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=10**9,
            description="Longest time that the task may be active, over all attempts, in seconds; queued and "
            "suspended time does not count. Default and maximum come from the template.",
        ),
    ] = None
    ttl_seconds_after_finished: Annotated[
        int | None,
        Field(
            ge=0,
            le=10**9,
            description="How long this object is kept after the task has ended, in seconds. The default comes from the "
            "template.",
        ),
    ] = None


class JobRef(ApiModel):
    """The one Job that does the work. It is never replaced."""

    name: Annotated[str, Field(min_length=1, max_length=63, description="Name of the Job, in the task's namespace.")]
    uid: Annotated[str, Field(min_length=1, max_length=64, description="metadata.uid of the Job.")]


class Attempt(ApiModel):
    """One pod that did, or tried to do, the work."""

    number: Annotated[int, Field(ge=1, description="Number of the attempt; the first is 1.")]
    pod_name: Annotated[str, Field(description="Name of the pod.")]
    pod_uid: Annotated[str, Field(alias="podUID", description="metadata.uid of the pod.")]
    node_name: Annotated[str | None, Field(description="Node that the pod ran on.")] = None
    start_time: Annotated[
        Time | None,
        Field(description="When the first init container started, or without one the container that does the work."),
    ] = None
    end_time: Annotated[
        Time | None,
        Field(description="When the container that does the work ended, or when the end of the attempt was noticed."),
    ] = None
    reason: Annotated[
        str | None,
        Field(description="Why it ended, in one word: Completed, Error, OOMKilled, DeadlineExceeded, Evicted, ..."),
    ] = None
    exit_code: Annotated[
        int | None, Field(description="Exit code of the work, or of the init container that failed before it.")
    ] = None
    message: Annotated[
        str | None,
        Field(max_length=512, description="Why it ended, in a sentence, if reason and exitCode do not say it all."),
    ] = None


class StallAction(StrEnum):
    """What the operator does about work that has stalled."""

    NOTHING = "Nothing"
    RETRY = "Retry"
    FAIL = "Fail"


class StallPolicy(ApiModel):
    """When work that reports nothing counts as stalled, and what happens then."""

    timeout_seconds: Annotated[
        int,
        Field(
            ge=10, le=10**9, description="How long the work may report nothing before it counts as stalled, in seconds."
        ),
    ]
    action: Annotated[
        StallAction,
        Field(
            description="Nothing: only the Stalled condition is set. Retry: the attempt is stopped and counts as "
            "failed; the next one starts if retry.limit allows. Fail: the task fails."
        ),
    ] = StallAction.NOTHING
    expect_reports: Annotated[
        bool,
        Field(
            description="Count from the start of an attempt. If false, work that has never reported anything cannot "
            "stall; use it for programs that may not report at all."
        ),
    ] = True


MAX_MILESTONES: Final = 5


class DeliveryPolicy(ApiModel):
    """What is delivered for tasks with spec.memory in addition to the outcome in the session."""

    milestones: Annotated[
        list[Annotated[int, Field(ge=1, le=99)]],
        Field(
            max_length=MAX_MILESTONES,
            description="Progress in percent. When the work reaches a milestone, an event is written to the session, "
            "at most once for each; if several are passed at once, only the highest counts.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = []
    long_term_record: Annotated[
        bool,
        Field(
            description="Also write the outcome as a long-term memory record in the namespace /longtasks/<actorId>/."
        ),
    ] = False


MAX_SINKS: Final = 4
"""Sinks that a template may name."""
SinkName = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""Name of a webhook sink in the chart's values."""


class TemplateSnapshot(ApiModel):
    """Settings copied from the template when the task was accepted or refused. Later edits do not affect it."""

    generation: Annotated[int, Field(description="metadata.generation of the template at that time.")]
    hash: Annotated[str, Field(description="First 16 hex digits of the SHA-256 of the template's spec.")]
    start_timeout_seconds: Annotated[
        int, Field(description="How long an attempt may take to start before the task fails, in seconds.")
    ]
    active_deadline_seconds: Annotated[
        int, Field(description="Longest active time over all attempts if the task sets none, in seconds.")
    ]
    max_active_deadline_seconds: Annotated[
        int | None, Field(description="Largest activeDeadlineSeconds that the task may set, in seconds.")
    ] = None
    max_disruptions: Annotated[
        int, Field(description="Disruptions that are followed by a new attempt; one more fails the task.")
    ]
    ttl_seconds_after_finished: Annotated[
        int, Field(description="How long the task is kept after it has ended if it sets no time, in seconds.")
    ]
    stall: Annotated[
        StallPolicy | None, Field(description="When the work counts as stalled, and what happens then; absent: never.")
    ] = None
    delivery: Annotated[
        DeliveryPolicy | None, Field(description="What is delivered in addition to the outcome in the session.")
    ] = None
    notify: Annotated[
        list[SinkName] | None,
        Field(
            max_length=MAX_SINKS,
            description="Webhook sinks that are notified of the task's events.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None


class Failure(ApiModel):
    """Why the task failed or was cancelled, and what to do about it."""

    reason: Annotated[
        str,
        Field(
            max_length=64,
            description="Cause in one word: Error, OOMKilled, DeadlineExceeded, StartTimeout, ImagePullBackOff, "
            "CreateContainerConfigError, Unschedulable, QuotaExceeded, PodSecurityViolation, NodeLost, Evicted, "
            "InvalidParameters, TemplateNotFound, TemplateNotReady, TooManyDisruptions, Stalled, InvalidResult, "
            "JobLost, ...",
        ),
    ]
    message: Annotated[str, Field(max_length=4096, description="What happened, in a sentence.")]
    exit_code: Annotated[int | None, Field(description="Exit code of the container that failed.")] = None
    signal: Annotated[
        int | None,
        Field(description="Signal that ended the container: reported by the kubelet, or from exit codes 129 to 192."),
    ] = None
    log_tail: Annotated[str | None, Field(max_length=8192, description="Last log lines of the failed container.")] = (
        None
    )
    hint: Annotated[str | None, Field(max_length=1024, description="What to do about it.")] = None


class SessionEvent(ApiModel):
    """An event for the session of spec.memory, recorded before the first call to the service.

    Afterwards only eventId is added and payload removed; the other fields never change.
    """

    name: Annotated[
        str,
        Field(
            max_length=32,
            pattern=r"^[a-z0-9-]+$",
            description="result: the outcome of the task. progress-50: the milestone of 50 percent.",
        ),
    ]
    event_time: Annotated[
        MilliTime,
        Field(
            description="The event's eventTimestamp, which places it in the conversation after a completed turn, if "
            "there is one."
        ),
    ]
    payload: Annotated[
        str | None,
        Field(max_length=16384, description="Payload of the event, as JSON text; removed once the event is written."),
    ] = None
    payload_sha256: Annotated[
        str,
        Field(
            alias="payloadSHA256",
            max_length=64,
            pattern=r"^[0-9a-f]{64}$",
            description="SHA-256 of the payload's text, in hex.",
        ),
    ]
    client_token: Annotated[
        str, Field(max_length=64, description="The call's clientToken, by which the service recognizes a retry.")
    ]
    event_id: Annotated[
        str | None, Field(max_length=64, description="Id that the service gave the event; absent until it is written.")
    ] = None


class Delivery(ApiModel):
    """Events written, or about to be written, to the session of spec.memory; summarized by the Delivered condition."""

    events: Annotated[
        list[SessionEvent],
        Field(
            max_length=MAX_MILESTONES + 1,
            description="The task's events in the session.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = []
    record_id: Annotated[
        str | None, Field(max_length=128, description="Id that the service gave the long-term memory record.")
    ] = None
    failures: Annotated[
        int | None, Field(ge=0, description="Delivery attempts that failed in a row; absent after a success.")
    ] = None
    next_retry_time: Annotated[
        Time | None, Field(description="When delivery is retried; absent if no retry is scheduled.")
    ] = None


class Notification(ApiModel):
    """The state of one event for one sink, written after the first attempt to send it.

    Sent with sentTime; tried again with nextRetryTime; with neither it was given up.
    """

    sink: Annotated[SinkName, Field(description="Name of the sink in the chart's values.")]
    event: Annotated[
        str,
        Field(
            max_length=80,
            description="succeeded, failed, cancelled, asked-<question id>, or stalled-<Unix time of the condition>.",
        ),
    ]
    sent_time: Annotated[Time | None, Field(description="When the sink accepted it.")] = None
    failures: Annotated[int | None, Field(ge=0, description="Attempts that failed; absent once it is sent.")] = None
    next_retry_time: Annotated[
        Time | None, Field(description="When it is tried again; absent if it is sent or given up.")
    ] = None
    reason: Annotated[
        str | None,
        Field(max_length=64, description="Why the last attempt failed, in one word; absent once it is sent."),
    ] = None
    message: Annotated[
        str | None, Field(max_length=512, description="Why the last attempt failed; absent once it is sent.")
    ] = None


class Archive(ApiModel):
    """Location of the task's record outside this object."""

    uri: Annotated[
        str,
        Field(
            max_length=2048,
            description="s3://... in a bucket, or agentcore:<memoryId>/<actorId>/<sessionId> in AgentCore Memory.",
        ),
    ]
    archived_time: Annotated[Time, Field(description="When the record was written.")]


class LongTaskStatus(ApiModel):
    """Observed state of the task. Written only by the operator; the outcome is frozen once the task has ended."""

    observed_generation: Annotated[
        int | None, Field(description="The metadata.generation from which this status was computed.")
    ] = None
    phase: Annotated[
        Phase | None,
        Field(description="State of the task in one word. Derived: the conditions are authoritative."),
    ] = None
    message: Annotated[str | None, Field(max_length=4096, description="State of the task in a sentence.")] = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16,
            description="Accepted (the template is Ready and the parameters fit), Suspended (no pod runs), Stalled "
            "(the work reports nothing), Succeeded (Unknown while in progress, then True or False), Delivered (the "
            "outcome is in the session of spec.memory), Archived (the record is stored outside this object), Notified "
            "(the end is sent to each sink of the template).",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = []
    start_time: Annotated[Time | None, Field(description="When the first attempt started.")] = None
    completion_time: Annotated[Time | None, Field(description="When the task succeeded, failed or was cancelled.")] = (
        None
    )
    active_seconds: Annotated[
        int | None, Field(ge=0, description="Total length of the past active periods, in seconds.")
    ] = None
    active_since: Annotated[
        Time | None, Field(description="Start of the current active period; absent while the task is not active.")
    ] = None
    job_ref: Annotated[JobRef | None, Field(description="The Job that does the work. Immutable once set.")] = None
    attempt_count: Annotated[
        int | None, Field(ge=0, description="Number of attempts so far, including those that were disrupted.")
    ] = None
    disruption_count: Annotated[
        int | None,
        Field(ge=0, description="Number of attempts ended by a disruption: eviction, drain or preemption."),
    ] = None
    attempts: Annotated[
        list[Attempt],
        Field(
            max_length=20,
            description="The newest 20 attempts, oldest first.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = []
    template_snapshot: Annotated[
        TemplateSnapshot | None,
        Field(description="Settings copied from the template when the task was accepted or refused."),
    ] = None
    progress: Annotated[
        Progress | None,
        Field(description="Latest progress of the work.", json_schema_extra={"x-kubernetes-map-type": "atomic"}),
    ] = None
    last_report_time: Annotated[
        Time | None, Field(description="When the work last reported anything; not updated for every report.")
    ] = None
    checkpoint: Annotated[
        Checkpoint | None,
        Field(
            description="State from which the next attempt resumes.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = None
    input_requests: Annotated[
        list[InputRequest],
        Field(
            max_length=MAX_QUESTIONS,
            description="Questions of the work, oldest first. Answers go into spec.inputResponses.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"]},
        ),
    ] = []
    result: Annotated[
        Result | None,
        Field(
            description="Result of the work; while the task is in progress, what it has handed in so far.",
            json_schema_extra={"x-kubernetes-map-type": "atomic"},
        ),
    ] = None
    log_tail: Annotated[
        str | None,
        Field(max_length=4096, description="Last log lines of a task that succeeded; see failure.logTail for others."),
    ] = None
    failure: Annotated[Failure | None, Field(description="Why the task failed or was cancelled.")] = None
    delivery: Annotated[
        Delivery | None, Field(description="Events written, or about to be written, to the session of spec.memory.")
    ] = None
    archive: Annotated[Archive | None, Field(description="Location of the task's record outside this object.")] = None
    notifications: Annotated[
        list[Notification],
        Field(
            max_length=MAX_SINKS * (MAX_QUESTIONS + 2),
            description="Events sent, or to be sent, to the sinks of the template; summarized by the Notified "
            "condition. Those of questions that are closed are dropped.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["sink", "event"]},
        ),
    ] = []


class LongTask(ApiModel):
    """One piece of durable work that does not depend on its requester staying connected."""

    api_version: Literal["longtask.dev/v1alpha1"] = constants.API_VERSION
    kind: Literal["LongTask"] = constants.TASK_KIND
    metadata: ObjectMeta
    spec: Annotated[LongTaskSpec, Field(description="The requested work.")]
    status: Annotated[LongTaskStatus, Field(default_factory=LongTaskStatus, description="Observed state of the task.")]

    @property
    def is_terminal(self) -> bool:
        """Whether the task has succeeded, failed or been cancelled."""
        return self.status.phase in TERMINAL_PHASES

    @property
    def is_record(self) -> bool:
        """Whether it was restored from a backup as a record; while it has no Job it is not started."""
        return self.metadata.annotations.get(constants.ANNOTATION_RECORD) == "true"

    @property
    def is_taken_back(self) -> bool:
        """Whether its start exceeded the caller's limit, so that it counts as never created."""
        return constants.ANNOTATION_TAKEN_BACK in self.metadata.annotations

    def answer_to(self, question_id: str) -> str | None:
        """The answer to a question, as JSON text; None if there is none."""
        return next((each.value for each in self.spec.input_responses if each.request_id == question_id), None)

    @property
    def unanswered(self) -> list[InputRequest]:
        """Questions without an answer that have not timed out, oldest first."""
        return [each for each in self.status.input_requests if not each.timed_out and self.answer_to(each.id) is None]

    def is_settled(self, type_: ConditionType) -> bool:
        """Whether the Delivered or Archived condition is final: True, or False with reason Refused."""
        condition = find(self.status.conditions, type_)
        return condition is not None and (
            condition.status == "True" or (condition.status == "False" and condition.reason == REFUSED)
        )
