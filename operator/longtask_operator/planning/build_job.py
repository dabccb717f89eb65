"""Builds the Job of a task. Pure: the same task, template and parameters give the same Job."""

import json
from collections.abc import Mapping
from typing import Any

from longtask_api import constants, trace_context
from longtask_api.longtask import LongTask, TemplateSnapshot
from longtask_api.parameters import environment_name
from longtask_api.template import LongTaskTemplate, spec_hash
from longtask_operator.planning.snapshots import JobSnapshot

TOKEN_VOLUME = {
    "name": constants.REPORT_TOKEN_VOLUME,
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token", "audience": constants.AUDIENCE_REPORT, "expirationSeconds": 3600}}
        ]
    },
}
TOKEN_MOUNT = {"name": constants.REPORT_TOKEN_VOLUME, "mountPath": constants.REPORT_TOKEN_FOLDER, "readOnly": True}


def take_snapshot(template: LongTaskTemplate) -> TemplateSnapshot:
    """The template's settings that the task keeps, whatever happens to the template later."""
    spec = template.spec
    return TemplateSnapshot(
        generation=template.metadata.generation,
        hash=spec_hash(spec.to_api()),
        start_timeout_seconds=spec.start_timeout_seconds,
        active_deadline_seconds=spec.active_deadline_seconds,
        max_active_deadline_seconds=spec.max_active_deadline_seconds,
        max_disruptions=spec.retry.max_disruptions,
        ttl_seconds_after_finished=spec.ttl_seconds_after_finished,
        stall=spec.stall,
        delivery=spec.delivery,
        notify=spec.notify,
    )


def result_schema(task: LongTask, job: JobSnapshot | None, template: LongTaskTemplate | None) -> str | None:
    """The schema to validate the result against, as JSON text; None if there is none.

    Without a Job, the template's schema is used if the template is unchanged since the task was started.
    """
    if job is not None:
        return job.result_schema
    snapshot = task.status.template_snapshot
    if snapshot is None or template is None or template.spec.result_schema is None:
        return None
    return compact_json(template.spec.result_schema) if take_snapshot(template).hash == snapshot.hash else None


def build_job(
    task: LongTask,
    template: LongTaskTemplate,
    snapshot: TemplateSnapshot,
    parameters: Mapping[str, Any],
    report_url: str | None,
) -> dict[str, Any]:
    """The manifest of the batch/v1 Job. `parameters` have their defaults filled in; `report_url` is the task API's URL
    for its pods, None if they cannot report."""
    labels = _labels(task, template)
    variables = [
        *environment(task.metadata.uid, template, parameters),
        *_listed(trace_context.variables(task.metadata.annotations)),
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": constants.job_name(task.metadata.name, task.metadata.uid),
            "namespace": task.metadata.namespace,
            "labels": labels,
            "annotations": _annotations(task, template, snapshot),
            "ownerReferences": [
                {
                    "apiVersion": constants.API_VERSION,
                    "kind": constants.TASK_KIND,
                    "name": task.metadata.name,
                    "uid": task.metadata.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "suspend": task.spec.suspend,
            "backoffLimit": template.spec.retry.limit,
            # Disruptions (eviction, drain, preemption) do not count against backoffLimit.
            "podFailurePolicy": {
                "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
            },
            # Never run two attempts at once: replace a pod only after it is terminal (KEP-3939).
            "podReplacementPolicy": "Failed",
            "template": build_pod(template, labels, variables, report_url),
        },
    }


def build_pod(
    template: LongTaskTemplate, labels: Mapping[str, str], variables: list[dict[str, str]], report_url: str | None
) -> dict[str, Any]:
    """The core/v1 PodTemplateSpec: the template's pod with LongTask's additions. Every container gets the `variables`;
    only the first one, which does the work, gets the URL and token to report with."""
    source = template.spec.pod_template
    spec = source.spec.to_api()
    spec["restartPolicy"] = "Never"
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        # LongTask's variables come first: $(LONGTASK_PARAM_X) in the author's variables resolves only earlier ones.
        container["env"] = [*variables, *(container.get("env") or [])]
        container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")
    work = spec["containers"][0]
    work["env"] = [*_reporting(report_url), *work["env"]]
    work["volumeMounts"] = [*(work.get("volumeMounts") or []), TOKEN_MOUNT]
    spec["volumes"] = [*(spec.get("volumes") or []), TOKEN_VOLUME]
    return {
        "metadata": {
            "labels": {**source.metadata.labels, **labels},
            "annotations": {
                **source.metadata.annotations,
                constants.ANNOTATION_CONTAINER: spec["containers"][0]["name"],
            },
        },
        "spec": spec,
    }


def environment(task_uid: str, template: LongTaskTemplate, parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    """The variables of every container. Only declared parameters get their own, because only their names are validated.

    Kubernetes expands $(NAME) in values, so every `$` is doubled: otherwise a parameter could read the pod's other
    variables, including secrets. A scalar parameter without a value is the empty string, because an unknown $(NAME)
    would stay unexpanded in args.
    """
    variables = {constants.ENV_ID: task_uid, constants.ENV_PARAMETERS: compact_json(parameters)}
    schema_hash = template.metadata.annotations.get(constants.ANNOTATION_SCHEMA_HASH)
    if schema_hash is not None:
        variables[constants.ENV_SCHEMA_HASH] = schema_hash
    declared: Mapping[str, Any] = template.spec.parameters_schema.get("properties") or {}
    for name in declared:
        value = parameters.get(name)
        if not isinstance(value, dict | list):
            variables[environment_name(name)] = _scalar(value)
    return _listed(variables)


def _reporting(report_url: str | None) -> list[dict[str, str]]:
    if report_url is None:
        return []
    return _listed(
        {constants.ENV_REPORT_URL: report_url, constants.ENV_TOKEN_FILE: f"{constants.REPORT_TOKEN_FOLDER}/token"}
    )


def _listed(variables: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in variables.items()]


def _annotations(task: LongTask, template: LongTaskTemplate, snapshot: TemplateSnapshot) -> dict[str, str]:
    annotations = {constants.ANNOTATION_SNAPSHOT: snapshot.model_dump_json(exclude_none=True)}
    if template.spec.result_schema is not None:
        annotations[constants.ANNOTATION_RESULT_SCHEMA] = compact_json(template.spec.result_schema)
    if task.spec.suspend:
        annotations[constants.ANNOTATION_HELD] = "true"
    return annotations


def compact_json(value: Any) -> str:
    """Compact JSON text, as used in annotations and environment variables."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _labels(task: LongTask, template: LongTaskTemplate) -> dict[str, str]:
    return {
        constants.LABEL_MANAGED_BY: constants.MANAGED_BY,
        constants.LABEL_TASK: task.metadata.name,
        constants.LABEL_TASK_UID: task.metadata.uid,
        constants.LABEL_TEMPLATE: template.metadata.name,
    }
