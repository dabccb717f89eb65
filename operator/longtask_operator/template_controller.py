"""Decides whether a template is Ready, by its own checks and by the API server's answer to a dry run of its pod, and
whether the sinks that it names are configured.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from longtask_api import constants
from longtask_api.bounds import MAX_DEPTH, depth_of
from longtask_api.checking import check_value_schema
from longtask_api.conditions import Condition, ConditionStatus, merged
from longtask_api.mcp_names import FIXED_TOOLS
from longtask_api.parameters import check_schema
from longtask_api.template import LongTaskTemplate, LongTaskTemplateStatus, TemplateConditionType, spec_hash
from longtask_operator.cache import Cache
from longtask_operator.planning.build_job import build_pod, environment
from longtask_operator.planning.unquoted import unquoted
from longtask_operator.task_namespace import TaskNamespace
from longtask_runtime import clock
from longtask_runtime.kube import KubeError
from longtask_runtime.validation import Validator

LISTED = 5


class TemplateController:
    """Maintains the conditions of templates."""

    def __init__(self, cluster: TaskNamespace, cache: Cache, validator: Validator, sinks: Collection[str] = ()) -> None:
        """`sinks` are the names of the configured webhook sinks."""
        self._cluster = cluster
        self._cache = cache
        self._validator = validator
        self._sinks = sinks

    async def reconcile(self, name: str) -> None:
        """Check a template and write its status if that differs. Raises KubeError and network errors.

        A template that is already Ready is checked again without the dry run: an earlier version may have accepted it.
        """
        template = self._cache.templates.get(name)
        if template is None or template.metadata.deletion_timestamp is not None:
            return
        reason, problems = "InvalidSpec", await self._validator.run(problems_of, template)
        if not problems:
            reason = "Ready"
            if not template.is_ready:
                refusal = await self._cluster.try_pod(dry_run_pod(template))
                reason, problems = ready_reason(refusal)
        status = status_of(template, reason, problems, clock.now(), self._sinks)
        if status.to_api() == template.status.to_api():
            return
        try:
            await self._cluster.write_template_status(template, status)
        except KubeError as error:
            if error.status not in (404, 409):  # deleted, or changed: then its newer version is queued
                raise


def problems_of(template: LongTaskTemplate) -> list[str]:
    """What is wrong with the template itself, one sentence each; empty if nothing is."""
    problems = list(unquoted(template.spec.parameters_schema)) or check_schema(template.spec.parameters_schema)
    problems += [f"resultSchema: {problem}" for problem in check_value_schema(template.spec.result_schema or {})]
    if constants.tool_name(template.metadata.name) in FIXED_TOOLS:
        problems.append(f"the name {template.metadata.name!r} is that of one of LongTask's own tools; choose another")
    pod = template.spec.pod_template.spec.to_api()
    misshapen = list(_misshapen(pod))
    if misshapen:
        return problems + misshapen
    for container in [*(pod.get("initContainers") or []), *pod["containers"]]:
        for variable in container.get("env") or []:
            name = str(variable.get("name", ""))
            if name.startswith("LONGTASK_") and name not in constants.ENV_SETTINGS:
                problems.append(f"container {container.get('name')!r}: variable {name} is LongTask's own; rename it")
    if pod.get("restartPolicy", "Never") != "Never":
        problems.append("podTemplate.spec.restartPolicy must be Never or absent: retries are the Job's")
    if any(volume.get("name") == constants.REPORT_TOKEN_VOLUME for volume in pod.get("volumes") or []):
        problems.append(f"volume {constants.REPORT_TOKEN_VOLUME!r} is LongTask's own; rename it")
    return problems


def _misshapen(pod: Mapping[str, Any]) -> Iterator[str]:
    """Places where the pod lacks the structure that LongTask extends; the API server validates the rest."""
    if depth_of({"spec": pod}, MAX_DEPTH) > MAX_DEPTH:
        yield f"podTemplate is nested deeper than {MAX_DEPTH} levels"
        return
    for field in ("containers", "initContainers", "volumes"):
        yield from _no_objects(pod, field, "podTemplate.spec")
    for field in ("containers", "initContainers"):
        for index, container in enumerate(_listed(pod, field)):
            place = f"podTemplate.spec.{field}[{index}]"
            for inner in ("env", "volumeMounts"):
                yield from _no_objects(container, inner, place)


def _no_objects(holder: Mapping[str, Any], field: str, place: str) -> Iterator[str]:
    value = holder.get(field)
    if value is not None and not isinstance(value, list):
        yield f"{place}.{field} must be a list, not {_kind(value)}"
    elif value is not None:
        for index, each in enumerate(value):
            if not isinstance(each, dict):
                yield f"{place}.{field}[{index}] must be an object, not {_kind(each)}"


def _listed(holder: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    value = holder.get(field)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _kind(value: Any) -> str:
    """The JSON type of a value, for messages."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true or false"
    kinds = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(value), type(value).__name__)


def dry_run_pod(template: LongTaskTemplate) -> dict[str, object]:
    """The pod of a task, for a dry run. Its name is constant, so that error messages about it are too."""
    labels = {constants.LABEL_MANAGED_BY: constants.MANAGED_BY, constants.LABEL_TEMPLATE: template.metadata.name}
    pod = build_pod(template, labels, environment("dry-run", template, {}), None)
    pod["metadata"]["name"] = f"{template.metadata.name}-trial"
    return pod


def ready_reason(refusal: KubeError | None) -> tuple[str, list[str]]:
    """(reason, problems) for the answer to the dry run. An exhausted quota is not the template's fault. Raises a
    refusal that says nothing about the template.
    """
    if refusal is None or (refusal.status == 403 and "exceeded quota" in refusal.message):
        return "Ready", []
    if "violates PodSecurity" in refusal.message:
        return "PodSecurityViolation", [refusal.message]
    if refusal.status in (400, 403, 422):
        return "InvalidPod", [refusal.message]
    raise refusal


def status_of(
    template: LongTaskTemplate, reason: str, problems: list[str], now: datetime, sinks: Collection[str] = ()
) -> LongTaskTemplateStatus:
    """The template's status with the Ready condition for these problems, and the state of its sinks."""
    value: ConditionStatus = "False" if problems else "True"
    message = "; ".join(problems[:LISTED])
    if len(problems) > LISTED:
        message += f"; and {len(problems) - LISTED} more"
    generation = template.metadata.generation
    ready = merged(
        template.status.conditions, TemplateConditionType.READY, value, reason, message[:4096], generation, now
    )
    return LongTaskTemplateStatus(
        observed_generation=generation,
        hash=spec_hash(template.spec.to_api()),
        conditions=[ready, *_sinks_configured(template, sinks, now)],
    )


def _sinks_configured(template: LongTaskTemplate, sinks: Collection[str], now: datetime) -> list[Condition]:
    """The SinksConfigured condition; empty if the template names no sink."""
    if not template.spec.notify:
        return []
    unknown = [name for name in template.spec.notify if name not in sinks]
    value: ConditionStatus = "False" if unknown else "True"
    reason = "SinkNotConfigured" if unknown else "SinksConfigured"
    message = ""
    if unknown:
        known = ", ".join(sorted(sinks)) or "none"
        message = (
            f"notify: {', '.join(unknown)} not in notifications.sinks of the chart's values, which has {known}; tasks "
            "run, and these sinks are not notified"
        )
    generation = template.metadata.generation
    return [
        merged(
            template.status.conditions,
            TemplateConditionType.SINKS_CONFIGURED,
            value,
            reason,
            message[:4096],
            generation,
            now,
        )
    ]
