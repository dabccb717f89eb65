"""Every name that more than one process must agree on: group, labels, audiences, environment, limits."""

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
"""Of the pods of a Job: its controller sets it."""
LABEL_TEMPLATE: Final = f"{GROUP}/template"
ANNOTATION_SNAPSHOT: Final = f"{GROUP}/template-snapshot"
"""On the Job: what was taken from the template, as JSON, in the same write that starts the work."""
ANNOTATION_RESULT_SCHEMA: Final = f"{GROUP}/result-schema"
"""On the Job: the template's resultSchema, as JSON; absent where there is none."""
ANNOTATION_CONTAINER: Final = "kubectl.kubernetes.io/default-container"
"""On pods: the container that does the work, the first of the template; an injected one may stand before it. The name
is Kubernetes' own, so that `kubectl logs` and `kubectl exec` choose that container too."""
ANNOTATION_NOT_AFTER: Final = f"{GROUP}/not-after"
"""On Jobs and their pods: until when the leader that wrote last has the Lease for itself. A policy of the chart refuses
what arrives later."""
ANNOTATION_RECORD: Final = f"{GROUP}/record"
"""On LongTasks that are restored from a backup, with the value "true": what was, which is not to be done again."""
ANNOTATION_TAKEN_BACK: Final = f"{GROUP}/taken-back"
"""On LongTasks that were ended at once, because their start went beyond the caller's limit: these were never made."""
ANNOTATION_GIVEN: Final = f"{GROUP}/given"
"""On LongTasks that were started under an idempotency key: a digest of the parameters as they came."""
ANNOTATION_HELD: Final = f"{GROUP}/suspended"
"""On the Job: `true` while it is suspended by LongTask, in the same write; others may suspend it too."""
ANNOTATION_SCHEMA_HASH: Final = f"{GROUP}/schema-hash"
"""On templates that were made from code: of the code's parametersSchema and resultSchema. The pod gets it."""

AUDIENCE_MCP: Final = f"{GROUP}/mcp"
"""Audience of the tokens that agents present to the MCP server."""
AUDIENCE_TASK_API: Final = f"{GROUP}/task-api"
"""Audience of the token that the MCP server presents to the operator's task API."""
AUDIENCE_REPORT: Final = f"{GROUP}/report"
"""Audience of the token that a task's pod presents to the operator's task API."""

ENV_ID: Final = "LONGTASK_ID"
ENV_REPORT_URL: Final = "LONGTASK_REPORT_URL"
"""Where a pod reports: the paths progress, heartbeat, checkpoint, result, artifacts, questions and attempt below it."""
ENV_TOKEN_FILE: Final = "LONGTASK_TOKEN_FILE"  # noqa: S105
ENV_SCHEMA_HASH: Final = "LONGTASK_SCHEMA_HASH"
"""The template's ANNOTATION_SCHEMA_HASH; the SDK compares it with the code that runs."""
ENV_SETTINGS: Final = frozenset(
    f"LONGTASK_{name}" for name in ("EXIT_SECONDS", "FLUSH_SECONDS", "RESUME_SECONDS", "TERMINATION_LOG")
)
"""What an author may set for the SDK; all other variables of that prefix are LongTask's own."""
REPORT_TOKEN_FOLDER: Final = "/var/run/secrets/longtask.dev/report"  # noqa: S105
REPORT_TOKEN_VOLUME: Final = "longtask-report-token"  # noqa: S105
ENV_PARAMETERS: Final = "LONGTASK_PARAMETERS"
ENV_PARAMETER_PREFIX: Final = "LONGTASK_PARAM_"

MAX_TASK_NAME: Final = 52
"""Characters. Leaves room for `-` and 8 hex digits in the Job's name, a DNS label of 63 or less."""
MAX_TEMPLATE_NAME: Final = 40
"""Characters. Leaves room for `-` and the suffix of a task made from the template."""
MAX_PARAMETERS_BYTES: Final = 64 * 1024
"""Of the JSON text. One environment string may have 131,071 bytes; doubling every `$` must still fit."""
MAX_SCHEMA_BYTES: Final = 64 * 1024
"""Of the JSON text. A resultSchema travels in an annotation of the Job; all of them together may have 256 KiB."""
MAX_RESULT_BYTES: Final = 4096
"""Of a termination message; kubelet keeps only the tail of a longer one, and less of it in a pod of more than three
containers."""


def job_name(task_name: str, task_uid: str) -> str:
    """The name of the task's only Job: the same for every replica and every retry of the create.

    The uid keeps a task that was deleted and created again under its old name from meeting the old Job.
    """
    return f"{task_name}-{task_uid[:8]}"


def tool_name(template_name: str) -> str:
    """The MCP tool that starts tasks of a template: `model-training` becomes `model_training`."""
    return template_name.replace("-", "_")
