"""Names and limits that several processes must agree on: group, labels, annotations, audiences, environment."""

from typing import Final

GROUP: Final = "longtask.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "longtask.dev/v1alpha1"

TASK_KIND: Final = "LongTask"
TASK_PLURAL: Final = "longtasks"
TEMPLATE_KIND: Final = "LongTaskTemplate"
TEMPLATE_PLURAL: Final = "longtasktemplates"

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "longtask"
LABEL_TASK: Final = f"{GROUP}/task"
LABEL_TASK_UID: Final = f"{GROUP}/task-uid"
LABEL_JOB_UID: Final = "batch.kubernetes.io/controller-uid"
"""Label of a Job's pods, set by the Job controller."""
LABEL_TEMPLATE: Final = f"{GROUP}/template"
ANNOTATION_SNAPSHOT: Final = f"{GROUP}/template-snapshot"
"""On the Job: the template snapshot as JSON, stored by the same write that creates the Job."""
ANNOTATION_RESULT_SCHEMA: Final = f"{GROUP}/result-schema"
"""On the Job: the template's resultSchema as JSON; absent if the template has none."""
ANNOTATION_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
"""On pods: name of the container that does the work, the first one of the template; a mesh may inject another before
it. This is kubectl's own annotation, so that `kubectl logs` and `kubectl exec` select that container too."""
ANNOTATION_NOT_AFTER: Final = f"{GROUP}/not-after"
"""On Jobs and their pods: when the Lease of the leader that wrote last may expire. An admission policy of the chart
uses it as a fence and refuses the write if it arrives later."""
ANNOTATION_RECORD: Final = f"{GROUP}/record"
"""On LongTasks restored from a backup, with the value "true": the task is a record and is never started again."""
ANNOTATION_TAKEN_BACK: Final = f"{GROUP}/taken-back"
"""On LongTasks cancelled right after creation because the caller was at its limit; they count as never created."""
ANNOTATION_GIVEN: Final = f"{GROUP}/given"
"""On LongTasks started with an idempotency key: a digest of the parameters as the caller passed them."""
ANNOTATION_HELD: Final = f"{GROUP}/suspended"
"""On the Job: `true` while LongTask has suspended it, set by the same write; other controllers may suspend it too."""
ANNOTATION_SCHEMA_HASH: Final = f"{GROUP}/schema-hash"
"""On templates generated from code: hash of the code's parametersSchema and resultSchema, passed to the pod."""
ANNOTATION_TRACEPARENT: Final = f"{GROUP}/traceparent"
ANNOTATION_TRACESTATE: Final = f"{GROUP}/tracestate"
"""On LongTasks: the trace that the start belongs to, as in the headers of W3C Trace Context."""

AUDIENCE_MCP: Final = f"{GROUP}/mcp"
"""Audience of the tokens that agents present to the MCP server."""
AUDIENCE_TASK_API: Final = f"{GROUP}/task-api"
"""Audience of the token that the MCP server presents to the operator's task API."""
AUDIENCE_REPORT: Final = f"{GROUP}/report"
"""Audience of the token that a task's pod presents to the operator's task API."""

ENV_ID: Final = "LONGTASK_ID"
ENV_REPORT_URL: Final = "LONGTASK_REPORT_URL"
"""Base URL of a pod's reports; progress, heartbeat, checkpoint, result, artifacts, questions, attempt are below it."""
ENV_TOKEN_FILE: Final = "LONGTASK_TOKEN_FILE"  # noqa: S105
ENV_SCHEMA_HASH: Final = "LONGTASK_SCHEMA_HASH"
"""Value of the template's ANNOTATION_SCHEMA_HASH; the SDK compares it with the hash of the running code."""
ENV_SETTINGS: Final = frozenset(
    f"LONGTASK_{name}" for name in ("EXIT_SECONDS", "FLUSH_SECONDS", "RESUME_SECONDS", "TERMINATION_LOG")
)
"""SDK settings that a template author may set; all other LONGTASK_ variables are reserved."""
REPORT_TOKEN_FOLDER: Final = "/var/run/secrets/longtask.dev/report"  # noqa: S105
REPORT_TOKEN_VOLUME: Final = "longtask-report-token"  # noqa: S105
ENV_TRACEPARENT: Final = "TRACEPARENT"
ENV_TRACESTATE: Final = "TRACESTATE"
ENV_PARAMETERS: Final = "LONGTASK_PARAMETERS"
ENV_PARAMETER_PREFIX: Final = "LONGTASK_PARAM_"

MAX_TASK_NAME: Final = 52
"""Characters. Leaves room for `-` and 8 hex digits in the Job's name, a DNS label of at most 63 characters."""
MAX_TEMPLATE_NAME: Final = 40
"""Characters. Leaves room for `-` and a suffix in the name of a task created from the template."""
MAX_PARAMETERS_BYTES: Final = 64 * 1024
"""Bytes of JSON text. An environment string may have 131,071 bytes, and must fit even with every `$` doubled."""
MAX_SCHEMA_BYTES: Final = 64 * 1024
"""Bytes of JSON text. A resultSchema is stored in an annotation of the Job; an object's annotations are limited to
256 KiB in total."""
MAX_RESULT_BYTES: Final = 4096
"""Bytes of a termination message. The kubelet keeps only the tail of a longer one, and less in a pod of more than three
containers."""


def job_name(task_name: str, task_uid: str) -> str:
    """Name of the task's only Job, the same for every replica and every retry of the create.

    It contains part of the uid, so a task that is recreated under the same name does not find the old task's Job.
    """
    return f"{task_name}-{task_uid[:8]}"


def tool_name(template_name: str) -> str:
    """Name of the MCP tool that starts tasks of a template: `model-training` becomes `model_training`."""
    return template_name.replace("-", "_")
